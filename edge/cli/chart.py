"""Charts as SVG text: axes, lines, bands and dots. No script and no style: colours are classes of the page.

    +--------------------------- width ---------------------------+
    | y label                                                     |
    |  30 |----------------- grid --------------------            |
    |   0 +-------------------------------------------            |
    |     0          x label          100                         |

A value outside its axis is drawn at the end of the axis. All texts are escaped here. Each chart is drawn twice: wide,
and narrow for a phone. The page shows the one that fits (`.wide-chart`, `.narrow-chart`). No text crosses the margin or
another text: labels that have no space are left out, turned to the other side, or wrapped.
"""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = [
    "Axis",
    "Band",
    "Dots",
    "Guide",
    "Line",
    "Mark",
    "chart",
    "linear",
    "log",
    "nice_step",
    "swatch",
    "time_axis",
]

LEFT, RIGHT, TOP, BOTTOM = 44.0, 14.0, 24.0, 40.0
NARROW, NARROW_LEAST = 350.0, 210.0
#: The mean width of a character, and the height of a line, at 12 px. Rather too wide than too narrow.
CHARACTER, TEXT_LINE = 6.6, 14.0


@dataclass(frozen=True, slots=True)
class Axis:
    """low < high. ticks: pairs of value and label."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    is_log: bool = False

    def part(self, value: float) -> float:
        """Return the position on the axis, 0..1."""
        low, high = self.low, self.high
        value = min(max(value, low), high)
        if self.is_log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Line:
    """Points in order. The line is broken where y is nan. ink: the class that colours it."""

    x: Sequence[float]
    y: Sequence[float]
    ink: str
    name: str
    is_step: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """The area between two lines."""

    x: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    ink: str
    name: str


@dataclass(frozen=True, slots=True)
class Dots:
    """Single points in a row, with a label before the first and one behind the last."""

    x: Sequence[float]
    y: Sequence[float]
    ink: str
    before: str
    behind: str


@dataclass(frozen=True, slots=True)
class Guide:
    """A thin horizontal line with a label."""

    y: float
    name: str


Mark = Line | Band | Dots | Guide


def nice_step(span: float, parts: int) -> float:
    """Return the least of 1, 2, 5 times a power of ten that divides the span into at most `parts` parts."""
    if span <= 0.0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(span / parts))
    return next(m * power for m in (1.0, 2.0, 5.0, 10.0) if span / (m * power) <= parts * (1.0 + 1e-9))


def linear(label: str, high: float, low: float = 0.0, parts: int = 5, unit: str = "") -> Axis:
    """Make an axis between round numbers around low and high."""
    step = nice_step(max(high - low, 1e-9), parts)
    low = step * math.floor(low / step + 1e-9)
    top = low + step * max(1, math.ceil((high - low) / step - 1e-9))
    digits = max(0, -math.floor(math.log10(step)))
    count = round((top - low) / step)
    ticks = tuple((low + i * step, f"{low + i * step:,.{digits}f}{unit}") for i in range(count + 1))
    return Axis(label, low, top, ticks)


def time_axis(label: str, end_s: float) -> Axis:
    """Make an axis in seconds, minutes or hours, by its length. It ends with the sale."""
    steps = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 28_800)
    step = next((s for s in steps if end_s / s <= 8), 28_800)
    unit, size = ("s", 1) if end_s <= 600 else ("min", 60) if end_s <= 4 * 3600 else ("h", 3600)
    ticks = tuple((float(t), f"{t / size:g}") for t in range(0, int(end_s) + 1, step))
    return Axis(f"{label} ({unit})", 0.0, max(end_s, 1.0), ticks)


def log(label: str, low: float, high: float, written: Callable[[float], str]) -> Axis:
    """Make an axis of whole powers of ten around low and high."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    last = max(last, first + 1)
    powers = [10.0**p for p in range(first, last + 1)]
    return Axis(label, powers[0], powers[-1], tuple((p, written(p)) for p in powers), is_log=True)


def chart(title: str, x: Axis, y: Axis, marks: Sequence[Mark], width: float = 720.0, height: float = 270.0) -> str:
    """Draw one chart, wide and narrow. title: what it shows, for screen readers."""
    narrow = _svg(title, x, y, marks, NARROW, max(NARROW_LEAST, 0.9 * height), "narrow-chart")
    return _svg(title, x, y, marks, width, height, "wide-chart") + narrow


def _svg(title: str, x: Axis, y: Axis, marks: Sequence[Mark], width: float, height: float, kind: str) -> str:
    frame = _Frame(x, y, width, height)
    drawn = "".join(_mark(frame, mark) for mark in marks)
    return (
        f'<svg class="{kind}" viewBox="0 0 {width:g} {frame.height:g}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{_axes(frame)}{drawn}</svg>"
    )


def swatch(ink: str) -> str:
    """Return the piece of line for a legend."""
    return f'<svg class="swatch" viewBox="0 0 34 10" aria-hidden="true"><path class="line {ink}" d="M1 5H33"/></svg>'


