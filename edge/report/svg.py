"""A line chart as an SVG string: a dozen lines of arithmetic instead of a plotting library.

y |      __/       axes with round ticks, one polyline a series, a legend; scales with its box
  |  __/
  +--------- x
"""

from collections.abc import Mapping, Sequence
from html import escape
from math import floor, isfinite, log10

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 260, 56, 36, 26
COLOURS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#65a30d")

Points = Sequence[tuple[float, float]]


def chart(title: str, x_label: str, y_label: str, series: Mapping[str, Points]) -> str:
    """One chart; points that are not finite are left out."""
    clean = {n: [(x, y) for x, y in p if isfinite(x) and isfinite(y)] for n, p in series.items()}
    every = [point for points in clean.values() for point in points] or [(0.0, 0.0), (1.0, 1.0)]
    x0, x1 = _span([x for x, _ in every])
    y0, y1 = _span([0.0, *(y for _, y in every)])

    def at(x: float, y: float) -> str:
        px = LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - 10)
        py = HEIGHT - BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - BOTTOM - TOP)
        return f"{px:.1f},{py:.1f}"

    out = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    out.append(f'<text x="{LEFT}" y="14" class="t">{escape(title)}</text>')
    for value in _ticks(y0, y1):
        left, right = at(x0, value), at(x1, value)
        out.append(f'<polyline class="g" points="{left} {right}"/>')
        y = float(left.split(",")[1]) + 4
        out.append(f'<text x="{LEFT - 6}" y="{y:.1f}" text-anchor="end">{value:g}</text>')
    for value in _ticks(x0, x1):
        x = at(value, y0).split(",")[0]
        out.append(f'<text x="{x}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{value:g}</text>')
    out.append(f'<text x="{WIDTH - 10}" y="{HEIGHT - 4}" text-anchor="end">{escape(x_label)}</text>')
    out.append(f'<text x="{LEFT}" y="{HEIGHT - 4}">{escape(y_label)}</text>')
    for i, (name, points) in enumerate(clean.items()):
        colour = COLOURS[i % len(COLOURS)]
        line = " ".join(at(x, y) for x, y in points)
        out.append(f'<polyline class="s" style="stroke:{colour}" points="{line}"/>')
        right_px = WIDTH - 10 - 110 * (len(clean) - 1 - i)
        out.append(
            f'<text x="{right_px}" y="14" text-anchor="end" style="fill:{colour}">{escape(name)}</text>'
        )
    return "".join([*out, "</svg>"])


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low, low + 1.0)


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5.0
    power = 10.0 ** floor(log10(rough))
    step = next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= rough)
    first = -floor(-low / step)
    return [round((first + i) * step, 10) for i in range(8) if (first + i) * step <= high]
