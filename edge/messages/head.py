"""The head of a request as a value: everything that decides about a request, and nothing else.

The proxy builds it from the bytes that it read. A decision depends on this value only, not on the reader of the bytes.
"""

from dataclasses import dataclass

__all__ = ["NO_METADATA", "FetchMetadata", "RequestHead"]


# Not changed after it is built, yet not `frozen`; `__init__` written out: docs/performance.md.
@dataclass(slots=True, init=False)
class FetchMetadata:
    """What a client says of where a request comes from and what it is for. Heads of one template share one object."""

    origin: str
    """`Origin` (RFC 6454, 7): the origin of the page that sends the request, '' if it is not said."""
    site: str
    """`Sec-Fetch-Site`: 'same-origin', 'same-site', 'cross-site' or 'none'."""
    dest: str
    """`Sec-Fetch-Dest`: 'document', 'image', 'empty' (a script), ..."""
    asked_method: str
    """`Access-Control-Request-Method`: the method that a CORS preflight asks for."""
    asked_fields: str
    """`Access-Control-Request-Headers`: the fields that a CORS preflight asks for."""
    purpose: str
    """The fields by which browsers and frameworks mark a request that no visitor has made (`head_cache.py`)."""
    named: tuple[tuple[str, str], ...]
    """The fields that the settings name (`rooms[].lanes[].header`), by lower-case name."""
    is_from_proxy: bool
    """A trusted proxy sent the request. Known only if `named` has a field."""
    is_by_script: bool
    """A library says that its script sends the request, or the body is of a type that no form has."""

    def __init__(
        self,
        origin: str = "",
        site: str = "",
        dest: str = "",
        asked_method: str = "",
        asked_fields: str = "",
        purpose: str = "",
        is_by_script: bool = False,
        named: tuple[tuple[str, str], ...] = (),
        is_from_proxy: bool = False,
    ) -> None:
        self.origin = origin
        self.site = site
        self.dest = dest
        self.asked_method = asked_method
        self.asked_fields = asked_fields
        self.purpose = purpose
        self.is_by_script = is_by_script
        self.named = named
        self.is_from_proxy = is_from_proxy


NO_METADATA = FetchMetadata()
"""Of a client that says nothing: most programs, and browsers over plain HTTP."""


# Not changed after it is built, yet not `frozen`; `__init__` written out: docs/performance.md.
@dataclass(slots=True, init=False)
class RequestHead:
    method: str
    """As sent; methods are case-sensitive (RFC 9110, 9.1)."""
    target: str
    """The request target in origin form, byte for byte as sent: path and query, percent-encoding untouched."""
    host: str
    """The `Host` field as sent, '' if missing. It may carry a port."""
    scheme: str
    """'http' or 'https' as the client saw it: from `X-Forwarded-Proto` if a trusted proxy sent it."""
    client_ip: str
    """The visitor's address: from `X-Forwarded-For` if a trusted proxy sent it, else the peer's."""
    cookie: str
    """All `Cookie` fields, joined by '; '."""
    accept: str
    """All `Accept` fields, joined by ', '."""
    fetch_mode: str
    """`Sec-Fetch-Mode`: 'navigate' if a browser asks for a page to show."""
    referer: str
    if_none_match: str
    accept_encoding: str
    user_agent: str
    accept_language: str
    forwarded_host: str
    """The host that the visitor asked for, as a trusted proxy says (`X-Forwarded-Host`); '' if none does."""
    metadata: FetchMetadata

    def __init__(
        self,
        method: str,
        target: str,
        host: str,
        scheme: str,
        client_ip: str,
        cookie: str = "",
        accept: str = "",
        fetch_mode: str = "",
        referer: str = "",
        if_none_match: str = "",
        accept_encoding: str = "",
        user_agent: str = "",
        accept_language: str = "",
        forwarded_host: str = "",
        metadata: FetchMetadata = NO_METADATA,
    ) -> None:
        self.method = method
        self.target = target
        self.host = host
        self.scheme = scheme
        self.client_ip = client_ip
        self.cookie = cookie
        self.accept = accept
        self.fetch_mode = fetch_mode
        self.referer = referer
        self.if_none_match = if_none_match
        self.accept_encoding = accept_encoding
        self.user_agent = user_agent
        self.accept_language = accept_language
        self.forwarded_host = forwarded_host
        self.metadata = metadata
