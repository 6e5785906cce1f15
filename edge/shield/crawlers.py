"""Crawlers of search engines, verified as their operators document it: by a reverse and a forward DNS lookup.

    User-Agent names Googlebot -> address -> PTR: crawl-66-249-66-1.googlebot.com -> ends in .googlebot.com? -> A, AAAA
                                              of that name -> the address is among them? -> verified

Any program can send the User-Agent, and the owner of an address can let it point to any name. Only the crawler's
operator can let a name in the operator's domain point back to the address.

An answer is remembered per address, bounded: verified for a day, refuted for an hour, a failure of the resolver for a
minute. The first request of an unknown address waits for the answer (`edge/worker/crawler_lookup.py`); nothing else
waits. While MOST_OPEN lookups are open, further crawlers are answered like every visitor.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["CRAWLERS", "Crawlers", "Found", "LookUp"]

#: By crawler: what its User-Agent contains, and the domains that its addresses have names in.
#: Sources: developers.google.com/search/docs/crawling-indexing/verifying-googlebot, www.bing.com/webmasters/help,
#: support.apple.com/119829, yandex.com/support/webmaster/robot-workings/check-yandex-robots, help.baidu.com.
CRAWLERS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "google": (("googlebot", "google-inspectiontool", "adsbot-google"), (".googlebot.com", ".google.com")),
    "bing": (("bingbot", "adidxbot", "bingpreview"), (".search.msn.com",)),
    "apple": (("applebot",), (".applebot.apple.com",)),
    "yandex": (("yandexbot", "yandeximages", "yandexmobilebot"), (".yandex.ru", ".yandex.net", ".yandex.com")),
    "baidu": (("baiduspider",), (".baidu.com", ".baidu.jp")),
}
MOST_KNOWN: Final = 10_000
MOST_OPEN: Final = 50
#: Requests that wait for one lookup.
MOST_WAITING: Final = 100
VERIFIED_S: Final = 86_400.0
REFUTED_S: Final = 3600.0
FAILED_S: Final = 60.0
#: Of a longer User-Agent the rest is not read.
MOST_CHARS: Final = 512

Then = Callable[[bool], None]
Found = Callable[[bool | None, float], None]
"""found(is_verified, now): what the lookup found; None if the resolver failed."""
LookUp = Callable[[str, str, Found], None]
"""look_up(crawler, address, found): start a lookup; found is called once, later."""


class Crawlers:
    """One node's. names: of CRAWLERS. `now` is wall clock, seconds."""

    def __init__(self, names: Sequence[str], look_up: LookUp) -> None:
        self._look_up = look_up
        self._names = tuple((name, CRAWLERS[name][0]) for name in names)
        self._known: OrderedDict[tuple[str, str], tuple[bool, float]] = OrderedDict()
        self._waiting: dict[tuple[str, str], list[Then]] = {}

    def __repr__(self) -> str:
        return f"<Crawlers {len(self._known)} addresses known, {len(self._waiting)} lookups open>"

    def claimed(self, user_agent: str) -> str:
        """Return the crawler that a User-Agent names; '' if it names none of those wanted."""
        agent = user_agent[:MOST_CHARS].lower()
        for name, tokens in self._names:
            if any(token in agent for token in tokens):
                return name
        return ""

    def is_verified(self, crawler: str, address: str, now: float) -> bool | None:
        """Return whether the address is this crawler's; None if it has to be looked up."""
        known = self._known.get((crawler, address))
        return None if known is None or now >= known[1] else known[0]

    def ask(self, crawler: str, address: str, then: Then) -> None:
        """Look an address up. then(is_verified) is called once: later, or now if too many ask."""
        key = crawler, address
        waiting = self._waiting.get(key)
        if waiting is not None and len(waiting) < MOST_WAITING:
            waiting.append(then)
        elif waiting is None and len(self._waiting) < MOST_OPEN:
            self._waiting[key] = [then]
            self._look_up(crawler, address, lambda is_verified, now: self._settle(key, is_verified, now))
        else:
            then(False)

    def _settle(self, key: tuple[str, str], is_verified: bool | None, now: float) -> None:
        lasts_s = FAILED_S if is_verified is None else VERIFIED_S if is_verified else REFUTED_S
        self._known[key] = bool(is_verified), now + lasts_s
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        for then in self._waiting.pop(key):
            then(bool(is_verified))
