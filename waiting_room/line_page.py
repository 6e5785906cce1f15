"""The waiting page of a visitor in line, put together without a `Status` and without a look at what is rare.

`WaitingPage.render` shows every state. Nearly every page that is sent is one of them: a visitor in a line that moves,
with a place, a wait and an interval. Here that page is made of the same parts: the same status document, and the same
`MinutePage`, which is found by one whole number instead of all that it shows. Where it is not known yet, or something
is unusual, `WaitingPage` does it.
"""

from math import ceil
from typing import Final

from mypy_extensions import i64

from waiting_room.page import OWN, MinutePage, WaitingPage
from waiting_room.placeholders import Coding
from waiting_room.status import SharedFields, State, Status, document, moment_bytes
from waiting_room.texts import LEAST_WAIT_S

__all__ = ["LinePage"]

#: Of `MinutePage`s for each of MOST_SHARED `SharedFields`; the numbers of one minute are few.
MOST: Final = 256
MOST_SHARED: Final = 8
#: The parts of a number, and how many values each may have: together less than 2^62.
STEPS: Final = 32
SHORTS: Final = 8
PERCENTS: Final = 100
WAITS: Final = 8192  # seconds
AGES: Final = 8192  # minutes
WIDTHS: Final = 64
PLACES: Final = 32  # bytes

OWN_STATUS: Final = OWN["status"]

_WAITING: Final = State.WAITING


class LinePage:
    """Of one room in one language."""

    def __init__(self, page: WaitingPage) -> None:
        if tuple(OWN) != ("title", "now", "place", "status", "ticket"):
            raise AssertionError("this module inserts the values of one visitor in another order")
        self._page, self.policy = page, page.policy
        texts = page.texts
        self._steps_s = [float(step_s) for step_s in texts.steps_s]
        self._middles_s = [float(middle_s) for middle_s in texts.middles_s]
        self._shorts_s = [float(below_s) for below_s, _ in texts.data["waits"]["short"]]
        self._most_s = self._steps_s[-1] * 1.2
        if len(self._steps_s) > STEPS - 2 or len(self._shorts_s) > SHORTS - 2:
            raise AssertionError("there are more steps of waits than a number can tell apart")
        self._minute: i64 = -1
        self._minute_pages: dict[SharedFields, dict[int, MinutePage]] = {}
        """Of the present minute: by what a room's documents share, which each lane has of its own, and by number."""

    def __repr__(self) -> str:
        return f"<LinePage {self._page!r}>"

    def render(
        self,
        shared: SharedFields,
        position: int,
        eta_p50_s: float,
        eta_p90_s: float,
        poll_after_s: float,
        first_seen: float,
        now: float,
        coding: Coding,
    ) -> bytes:
        """Return the page; see `Status` for the arguments. shared: of a room that is neither paused nor in a sale.

        It is what `WaitingPage.render` returns for the `Status` with these values.
        """
        page = self._page
        if shared.message or not page.is_plain:  # text that may have to be escaped in the document
            status = self._status(shared, position, eta_p50_s, eta_p90_s, poll_after_s, first_seen)
            return page.render(status, now=now, coding=coding)
        minute: i64 = i64(int(now)) // 60
        if minute != self._minute:
            self._minute = minute
            self._minute_pages.clear()
        pages = self._minute_pages.get(shared)
        if pages is None or len(pages) >= MOST:
            if len(self._minute_pages) >= MOST_SHARED:
                self._minute_pages.clear()
            pages = self._minute_pages[shared] = {}
        first_seen_json = moment_bytes(first_seen)
        body = document(shared, position, eta_p50_s, eta_p90_s, poll_after_s, first_seen_json)
        place = page.numbers.encoded(position)
        number = self._number(eta_p50_s, eta_p90_s, poll_after_s, first_seen, now, len(place), len(body))
        found = pages.get(number) if number >= 0 else None
        if found is None:
            status = self._status(shared, position, eta_p50_s, eta_p90_s, poll_after_s, first_seen)
            found = page.minute_page(status, now)
            if number >= 0:
                pages[number] = found
        before, _, behind = page.around_place
        title = b"%b%b%b" % (before, place, behind)
        return found.render((title, moment_bytes(now)[1:-1], place, body, b""), coding)

    def _status(
        self,
        shared: SharedFields,
        position: int,
        eta_p50_s: float,
        eta_p90_s: float,
        poll_after_s: float,
        first_seen: float,
    ) -> Status:
        return Status(
            _WAITING, self._page.room, position, eta_p50_s, eta_p90_s, poll_after_s, first_seen, shared.message,
            shared.stock, shared.held,
        )  # fmt: skip

    def _number(
        self,
        eta_p50_s: float,
        eta_p90_s: float,
        poll_after_s: float,
        first_seen: float,
        now: float,
        place: int,
        size: int,
    ) -> int:
        """Return a number for all that the visitors of one `MinutePage` share, or -1. place, size: lengths, in bytes.

        The present minute is not in it, because it is the same for all that are kept.
        """
        after_s: i64 = max(1, ceil(poll_after_s))
        age: i64 = self._minute - i64(int(first_seen)) // 60
        width: i64 = (i64(size) + OWN_STATUS - 1) // OWN_STATUS
        characters: i64 = place
        if after_s >= WAITS or not 0 <= age < AGES or width >= WIDTHS or characters >= PLACES:
            return -1
        step: i64 = 0  # below the first step, and above the last, as `Texts.wait_step`
        short: i64 = 0
        if eta_p50_s < LEAST_WAIT_S:
            short = 1 + _count(self._shorts_s, eta_p50_s, and_equal=True)
        elif eta_p50_s > self._most_s:
            step = STEPS - 1
        else:
            step = 1 + _count(self._middles_s, eta_p50_s, and_equal=True)
        # Where the second wait is left out, because of the first, it makes no other page.
        bound = _count(self._steps_s, eta_p90_s, and_equal=False)
        waited_s = max(0.0, now - first_seen)
        whole_s = waited_s + max(0.0, eta_p50_s)
        progress: i64 = min(99, int(100 * waited_s / whole_s)) if whole_s > 0 else 99
        number = ((step * STEPS + bound) * SHORTS + short) * PERCENTS + progress
        return ((number * WAITS + after_s) * AGES + age) * (WIDTHS * PLACES) + width * PLACES + characters


def _count(bounds: list[float], value: float, *, and_equal: bool) -> i64:
    """Return how many of the sorted bounds are below a value, and_equal: or equal to it. There are two dozen."""
    found: i64 = 0
    for bound in bounds:
        if bound > value or (bound == value and not and_equal):
            break
        found += 1
    return found
