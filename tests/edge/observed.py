"""What a crowd and its upstream observed of a line: the bounds of every line, measured from outside."""

import asyncio
import bisect
from collections import Counter

from aiohttp import web

from edge.cli.demo.crowd import Visit

CAPACITY = 40.0
BURST_S = 1.0


class Shop:
    """The upstream: remembers every ticket, when it was admitted, and when it first came here."""

    def __init__(self) -> None:
        self.admitted_at: dict[str, set[str]] = {}
        self.came: list[float] = []

    async def handle(self, request: web.BaseRequest) -> web.Response:
        ticket = request.headers["X-Stanchion-Ticket"]
        if ticket not in self.admitted_at:
            self.came.append(asyncio.get_running_loop().time())
        self.admitted_at.setdefault(ticket, set()).add(request.headers["X-Stanchion-Admitted-At"])
        return web.Response(text="checkout")


def overtaken_share(visits: list[Visit]) -> float:
    """Return the share of pairs in which the later arrival was admitted first (normalised Kendall tau distance)."""
    order = [visit.admitted for visit in sorted(visits, key=lambda visit: visit.arrived) if visit.admitted is not None]
    inversions, seen = 0, []
    for admitted in order:
        inversions += len(seen) - bisect.bisect_right(seen, admitted)
        bisect.insort(seen, admitted)
    return inversions / max(1, len(order) * (len(order) - 1) // 2)


def most_in_a_window(moments: list[float], window_s: float) -> int:
    moments = sorted(moments)
    return max(bisect.bisect_left(moments, start + window_s) - at for at, start in enumerate(moments))


def check_the_bounds(
    visits: list[Visit], shop: Shop, *, extra: float = 0.0, order: float = 0.05, lost_answers: int = 0
) -> None:
    """Check what every crowd is promised.

    extra: admissions above capacity and burst that a fault may cost. order: the share of pairs that may be overtaken.
    lost_answers: visitors of an admission that a fault may have cut off before the response arrived; they ask again
    with the same ticket, and the upstream sees it twice.
    """
    states = Counter[str]()
    for visit in visits:
        states.update(visit.states)
    assert set(states) <= {"200 waiting", "200 admitted"}, f"a visitor saw something else: {states}"
    assert all(visit.admitted is not None or visit.left is not None for visit in visits)
    admissions = [float(moment) for moments in shop.admitted_at.values() for moment in moments]
    again = sum(len(moments) - 1 for moments in shop.admitted_at.values())
    assert again <= lost_answers, f"{again} tickets were redeemed twice"
    assert sum(visit.states["200 admitted"] for visit in visits) <= len(shop.admitted_at), (
        "a visitor was admitted twice"
    )
    for window_s in (0.5, 1.0, 5.0, 20.0):
        most = most_in_a_window(admissions, window_s)
        assert most <= CAPACITY * (BURST_S + window_s) + 1 + extra, f"{most} admissions within {window_s} s"
    overtaken, used = overtaken_share(visits), used_share(shop)
    print(f"{len(shop.admitted_at)} admitted, {overtaken:.2%} of pairs overtaken, {used:.1%} of the capacity used")
    assert overtaken < order


def used_share(shop: Shop) -> float:
    """Return the admissions made as a part of those that the capacity allowed from the first to the last one."""
    admissions = sorted(float(moment) for moments in shop.admitted_at.values() for moment in moments)
    return len(admissions) / (CAPACITY * (BURST_S + admissions[-1] - admissions[0]))
