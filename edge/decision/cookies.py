"""How ticket and pass are named and marked in cookies.

    over HTTPS     __Host-stanchion_<room>    Secure, Path=/, no Domain: no other host can set it, and plain HTTP cannot
    else           stanchion_<room>           with `cookies.domain` too, which the prefix forbids

All are HttpOnly and SameSite=Lax. Over HTTPS is what a trusted proxy says by `X-Forwarded-Proto`, or the settings do. A
visitor who has a cookie of the other name, from before the change, keeps their place: it is read where the right one is
missing, and removed when the right one is set. (RFC 6265bis, 4.1.3)
"""

from edge.messages.head import RequestHead
from edge.messages.verdict import Headers
from edge.settings.model import CookieSettings
from waiting_room.ticket import cookie_values

__all__ = ["PREFIX", "Cookies"]

#: Browsers take a cookie of such a name only from the host itself, over HTTPS.
PREFIX = "__Host-"


class Cookies:
    def __init__(self, settings: CookieSettings) -> None:
        self._secure = settings.secure
        self._domain = "" if settings.domain is None else f"; Domain={settings.domain}"

    def read(self, plain: str, head: RequestHead) -> list[str]:
        """All values of a room's cookie, whose name without the prefix is `plain`; more than one is no good sign."""
        if plain not in head.cookie:  # which is in the other name too
            return []
        name, other = self._names(plain, self._is_secure(head))
        return cookie_values(head.cookie, name) or cookie_values(head.cookie, other)

    def write(self, plain: str, value: str, max_age_s: int, head: RequestHead) -> Headers:
        """The `Set-Cookie` fields. max_age_s: 0 removes it."""
        is_secure = self._is_secure(head)
        name, other = self._names(plain, is_secure)
        domain, secure = self._domain, "; Secure" if is_secure else ""
        fields = f"; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{domain}{secure}"
        written = (("Set-Cookie", f"{name}={value}{fields}"),)
        if plain not in head.cookie or not cookie_values(head.cookie, other):
            return written
        binding_digest = "; Secure" if other.startswith(PREFIX) else f"{domain}{secure}"
        return (*written, ("Set-Cookie", f"{other}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{binding_digest}"))

    def _is_secure(self, head: RequestHead) -> bool:
        return self._secure == "always" or (self._secure == "auto" and head.scheme == "https")

    def _names(self, plain: str, is_secure: bool) -> tuple[str, str]:
        """The name to use, and the one that may be left from before."""
        prefixed = PREFIX + plain
        return (plain, prefixed) if self._domain or not is_secure else (prefixed, plain)
