"""How much like a robot somebody behaves: points, each with its reason. What follows from it is the settings' choice.

    reason        points  what was seen
    automation        60  a User-Agent that names a tool, a headless browser, or nothing at all
    no_language       30  no Accept-Language: every browser sends one
    no_fetch_mode     30  a browser's name over HTTPS, but no Sec-Fetch-Mode, which all of them send since 2023
    direct_write      60  a POST to a room by somebody who never was shown its page: no ticket, no pass
    regular           40  nine requests or more whose distances differ by less than 2 % (standard deviation / mean), and
                          are below half a minute: browsers let tabs in the background run once a minute, evenly
    hasty             60  nine requests or more, four times as often as the edge ever asks for (some open four tabs)
    crowded           20  more than 30 tickets for this network within ten to twenty minutes

One weak sign is nothing: some connections are even, an office is crowded, a privacy tool hides the language.
Robots that use a whole browser, wait as told, and come from many networks are not found: they look like visitors.
"""

from math import sqrt

from edge.head import RequestHead

__all__ = ["POINTS", "Behaviour", "head_reasons", "points_of"]

POINTS = {
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
#: How many distances are looked at, how even they must be, and how much shorter than asked for.
LEAST_GAPS, MOST_VARIATION, HASTE = 8, 0.02, 0.25
#: Longer distances may be as even as they like, seconds.
LONG_GAP_S = 30.0
#: Tickets of a network that are usual, in the present and the last span of so many seconds.
USUAL_TICKETS, SPAN_S = 30, 600.0


def head_reasons(head: RequestHead, *, has_ticket: bool) -> tuple[str, ...]:
    """What a request's head alone gives away; the same for the same head, so that it is worked out once."""
    agent = head.user_agent.lower()
    reasons = []
    if not agent or any(tool in agent for tool in TOOLS):
        reasons.append("automation")
    if not head.accept_language:
        reasons.append("no_language")
    if head.scheme == "https" and not head.fetch_mode and any(name in agent for name in BROWSERS):
        reasons.append("no_fetch_mode")
    if not has_ticket and head.method not in ("GET", "HEAD", "OPTIONS"):
        reasons.append("direct_write")
    return tuple(reasons)


def points_of(reasons: tuple[str, ...]) -> int:
    return sum(POINTS[reason] for reason in reasons)


class Behaviour:
    """What visitors do over time, by ticket; the memory is bounded as the limiter's is.

    asked_s: the shortest distance between requests that the edge asks for, seconds. most: visitors in a generation.
    """

    def __init__(self, asked_s: float, most: int = 32_768) -> None:
        self._asked_s = asked_s
        self._most = most
        self._young: dict[str, list[float]] = {}
        self._old: dict[str, list[float]] = {}
        self._tickets: dict[str, int] = {}
        self._tickets_before: dict[str, int] = {}
        self._span_began = 0.0

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def saw(self, visitor: str, network: str, now: float) -> tuple[str, ...]:
        """A request of this visitor at this time (seconds); returns what those so far give away."""
        return self._pattern(visitor, now) + (("crowded",) if self.is_crowded(network) else ())

    def is_crowded(self, network: str) -> bool:
        """Whether more tickets than usual went to this network lately."""
        return self._tickets.get(network, 0) + self._tickets_before.get(network, 0) > USUAL_TICKETS

    def met(self, network: str, now: float) -> None:
        """A new ticket for somebody of this network."""
        if not 0.0 <= now - self._span_began < SPAN_S or len(self._tickets) >= self._most:
            self._tickets_before, self._tickets, self._span_began = self._tickets, {}, now
        self._tickets[network] = self._tickets.get(network, 0) + 1

    def _pattern(self, visitor: str, now: float) -> tuple[str, ...]:
        seen = self._young.get(visitor)
        if seen is None:
            seen = self._old.get(visitor) or [now, 0.0, 0.0, 0.0]
            if len(self._young) >= self._most:
                self._old, self._young = self._young, {}
            self._young[visitor] = seen
            if seen[0] == now:
                return ()
        last, count, mean_s, squares = seen
        gap_s = now - last
        if gap_s < 0.0:  # the clock was set back: begin anew
            seen[:] = (now, 0.0, 0.0, 0.0)
            return ()
        count += 1.0
        off = gap_s - mean_s
        mean_s += off / count  # Welford's running mean and variance
        squares += off * (gap_s - mean_s)
        seen[:] = (now, count, mean_s, squares)
        if count < LEAST_GAPS:
            return ()
        if mean_s < self._asked_s * HASTE:
            return ("hasty",)
        return ("regular",) if mean_s < LONG_GAP_S and sqrt(squares / count) < MOST_VARIATION * mean_s else ()
