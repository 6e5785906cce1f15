"""The words of a report: times, counts, reasons, and the three sentences that a manager reads."""

import time
from typing import Final

from edge.cli.report.figures import FULL, NOBODY, SLOW, UNUSED, USED, Figures

__all__ = [
    "CAPACITY_NAMES",
    "capacity_name",
    "clock",
    "count",
    "day",
    "duration",
    "hours",
    "refusal",
    "sentences",
    "share",
]

#: What becomes of capacity: its name, and what it means.
CAPACITY_NAMES: Final = {
    USED: ("used", "visitors were admitted"),
    UNUSED: ("not used although visitors waited", "the line did not fill it"),
    SLOW: ("held back", "the shop was slow or failed, so the room admitted fewer"),
    FULL: ("room full", "all places in the room were taken"),
    NOBODY: ("nobody waited", "visitors were admitted at once"),
    "paused.operator": ("on hold", "an operator held or closed the room"),
    "paused.sale": ("not open yet", "the sale had not begun"),
    "paused.upstream": ("shop down", "the shop did not answer"),
    "paused.redis": ("Redis away", "the machines could not hear each other"),
    "paused.stock": ("no free unit", "the shop had nothing to sell, or did not say"),
    "paused.capacity": ("capacity 0", "the capacity was set to 0"),
    "paused.restart": ("restart", "the edge waited until the visitors next to the front were back"),
    "paused.nodes": ("node silent", "the nodes waited for one that was silent"),
}
_METRICS: Final = {
    "shield_refusals": "request refused",
    "ticket_rejections": "cookie not valid",
    "join_challenges": "join challenge",
    "suspected_requests": "request of a suspected robot",
}


def capacity_name(name: str) -> str:
    """Return what became of a part of the capacity."""
    return ": ".join(CAPACITY_NAMES.get(name, (name, "the line stood still")))


def count(number: float, one: str, many: str = "") -> str:
    """Return a number with its noun."""
    return f"{number:,.0f} {one if round(number) == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Return a time as people say it: 0.4 s, 12 s, 3 min 20 s, 1 h 5 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 and whole < 1200 else "")
    return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 >= 60 else "")


def share(part: float, digits: int = 1) -> str:
    """Return a share in percent that is 0 % or 100 % only if it is exactly so."""
    percent = 100.0 * part
    least = 10.0**-digits
    if 0.0 < percent < least / 2:
        return f"< {least:g} %"
    if 100.0 - least / 2 < percent < 100.0:
        return f"> {100.0 - least:g} %"
    return f"{percent:.{0 if percent in (0.0, 100.0) else digits}f} %"


def clock(at_s: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at_s))


def hours(begin_s: float, end_s: float, joint: str) -> str:
    """Return a time of day from and to, with seconds only if it is short."""
    shown = slice(None) if end_s - begin_s < 600.0 else slice(5)
    return f"{clock(begin_s)[shown]}{joint}{clock(end_s)[shown]}"


def day(at_s: float) -> str:
    return time.strftime("%A, %d %B %Y", time.localtime(at_s))


def refusal(name: str) -> str:
    """Return the words for a counter's name and reason."""
    metric, _, reason = name.partition(".")
    return f"{_METRICS.get(metric, metric)}: {reason.replace('_', ' ')}"


def sentences(f: Figures) -> tuple[str, str, str]:
    """Return what happened, how long it took, and whether it was fair, one sentence each."""
    others = [f"{count(f.left, 'visitor')} left before their turn"] if f.left else ["nobody left before their turn"]
    if f.waiting:
        others.append(f"{count(f.waiting, 'visitor')} {'was' if f.waiting == 1 else 'were'} still in line at the end")
    came = (
        f"{count(f.came, 'visitor')} came between {hours(f.begin_s, f.end_s, ' and ')}; "
        f"{'all' if f.got_in == f.came else f'{f.got_in:,}'} got in, and {' and '.join(others)}."
    )
    if not f.got_in:
        waited = "Nobody was admitted."
    elif f.wait.p90 < 1.0:
        waited = f"Nine of ten got in at once; the longest wait was {duration(f.wait.longest)}."
    else:
        waited = (
            f"Of the admitted visitors half waited less than {duration(f.wait.p50)}, nine of ten less than "
            f"{duration(f.wait.p90)}; the longest wait was {duration(f.wait.longest)}."
        )
    return came, waited, _fairness(f)


def _fairness(f: Figures) -> str:
    if f.got_in < 2:
        return "There was no order to keep."
    order = "exactly" if f.kendall == 0.0 else f"for {share(1.0 - f.kendall, 2)} of all pairs of visitors"
    used = f"{share(f.use)} of the capacity that there was went to them while visitors waited"
    lost = max(
        ((name, tokens) for name, tokens in f.capacity_parts.items() if name not in (USED, NOBODY)),
        key=lambda each: each[1],
        default=None,
    )
    total = sum(f.capacity_parts.values())
    why = ""
    if lost is not None and lost[1] > 0.02 * total:
        _, meaning = CAPACITY_NAMES.get(lost[0], ("", "the line stood still"))
        why = f"; {share(lost[1] / total, 0)} of all capacity was lost because {meaning}"
    if f.lanes:
        return f"In each lane first come, first served held {order}, and {used}{why}."
    return (
        f"First come, first served held {order}, 99 of 100 were admitted within {duration(f.displacement.p99)} of "
        f"their turn in a perfect line, and {used}{why}."
    )
