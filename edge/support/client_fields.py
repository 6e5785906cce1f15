"""Which fields of a client end at the edge, because they would say what only the edge, or nobody, may say.

    the edge's own    Forwarded, X-Forwarded-For, -Proto, -Host, -Port, X-Stanchion-*   never a client's
    forwarding        X-Forwarded-Prefix, -Server, ..., X-Real-IP                    unless the settings pass them on
    another address   X-Original-URL, X-Rewrite-URL, ...                             unless the settings pass them on
    another method    X-HTTP-Method-Override, ...                                    unless the settings pass them on

A framework that follows a field of the last two kinds serves another address or method than the one that the edge has
put into a room. Such a field would be a way around the room.

CGI-like servers turn every character that is not a letter or digit into `_`, so all such characters count as `-` here.
"""

from functools import lru_cache
from typing import Final

__all__ = ["ENDING", "ends_here", "is_passable", "plain_name"]

#: Written by the edge, or never forwarded.
_OURS: Final = frozenset(
    (
        *(b"host", b"expect", b"content-length", b"proxy-authorization", b"forwarded"),
        *(b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port"),
    )
)
_OUR_PREFIX: Final = b"x-stanchion-"
#: Passed on only if `upstream.pass_client_fields` names them. Load balancers that ask remove them themselves.
ENDING: Final = frozenset(
    (
        b"x-real-ip",
        *(b"x-forwarded-prefix", b"x-forwarded-server", b"x-forwarded-path", b"x-forwarded-by"),
        *(b"x-forwarded-uri", b"x-forwarded-url", b"x-forwarded-method", b"x-forwarded-scheme", b"x-forwarded-ssl"),
        *(b"x-forwarded-protocol", b"x-forwarded-context", b"x-forwarded-pathbase", b"x-forwarded-basepath"),
        *(b"x-forwarded-root", b"x-forwarded-script-name"),
        # Another address: IIS and ASP.NET, Azure, Symfony, Zend, Envoy, Traefik, Next.js, Astro, mount points of WSGI.
        *(b"x-original-url", b"x-original-uri", b"x-original-path", b"x-original-host", b"x-original-method"),
        *(b"x-rewrite-url", b"x-rewrite-uri", b"x-override-url", b"x-envoy-original-path", b"x-script-name"),
        *(b"x-ms-original-url", b"x-waws-unencoded-url", b"x-envoy-original-host", b"x-replaced-path"),
        *(b"x-matched-path", b"x-invoke-path", b"x-astro-path", b"x-vhm-host", b"x-vhm-root"),
        *(b"x-host", b"x-http-host-override", b"x-http-path-override", b"x-proxy-url"),
        # Another method: Rails, Laravel, Express, OData, Google's APIs.
        *(b"x-http-method-override", b"x-http-method", b"x-method-override"),
        # A CGI program takes it for the environment variable HTTP_PROXY (CVE-2016-5385, httpoxy).
        b"proxy",
    )
)
_PLAIN: Final = bytes(each if chr(each).isalnum() and each < 128 else ord("-") for each in range(256))


def plain_name(low: bytes) -> bytes:
    """Return a lower-case field name as a CGI-like server reads it, with `-` for each special character."""
    return low.translate(_PLAIN)


@lru_cache(maxsize=1024)
def ends_here(low: bytes) -> bool:
    """Return whether a client's field of this lower-case name ends at the edge, unless the settings pass it on."""
    plain = plain_name(low)
    return plain in _OURS or plain in ENDING or plain.startswith(_OUR_PREFIX)


def is_passable(low: bytes) -> bool:
    """Return whether the settings may pass this field on."""
    return low in ENDING
