"""Names and attributes of the cookies that carry credentials.

    over HTTPS     __Host-stanchion_<room>    Secure, Path=/, no Domain: no other host can set it, and plain HTTP cannot
    else           stanchion_<room>           with `cookies.domain` too, which the prefix forbids

All are HttpOnly and SameSite=Lax. A trusted proxy says by `X-Forwarded-Proto` whether a request came over HTTPS, or the
settings say so. A visitor with a cookie of the other name, from before a change of scheme, keeps their place: that
cookie is read if the right one is missing, and removed when the right one is set. (RFC 6265bis, 4.1.3)

A browser may hold several cookies of one name: `cookies.domain` was changed, or another host below the domain has set
one. It sends all of them and does not say which is which. The best one counts (`classifier.py`). It is set again as the
right cookie, and every other cookie that the browser could have is removed: by each domain and path of the request.
"""

from typing import Final

from edge.messages.head import RequestHead
from edge.messages.verdict import Headers
from edge.settings.model import CookieSettings
from waiting_room.cookie_field import cookie_values

__all__ = ["PREFIX", "Cookies"]

#: Browsers accept a cookie with this prefix only from the host itself, over HTTPS.
PREFIX = "__Host-"
#: How many values of one name are read. Anybody can send more; a browser with more has them from an attacker.
MOST_VALUES: Final = 8
#: How many segments of the path, and labels of the host, are tried when cookies are removed.
MOST_VARIANTS = 4
#: How many fields of a cookie are kept ready: times differ by seconds, and newcomers all get the same.
MOST_AROUND: Final = 256


class Cookies:
    def __init__(self, settings: CookieSettings) -> None:
        self._secure = settings.secure
        self.domain = settings.domain or ""
        self._domain = "" if settings.domain is None else f"; Domain={settings.domain}"
        self._around: dict[str, dict[int, tuple[str, str]]] = {}
        """What stands before and behind a value: by the name of the cookie, and by its time and its scheme."""

    def read(self, plain: str, head: RequestHead) -> list[str]:
        """Return all values of a cookie; of the other name if there is none of the right one.

        plain: its name without the prefix."""
        if plain not in head.cookie:  # the other name contains it too
            return []
        name, other = self._names(plain, self.is_secure(head))
        return cookie_values(head.cookie, name, MOST_VALUES) or cookie_values(head.cookie, other, MOST_VALUES)

    def read_other(self, plain: str, head: RequestHead) -> list[str]:
        """Return all values of the other name. Read them if no cookie of the right name is valid."""
        _, other = self._names(plain, self.is_secure(head))
        return cookie_values(head.cookie, other, MOST_VALUES)

    def write(self, plain: str, value: str, max_age_s: int, head: RequestHead) -> Headers:
        """Return the `Set-Cookie` fields. max_age_s: 0 removes the cookie."""
        before, behind = self.around(plain, max_age_s, head)
        return self.write_line(plain, f"{before}{value}{behind}", head)

    def around(self, plain: str, max_age_s: int, head: RequestHead) -> tuple[str, str]:
        """Return what stands in a `Set-Cookie` field before and behind the value."""
        is_secure = self.is_secure(head)
        fields = self._around.get(plain)
        if fields is None:
            fields = self._around[plain] = {}
        key = 2 * max_age_s + is_secure
        found = fields.get(key)
        if found is None:
            if len(fields) >= MOST_AROUND:
                fields.clear()
            name, _ = self._names(plain, is_secure)
            secure = "; Secure" if is_secure else ""
            behind = f"; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{self._domain}{secure}"
            found = fields[key] = f"{name}=", behind
        return found

    def write_line(self, plain: str, line: str, head: RequestHead) -> Headers:
        """Return the `Set-Cookie` fields. line: the value of the first one, with what stands around the cookie's."""
        written: Headers = (("Set-Cookie", line),)
        if plain not in head.cookie:
            return written
        is_secure = self.is_secure(head)
        name, other = self._names(plain, is_secure)
        secure = "; Secure" if is_secure else ""
        if not name.startswith(PREFIX) and len(cookie_values(head.cookie, name, 2)) > 1:
            written = (*self._removed(name, head, secure, is_set=True), *written)
        if not cookie_values(head.cookie, other, 1):
            return written
        if other.startswith(PREFIX):
            return (*written, ("Set-Cookie", f"{other}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"))
        return (*written, *self._removed(other, head, secure, is_set=False))

    def preference(self, name: str, value: str, head: RequestHead) -> Headers:
        """Return the `Set-Cookie` field for a visitor's choice: for a year, and scripts of the shop may read it."""
        secure = "; Secure" if self.is_secure(head) else ""
        return (("Set-Cookie", f"{name}={value}; Path=/; Max-Age=31536000; SameSite=Lax{self._domain}{secure}"),)

    def _removed(self, name: str, head: RequestHead, secure: str, *, is_set: bool) -> Headers:
        """Return the fields that remove all cookies of a name without prefix that the request can have. is_set: but
        for the one that is set now."""
        own = f"; Path=/{self._domain.lower().replace('=.', '=')}" if is_set else ""
        variants = [f"; Path={path}{domain}" for domain in _domains(head.host) for path in _paths(head.target)]
        removed = [f"{variant}; Max-Age=0; HttpOnly; SameSite=Lax{secure}" for variant in variants if variant != own]
        if secure:  # a partitioned cookie is another one, whatever its name, domain and path (CHIPS)
            removed.append(f"; Path=/{self._domain}; Max-Age=0; HttpOnly; SameSite=Lax; Secure; Partitioned")
        return tuple(("Set-Cookie", f"{name}={each}") for each in removed)

    def is_secure(self, head: RequestHead) -> bool:
        """Return whether a request came over HTTPS, or counts as if it did."""
        return self._secure == "always" or (self._secure == "auto" and head.scheme == "https")

    def _names(self, plain: str, is_secure: bool) -> tuple[str, str]:
        """Return the name to use, and the name that may be left from before."""
        prefixed = PREFIX + plain
        return (plain, prefixed) if self._domain or not is_secure else (prefixed, plain)


def _domains(host: str) -> list[str]:
    """Return the `Domain` attributes under which a cookie reaches this host: none, the host, and what it lies below."""
    name = host.lower().partition(":")[0].rstrip(".")
    if host.startswith("[") or name.replace(".", "").isdigit():
        return [""]  # an address has no domain
    labels = name.split(".")
    parents = [".".join(labels[at:]) for at in range(len(labels) - 1)]
    return ["", *(f"; Domain={parent}" for parent in (parents or [name])[:MOST_VARIANTS])]


def _paths(target: str) -> list[str]:
    """Return the paths under which a cookie reaches this target: `/`, `/checkout`, `/checkout/`, ..."""
    path = target.partition("?")[0]
    found = ["/"]
    for segment in path.split("/")[1:MOST_VARIANTS]:
        if segment and not set(segment) & set(";,\\"):
            found += [f"{found[-1].rstrip('/')}/{segment}", f"{found[-1].rstrip('/')}/{segment}/"]
    return found
