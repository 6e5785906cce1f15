"""A labelled population for the bot score: people with their habits and troubles, and six kinds of robot. Seeded.

Each visitor is what the edge sees of them: a head, and the times of their requests. Shares of habits are rough guesses
on the pessimistic side; what counts is that each trouble that could make a person look like a robot is there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from edge.messages.head import RequestHead

__all__ = ["ROBOTS", "Visitor", "people", "robots"]

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/604.1"
ROBOTS = ("tool", "library in disguise", "headless browser", "ticket collector", "direct buyer", "hasty poller")


@dataclass(frozen=True, slots=True)
class Visitor:
    kind: str
    name: str
    network: str
    head: RequestHead
    """The head of the first request."""
    times: tuple[float, ...]


def people(count: int, chance: Random) -> Iterator[Visitor]:
    """Polls come when the edge asked for them, later by the network and the device; some people add their own."""
    for at in range(count):
        trouble = chance.random()
        agent, language, mode, method = chance.choice((CHROME, IPHONE)), "de-DE,de;q=0.9", "navigate", "GET"
        network = f"office {at % 3}" if chance.random() < 0.1 else f"home {at}"
        if trouble < 0.01:
            language = ""  # a privacy tool
        elif trouble < 0.02:
            mode = ""  # an old tablet
        elif trouble < 0.025:
            method = "POST"  # cookies are off, and the form was open already
        if 0.05 < trouble < 0.10:
            gaps = [60.0 + chance.gauss(0.0, 0.02) for _ in range(20)]  # a tab in the background: once a minute
        elif 0.10 < trouble < 0.20:
            gaps = [min(chance.uniform(0.9, 1.1) * 4.0, chance.expovariate(0.5)) for _ in range(30)]  # reloads a lot
        else:
            gaps = [4.0 * chance.uniform(0.85, 1.15) + chance.lognormvariate(-2.0, 0.8) for _ in range(30)]
        yield Visitor("person", f"person {at}", network, _head(agent, language, mode, method), _times(gaps, chance))


def robots(each: int, chance: Random) -> Iterator[Visitor]:
    """Yield `each` robots of every kind."""
    for kind in ROBOTS:
        for at in range(each):
            agent, language, mode, method, network = CHROME, "en-US,en;q=0.9", "navigate", "GET", f"rented {kind} {at}"
            gaps = [4.0 * chance.uniform(0.85, 1.15) + chance.lognormvariate(-2.0, 0.8) for _ in range(30)]
            match kind:
                case "tool":
                    agent, language, mode = chance.choice(("curl/8.5.0", "python-requests/2.32", "")), "", ""
                case "library in disguise":
                    language, mode = "", ""
                case "headless browser":
                    agent = CHROME.replace("Chrome", "HeadlessChrome")
                case "ticket collector":
                    network = f"rented collector {at % 3}"
                    gaps = [2.0 * chance.uniform(0.995, 1.005) for _ in range(400)]  # until they are admitted
                case "direct buyer":
                    method = "POST"
                case _:
                    gaps = [chance.expovariate(5.0) for _ in range(60)]
            yield Visitor(kind, f"{kind} {at}", network, _head(agent, language, mode, method), _times(gaps, chance))


def _head(agent: str, language: str, mode: str, method: str) -> RequestHead:
    return RequestHead(
        method, "/checkout", "shop.example", "https", "192.0.2.1",
        fetch_mode=mode, user_agent=agent, accept_language=language,
    )  # fmt: skip


def _times(gaps: list[float], chance: Random) -> tuple[float, ...]:
    times = [chance.uniform(0.0, 600.0)]
    for gap_s in gaps:
        times.append(times[-1] + gap_s)
    return tuple(times)
