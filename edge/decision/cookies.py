"""Names and attributes of the cookies that carry credentials.

    over HTTPS     __Host-stanchion_<room>    Secure, Path=/, no Domain: no other host can set it, and plain HTTP cannot
    else           stanchion_<room>           with `cookies.domain` too, which the prefix forbids

All are HttpOnly and SameSite=Lax. A trusted proxy says by `X-Forwarded-Proto` whether a request came over HTTPS, or the
settings say so. A visitor with a cookie of the other name, from before a change of scheme, keeps their place: that
cookie is read if the right one is missing, and removed when the right one is set. (RFC 6265bis, 4.1.3)
"""

from edge.messages.head import RequestHead
from edge.messages.verdict import Headers
from edge.settings.model import CookieSettings
from waiting_room.cookie_field import cookie_values

__all__ = ["PREFIX", "Cookies"]

#: Browsers accept a cookie with this prefix only from the host itself, over HTTPS.
PREFIX = "__Host-"


class Cookies:
    def __init__(self, settings: CookieSettings) -> None:
        self._secure = settings.secure
        self._domain = "" if settings.domain is None else f"; Domain={settings.domain}"

    def read(self, plain: str, head: RequestHead) -> list[str]:
        """Return all values of a cookie. plain: its name without the prefix. More than one value is suspicious."""
        if plain not in head.cookie:  # the other name contains it too
            return []
        name, other = self._names(plain, self._is_secure(head))
        return cookie_values(head.cookie, name) or cookie_values(head.cookie, other)

    def write(self, plain: str, value: str, max_age_s: int, head: RequestHead) -> Headers:
        """Return the `Set-Cookie` fields. max_age_s: 0 removes the cookie."""
        is_secure = self._is_secure(head)
        name, other = self._names(plain, is_secure)
        domain, secure = self._domain, "; Secure" if is_secure else ""
        fields = f"; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{domain}{secure}"
        written = (("Set-Cookie", f"{name}={value}{fields}"),)
        if plain not in head.cookie or not cookie_values(head.cookie, other):
            return written
        attributes = "; Secure" if other.startswith(PREFIX) else f"{domain}{secure}"
        return (*written, ("Set-Cookie", f"{other}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{attributes}"))

    def _is_secure(self, head: RequestHead) -> bool:
        return self._secure == "always" or (self._secure == "auto" and head.scheme == "https")

    def _names(self, plain: str, is_secure: bool) -> tuple[str, str]:
        """Return the name to use, and the name that may be left from before."""
        prefixed = PREFIX + plain
        return (plain, prefixed) if self._domain or not is_secure else (prefixed, plain)
