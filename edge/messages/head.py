"""What a request's head means, as a value: everything that decides about a request, and nothing else.

The shell that reads sockets makes one of these from the bytes it read; the pipeline decides on it without knowing
which shell that was.
"""

from dataclasses import dataclass

__all__ = ["RequestHead"]


@dataclass(slots=True, init=False)  # never changed, yet not `frozen`; `__init__` by hand: docs/performance.md
class RequestHead:
    method: str
    """As sent; methods are case-sensitive (RFC 9110, 9.1)."""
    target: str
    """The request target in origin form, byte for byte as sent: path and query, percent-encoding untouched."""
    host: str
    """The `Host` header as sent, '' when missing. May carry a port."""
    scheme: str
    """'http' or 'https', as the client saw it: from `X-Forwarded-Proto` when a trusted proxy says so."""
    client_ip: str
    """The visitor's address: from `X-Forwarded-For` when a trusted proxy says so, else the peer's."""
    cookie: str
    """All `Cookie` headers, joined by '; '."""
    accept: str
    """All `Accept` headers, joined by ', '."""
    fetch_mode: str
    """`Sec-Fetch-Mode`: 'navigate' when a browser asks for a page to show."""
    referer: str
    if_none_match: str
    accept_encoding: str
    user_agent: str
    accept_language: str

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