class _Frame:
    def __init__(self, x: Axis, y: Axis, width: float, height: float) -> None:
        self.x, self.y = x, y
        self.left = max(LEFT, 14.0 + _width(max((text for _, text in y.ticks), key=len, default="")))
        self.right = width - RIGHT
        self.label = textwrap.wrap(x.label, max(8, int((self.right - self.left) / CHARACTER))) or [""]
        """The lines of the label below."""
        self.height = height + TEXT_LINE * (len(self.label) - 1)
        self.top, self.bottom = TOP, height - BOTTOM

    def at_x(self, value: float) -> float:
        return self.left + self.x.part(value) * (self.right - self.left)

    def at_y(self, value: float) -> float:
        return self.bottom - self.y.part(value) * (self.bottom - self.top)


def _axes(f: _Frame) -> str:
    lines, words = [], []
    for value, text in f.y.ticks:
        at = f.at_y(value)
        lines.append(f"M{f.left:.1f} {at:.1f}H{f.right:.1f}")
        words.append(f'<text class="tick end" x="{f.left - 7:.1f}" y="{at + 4:.1f}">{escape(text)}</text>')
    ends_at = -math.inf
    for value, text in f.x.ticks:
        at = f.at_x(value)
        half = _width(text) / 2
        lines.append(f"M{at:.1f} {f.bottom:.1f}v4")
        if at - half > ends_at:
            ends_at = at + half + CHARACTER
            words.append(_middle("tick", min(at, f.right + RIGHT - half), f.bottom + 17, text))
    for number, part in enumerate(f.label):
        words.append(_middle("label", (f.left + f.right) / 2, f.bottom + 34 + TEXT_LINE * number, part))
    words.append(f'<text class="label" x="2" y="12">{escape(f.y.label)}</text>')
    return f'<path class="grid" d="{"".join(lines)}"/>{"".join(words)}'


def _width(text: str) -> float:
    """Return about how wide a text is drawn."""
    return CHARACTER * len(text)


def _middle(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind} mid" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _dot_labels(f: _Frame, mark: Dots, first: tuple[float, float], last: tuple[float, float]) -> str:
    """Label the first dot to its left and the last to its right, or to the other side if there is no space."""
    before_x, before_kind = first[0], "tick end"
    if before_x - _width(mark.before) < f.left:
        before_x, before_kind = max(f.left + 2, first[0] - 4), "tick"
    behind_x, behind_kind = last[0], "tick"
    if behind_x + _width(mark.behind) > f.right + RIGHT:
        behind_x, behind_kind = min(f.right + RIGHT - 2, last[0] + 4), "tick end"
    before_end = before_x if before_kind == "tick end" else before_x + _width(mark.before)
    behind_begin = behind_x - _width(mark.behind) if behind_kind == "tick end" else behind_x
    below = 19.0 if before_end + CHARACTER > behind_begin else -10.0
    return (
        f'<text class="{before_kind}" x="{before_x:.1f}" y="{first[1] - 10:.1f}">{escape(mark.before)}</text>'
        f'<text class="{behind_kind}" x="{behind_x:.1f}" y="{last[1] + below:.1f}">{escape(mark.behind)}</text>'
    )


def _mark(f: _Frame, mark: Mark) -> str:
    match mark:
        case Line():
            return f'<path class="line {mark.ink}" d="{_path(f, mark)}"><title>{escape(mark.name)}</title></path>'
        case Band():
            return f'<path class="band {mark.ink}" d="{_area(f, mark)}"><title>{escape(mark.name)}</title></path>'
        case Dots():
            points = [(f.at_x(x), f.at_y(y)) for x, y in zip(mark.x, mark.y, strict=True)]
            dots = [f'<circle class="dot {mark.ink}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>' for x, y in points]
            return "".join([*dots, _dot_labels(f, mark, points[0], points[-1])])
        case Guide():
            at = f.at_y(mark.y)
            return (
                f'<path class="guide" d="M{f.left:.1f} {at:.1f}H{f.right:.1f}"/>'
                f'<text class="tick end" x="{f.right - 2:.1f}" y="{at - 4:.1f}">{escape(mark.name)}</text>'
            )


def _path(f: _Frame, line: Line) -> str:
    parts: list[str] = []
    is_down = False
    before = 0.0
    for x, y in zip(line.x, line.y, strict=True):
        if not math.isfinite(y):
            is_down = False
            continue
        if is_down and line.is_step:
            parts.append(f"L{f.at_x(x):.1f} {before:.1f}")
        before = f.at_y(y)
        parts.append(f"{'L' if is_down else 'M'}{f.at_x(x):.1f} {before:.1f}")
        is_down = True
    return "".join(parts)


def _area(f: _Frame, band: Band) -> str:
    there = [f"{f.at_x(x):.1f} {f.at_y(y):.1f}" for x, y in zip(band.x, band.high, strict=True)]
    back = [f"{f.at_x(x):.1f} {f.at_y(y):.1f}" for x, y in zip(band.x, band.low, strict=True)]
    return f"M{'L'.join(there + back[::-1])}Z" if there else ""
