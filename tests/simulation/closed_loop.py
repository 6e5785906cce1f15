"""The closed loop of `capacity.adaptive` against a shop with a queue. The law is the real one, the shop is a model.

    line --factor * CAPACITY a second--> visitors inside --requests--> queue --> SERVERS, each SERVICE_S +- half
                                           ^     |
                                           '-----' REQUESTS each, with a pause after every response

The line is never empty. During the trouble fewer servers work, so the requests of a full room cannot be served and the
queue grows without end. A request without a response after TIMEOUT_S has failed: the shop no longer serves it, and its
visitor goes on with the next. Seeded; seconds of a virtual clock.

`python -m tests.simulation.closed_loop FILE` draws the sale with and without the loop (docs/adaptive.svg).
"""

import heapq
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import fmean

from controller.law.adaptive import AdaptiveLaw, AdaptiveSettings
from edge.cli.chart import Guide, Line, chart, linear, time_axis
from edge.rooms.upstream_health import UpstreamHealth

__all__ = ["CAPACITY", "TARGET_S", "Played", "Trouble", "play"]

CAPACITY = 20.0
REQUESTS = 5
THINK_S = 4.0
SERVERS = 40
SERVICE_S = 0.12
TIMEOUT_S = 10.0
TARGET_S = 0.5
STEP_S = 0.5
SEED = 20_261_121


@dataclass(frozen=True)
class Trouble:
    """Between begin_s and end_s only `servers` work, and each request takes `slower` times as long."""

    begin_s: float = 120.0
    end_s: float = 600.0
    servers: int = 8
    slower: float = 1.0


@dataclass
class Played:
    """Per step: time, factor, mean latency of the responses, and requests in the queue."""

    time_s: list[float] = field(default_factory=list)
    factor: list[float] = field(default_factory=list)
    latency_s: list[float] = field(default_factory=list)
    queued: list[int] = field(default_factory=list)
    failed: int = 0
    served: int = 0

    def between(self, values: list[float], begin_s: float, end_s: float) -> list[float]:
        return [value for at, value in zip(self.time_s, values, strict=True) if begin_s <= at < end_s]


class _Shop:
    def __init__(self, chance: Random, trouble: Trouble, health: UpstreamHealth) -> None:
        self.chance, self.trouble, self.health = chance, trouble, health
        self.events: list[tuple[float, int, str, int, int]] = []
        self.queue: deque[tuple[int, int]] = deque()
        self.asked: dict[int, float] = {}
        self.took: list[float] = []
        self.busy = self.failed = self.served = 0
        self._order = self._request = 0

    def later(self, at: float, what: str, request: int = 0, left: int = 0) -> None:
        self._order += 1
        heapq.heappush(self.events, (at, self._order, what, request, left))

    def ask(self, now: float, left: int) -> None:
        self._request += 1
        self.asked[self._request] = now
        self.health.asked(self._request, now)
        self.queue.append((self._request, left))
        self.later(now + TIMEOUT_S, "timeout", self._request, left)

    def answer(self, now: float, request: int, left: int, *, is_failure: bool) -> None:
        if request in self.asked:
            self.took.append(now - self.asked.pop(request))
            self.health.answered(request, now, is_failure=is_failure)
            self.failed += is_failure
            self.served += not is_failure
            if left > 1:
                self.later(now + self.chance.expovariate(1 / THINK_S), "ask", left=left - 1)

    def serve(self, now: float) -> None:
        """Give waiting requests to free servers."""
        is_in_trouble = self.trouble.begin_s <= now < self.trouble.end_s
        servers, slower = (self.trouble.servers, self.trouble.slower) if is_in_trouble else (SERVERS, 1.0)
        while self.queue and self.busy < servers:
            request, left = self.queue.popleft()
            if request in self.asked:
                self.busy += 1
                self.later(now + self.chance.uniform(0.5, 1.5) * SERVICE_S * slower, "done", request, left)


