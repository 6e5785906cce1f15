"""The bot score: points for what robots do, each with its reason. The settings say what follows from it.

    reason        points  what was seen
    automation        60  a User-Agent that names a tool, a headless browser, or nothing at all
    no_language       30  no Accept-Language: every browser sends one
    no_fetch_mode     30  a browser's name over HTTPS, but no Sec-Fetch-Mode, which all browsers send since 2023
    direct_write      60  a POST to a room without a ticket or pass: this visitor was never shown its page
    regular           40  nine requests or more at distances that differ by less than 2 % (standard deviation / mean)
                          and are below half a minute: browsers let tabs in the background run once a minute, evenly
    hasty             60  nine requests or more, four times as often as the edge ever asks for (some open four tabs)
    crowded           20  more than 30 tickets for this network within ten to twenty minutes

One weak sign is nothing: some connections are even, an office is crowded, a privacy tool hides the language.
Robots that use a whole browser, keep appointments, and come from many networks are not found: they look like visitors.
"""

from functools import lru_cache
from math import sqrt
from typing import Final

from edge.messages.head import RequestHead
from edge.support.two_generations import TwoGenerations

__all__ = ["POINTS", "Behaviour", "head_reasons", "points_of"]

POINTS: Final = {
    "automation": 60,
    "no_language": 30,
    "no_fetch_mode": 30,
    "direct_write": 60,
    "regular": 40,
    "hasty": 60,
    "crowded": 20,
}
#: Parts of the names by which tools introduce themselves, lower case.
TOOLS = ("headless", "phantomjs", "selenium", "puppeteer", "playwright", "curl/", "wget/", "python", "go-http-client",
         "java/", "okhttp", "libwww", "scrapy", "node-fetch", "axios/", "httpclient", "aiohttp", "ruby")  # fmt: skip
BROWSERS = ("chrome/", "firefox/", "safari/", "edg/")
#: How many distances are looked at, how even they have to be, and how much shorter than asked for.
LEAST_GAPS: Final = 8
MOST_VARIATION: Final = 0.02
HASTE: Final = 0.25
#: Longer distances may be as even as they like, in seconds.
LONG_GAP_S: Final = 30.0
#: The usual number of tickets of a network in the present and the last span of SPAN_S seconds.
USUAL_TICKETS: Final = 30
SPAN_S: Final = 600.0


#: Of a longer User-Agent the rest is not read. Browsers send 300.
MOST_CHARS: Final = 512


def head_reasons(head: RequestHead, *, has_ticket: bool) -> tuple[str, ...]:
    """Return the reasons that a request's head alone gives. Equal heads give equal reasons."""
    lacks_fetch_mode = head.scheme == "https" and not head.fetch_mode
    writes = not has_ticket and head.method not in ("GET", "HEAD", "OPTIONS")
    return _head_reasons(head.user_agent[:MOST_CHARS], not head.accept_language, lacks_fetch_mode, writes)


@lru_cache(maxsize=2048)  # a crowd has a few hundred browsers, and each name is searched for two dozen others
def _head_reasons(
    user_agent: str, lacks_language: bool, lacks_fetch_mode: bool, writes_directly: bool
) -> tuple[str, ...]:
    agent = user_agent.lower()
    reasons = []
    if not agent or any(tool in agent for tool in TOOLS):
        reasons.append("automation")
    if lacks_language:
        reasons.append("no_language")
    if lacks_fetch_mode and any(name in agent for name in BROWSERS):
        reasons.append("no_fetch_mode")
    if writes_directly:
        reasons.append("direct_write")
    return tuple(reasons)


def points_of(reasons: tuple[str, ...]) -> int:
    points = 0
    for reason in reasons:
        points += POINTS[reason]
    return points


class _Visits:
    """One visitor's requests: the last one, and the mean and the squares of the distances between them."""

    __slots__ = ("count", "last", "mean_s", "squares")

    def __init__(self, now: float) -> None:
        self.begin(now)

    def begin(self, now: float) -> None:
        self.last = now
        self.count = 0
        self.mean_s = self.squares = 0.0


class Behaviour:
    """What visitors do over time, by ticket, in bounded memory.

    shortest_s: the shortest interval between requests that the edge asks for.
    most: visitors in a generation, and networks with counted tickets.
    """

    def __init__(self, shortest_s: float, most: int = 32_768) -> None:
        self._shortest_s = shortest_s
        self._most = most
        self._visits: TwoGenerations[str, _Visits] = TwoGenerations(most)
        self._tickets: dict[str, int] = {}
        self._tickets_before: dict[str, int] = {}
        self._crowded: set[str] = set()
        """Networks with more than the usual number of tickets."""
        self._span_began = 0.0

    def __len__(self) -> int:
        return len(self._visits)

    def __repr__(self) -> str:
        return f"<Behaviour of {len(self)} visitors, {len(self._crowded)} crowded networks>"

    def reasons(self, visitor: str, network: str, now: float) -> tuple[str, ...]:
        """Take note of a visitor's request at `now` (seconds). Return the reasons that their requests so far give."""
        pattern = self._pattern(visitor, now)
        return (*pattern, "crowded") if self._crowded and network in self._crowded else pattern

    def is_crowded(self, network: str) -> bool:
        """Return whether this network got more tickets than usual lately."""
        return network in self._crowded

    def note_newcomer(self, network: str, now: float) -> None:
        """Count a new ticket for a visitor of this network."""
        if not 0.0 <= now - self._span_began < SPAN_S or len(self._tickets) >= self._most:
            self._tickets_before, self._tickets, self._span_began = self._tickets, {}, now
            self._crowded = {each for each, count in self._tickets_before.items() if count > USUAL_TICKETS}
        count = self._tickets[network] = self._tickets.get(network, 0) + 1
        if count + self._tickets_before.get(network, 0) > USUAL_TICKETS:
            self._crowded.add(network)

    def _pattern(self, visitor: str, now: float) -> tuple[str, ...]:
        visits = self._visits.get(visitor)
        if visits is None:
            self._visits.put(visitor, _Visits(now))
            return ()
        gap_s = now - visits.last
        if gap_s < 0.0:  # the clock was set back
            visits.begin(now)
            return ()
        visits.last = now
        visits.count = count = visits.count + 1
        off = gap_s - visits.mean_s
        visits.mean_s = mean_s = visits.mean_s + off / count  # Welford's running mean and variance
        visits.squares = squares = visits.squares + off * (gap_s - mean_s)
        if count < LEAST_GAPS:
            return ()
        if mean_s < self._shortest_s * HASTE:
            return _HASTY
        return _REGULAR if mean_s < LONG_GAP_S and sqrt(squares / count) < MOST_VARIATION * mean_s else ()


_HASTY: Final[tuple[str, ...]] = ("hasty",)
_REGULAR: Final[tuple[str, ...]] = ("regular",)