def play(trouble: Trouble, end_s: float, *, seed: int = SEED, has_loop: bool = True) -> Played:
    law = AdaptiveLaw(AdaptiveSettings(error_share=0.05, floor=0.1, recovery_s=300.0))
    health = UpstreamHealth(TARGET_S)
    shop, played = _Shop(Random(seed), trouble, health), Played()
    shop.later(0.0, "admit")
    shop.later(STEP_S, "step")
    while shop.events[0][0] <= end_s:
        now, _, what, request, left = heapq.heappop(shop.events)
        match what:
            case "admit":
                shop.ask(now, REQUESTS)
                shop.later(now + 1.0 / (CAPACITY * law.factor), "admit")
            case "ask":
                shop.ask(now, left)
            case "done":
                shop.busy -= 1
                shop.answer(now, request, left, is_failure=False)
            case "timeout":
                shop.answer(now, request, left, is_failure=True)
            case _:
                if has_loop:
                    law.observe(health.take(now))
                    law.step(STEP_S)
                played.time_s.append(now)
                played.factor.append(law.factor)
                played.latency_s.append(fmean(shop.took) if shop.took else float("nan"))
                played.queued.append(len(shop.queue))
                shop.took = []
                shop.later(now + STEP_S, "step")
        shop.serve(now)
    played.failed, played.served = shop.failed, shop.served
    return played


STYLE = """<style>
svg{font:12px system-ui,sans-serif;background:#fff}
.line,.grid,.guide{fill:none}.line{stroke-width:1.6}.with{stroke:#0b62c4}.without{stroke:#c4560b;stroke-dasharray:5 3}
.grid{stroke:#dcdfe3}.guide{stroke:#5a6472;stroke-dasharray:2 3}text{fill:#39424e}
.end{text-anchor:end}.mid{text-anchor:middle}</style>"""
HEIGHT = 250.0


def draw() -> str:
    """Return an SVG file with two charts, one above the other."""
    end_s, trouble = 960.0, Trouble()
    runs = {"with": play(trouble, end_s), "without": play(trouble, end_s, has_loop=False)}
    x = time_axis("time", end_s)
    admitted, took = [], []
    for ink, p in runs.items():
        at, factor, latency_s = (_thinned(values) for values in (p.time_s, p.factor, p.latency_s))
        admitted.append(Line(at, [CAPACITY * each for each in factor], ink, f"{ink} the loop"))
        took.append(Line(at, latency_s, ink, f"{ink} the loop"))
    charts = (
        chart("Admissions a second", x, linear("admissions a second", CAPACITY), admitted, height=HEIGHT),
        chart(
            "Latency", x, linear("mean latency, seconds", TIMEOUT_S), [*took, Guide(TARGET_S, "target")], height=HEIGHT
        ),
    )
    words = (
        f"From {trouble.begin_s:g} to {trouble.end_s:g} s the shop can serve two thirds of the requests.",
        "Blue: with capacity.adaptive (target 0.5 s, recovery 300 s). Orange, dashed: without.",
        " ".join(f"{ink} it: {p.failed:,} of {p.failed + p.served:,} requests failed." for ink, p in runs.items()),
    )
    captions = "".join(f'<text x="8" y="{18 + 17 * at}">{line}</text>' for at, line in enumerate(words))
    placed = "".join(
        f'<svg x="0" y="{66 + at * (HEIGHT + 6):g}" width="720" height="{HEIGHT:g}"{svg.removeprefix("<svg")}'
        for at, svg in enumerate(charts)
    )
    size = f'width="720" height="{66 + 2 * (HEIGHT + 6):g}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{STYLE}{captions}{placed}</svg>\n'


def _thinned(values: list[float]) -> list[float]:
    """Return the means of four steps each, that is, of two seconds."""
    return [fmean(values[at : at + 4]) for at in range(0, len(values) - 3, 4)]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw())
