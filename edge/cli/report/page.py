"""The report as one self-contained HTML page: no script, and nothing is loaded from elsewhere."""

import math
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from edge.cli.chart import Band, Line, Mark, chart, linear, swatch, time_axis
from edge.cli.report.figures import NOBODY, USED, Figures, spread
from edge.cli.report.timeline import Entry, timeline
from edge.cli.report.words import capacity_name, clock, count, day, duration, hours, refusal, sentences, share

__all__ = ["page"]

NO_ELSEWHERE = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
PARTS = (
    ("line", "The line"),
    ("lanes", "The lanes"),
    ("order", "The order"),
    ("capacity", "The capacity"),
    ("told", "What visitors were told"),
    ("nodes", "The nodes"),
    ("refused", "Robots and refusals"),
    ("events", "What happened when"),
)


def page(f: Figures, version: str) -> str:
    """Render the page. version: of the command that makes it."""
    css = files("edge.cli.simulate").joinpath("report.css").read_text("utf-8")
    css += files("edge.cli.report").joinpath("sale.css").read_text("utf-8")
    room = escape(f.history.room)
    bodies = (_line(f), _lanes(f), _order(f), _capacity(f), _told(f), _nodes(f), _refused(f), _events(f))
    sections = "".join(
        f'<section id="{ident}">\n<h2>{title}</h2>\n{body}</section>\n'
        for (ident, title), body in zip(PARTS, bodies, strict=True)
        if body
    )
    links = "".join(
        f'<a href="#{ident}">{title}</a>' for (ident, title), body in zip(PARTS, bodies, strict=True) if body
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(NO_ELSEWHERE)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{room}: {escape(day(f.begin_s))}</title>\n<style>\n{css}</style>\n</head>\n<body>\n<main>\n"
        f'<p class="eyebrow">Report of the room {room}</p>\n<h1>{escape(day(f.begin_s))}, '
        f"{hours(f.begin_s, f.end_s, ' to ')}</h1>\n{_story(f)}{_cards(f)}<nav>{links}</nav>\n{sections}"
        f"{_closing(f, version)}</main>\n</body>\n</html>\n"
    )


def _story(f: Figures) -> str:
    return '<div class="story">' + "".join(f"<p>{escape(text)}</p>" for text in sentences(f)) + "</div>\n"


def _cards(f: Figures) -> str:
    peak = max(f.series.inside_line)
    cards = (
        (f"{f.came:,}", "visitors came"),
        (f"{f.got_in:,}", f"got in, {f.at_once:,} of them within a second"),
        (f"{f.left:,}", f"left before their turn ({share(f.left / f.came)})"),
        (duration(f.wait.p50), f"median wait until the admission; nine of ten {duration(f.wait.p90)}"),
        (f"{peak:,.0f}", "were in line when it was longest"),
        (
            share(1.0 - f.kendall, 2),
            f"of all pairs {'of one lane ' if f.lanes else ''}were admitted in the order in which they came",
        ),
    )
    listed = "".join(f"<li><b>{escape(figure)}</b><span>{escape(meaning)}</span></li>" for figure, meaning in cards)
    return f'<ul class="cards">{listed}</ul>\n'


def _line(f: Figures) -> str:
    s, end = f.series, f.end_s - f.begin_s
    x = time_axis("after the first arrival", end)
    rates: list[Mark] = [
        Line(s.at_s, s.arrivals, "p2", "arrivals"),
        Line(s.at_s, s.admissions, "p0", "admissions"),
        Line(s.at_s, s.capacity, "ideal", "the capacity"),
    ]
    top = max(1.0, *s.arrivals, *s.admissions, *s.capacity)
    known = [at for at, wait in zip(s.at_s, s.wait_p50, strict=True) if not math.isnan(wait)]
    low = [wait for wait in s.wait_p50 if not math.isnan(wait)]
    high = [wait for wait in s.wait_p90 if not math.isnan(wait)]
    waits: list[Mark] = [
        Band(known, low, high, "p0", "half to nine of ten"),
        Line(s.at_s, s.wait_p50, "p0", "median wait"),
        Line(s.at_s, s.ideal_wait, "ideal", "median wait in a perfect line"),
    ]
    return (
        _figure(
            "Visitors in line",
            chart(
                "Visitors in line",
                x,
                linear("visitors", max(1.0, *s.inside_line)),
                [
                    Band(s.at_s, [0.0] * len(s.at_s), s.inside_line, "p0", "in line"),
                    Line(s.at_s, s.inside_line, "p0", "in line"),
                ],
            ),
        )
        + _figure(
            f"Arrivals and admissions a second, means of {duration(s.step_s)}",
            chart("Arrivals and admissions a second", x, linear("a second", top), rates),
            (("p2", "arrivals"), ("p0", "admissions"), ("ideal", "what the room could admit")),
        )
        + _figure(
            "Wait by arrival: the line is the median, the shade reaches to nine of ten",
            chart("Wait by arrival", x, linear("wait (s)", max([1.0, *high])), waits),
            (("p0", "this line"), ("ideal", "a perfect line")),
        )
        + (
            f"<p>Visitors that left did so after {duration(f.left_after.p50)} (median; nine of ten within "
            f"{duration(f.left_after.p90)}).</p>\n"
            if f.left
            else ""
        )
    )


def _lanes(f: Figures) -> str:
    if not f.lanes:
        return ""
    rows = [
        (
            lane.name,
            "unknown" if lane.share is None else f"{lane.share:g} %",
            f"{lane.came:,}",
            f"{lane.got_in:,}",
            f"{lane.left:,}",
            duration(lane.wait.p50),
            duration(lane.wait.p90),
            duration(lane.wait.longest),
            share(1.0 - lane.kendall, 2),
        )
        for lane in f.lanes
    ]
    heads = ("lane", "capacity", "came", "got in", "left", "median wait", "nine of ten", "longest", "pairs in order")
    return (
        "<p>A visitor counts in the lane from which they were admitted, and before that in the lane to which they "
        "came. Waits are those of admitted visitors.</p>\n" + _table(heads, rows)
    )


def _order(f: Figures) -> str:
    d = f.displacement
    rows = (
        (
            f"Pairs {'of one lane ' if f.lanes else ''}in the wrong order (Kendall)",
            share(f.kendall, 3),
            "0 %: first come, first served; 50 %: a lottery",
        ),
        ("Distance from a perfect line, median", duration(d.p50), "between an admission and its moment there"),
        ("Distance from a perfect line, 99 of 100", duration(d.p99), f"the worst: {duration(d.longest)}"),
        ("Admitted in both lines", f"{d.count:,}", "visitors that the distances count"),
    )
    return (
        "<p>Each visitor is compared with a perfect line: one central queue. It knows at once which visitors have "
        "left, and admits the oldest visitor whenever the capacity allows one more. It stood still when this line "
        f"did.{' It has no lanes.' if f.lanes else ''}</p>\n" + _table(("measure", "value", "meaning"), rows, "worded")
    )


def _capacity(f: Figures) -> str:
    total = sum(f.capacity_parts.values())
    if not total:
        return ""
    lost = sorted(f.capacity_parts.keys() - {USED, NOBODY}, key=lambda name: -f.capacity_parts[name])
    parts = [(name, f.capacity_parts.get(name, 0.0) / total) for name in (USED, *lost, NOBODY)]
    there = [(name, f"s-{name.partition('.')[0]}", part) for name, part in parts if part]
    bar = "".join(f'<span class="{ink}" style="flex:{part:.5f}"></span>' for _, ink, part in there)
    key = "".join(
        f'<li><i class="{ink}"></i><b>{share(part)}</b><span>{escape(capacity_name(name))}</span></li>'
        for name, ink, part in there
    )
    return (
        f"<p>The room could have admitted {count(total, 'visitor')} in this time. As long as the perfect line was not "
        f"empty, {share(f.use)} of what there was went to visitors.</p>\n"
        f'<div class="stack" role="img" aria-label="What became of the capacity">{bar}</div>\n'
        f'<ul class="key">{key}</ul>\n'
    )


def _told(f: Figures) -> str:
    if not f.told_error.count:
        return ""
    e = f.told_error
    return (
        f"<p>The record holds a sample of {e.count:,} waits that visitors were told on their pages. "
        f"{share(f.told_kept, 0)} were kept: the visitor was admitted no more than a fifth (or 5 s) later than told. "
        f"Half of them were right to within {duration(e.p50)}, nine of ten to within {duration(e.p90)}.</p>\n"
    )


def _nodes(f: Figures) -> str:
    rows = []
    for node in f.nodes:
        waits = spread(node.waits)
        rows.append(
            (
                node.name,
                f"{node.came:,}",
                f"{node.admitted:,}",
                share(node.admitted / max(1, f.got_in)),
                duration(waits.p50),
                f"{node.restarts:,}",
            )
        )
    heads = ("node", "arrivals", "admissions", "share", "median wait", "restarts")
    return "<p>A node is one worker process; its name is machine/worker.</p>\n" + _table(heads, rows)


def _refused(f: Figures) -> str:
    if not f.refused:
        return "<p>No request was refused, and none was suspected to be a robot's.</p>\n"
    rows = [(refusal(name), f"{number:,}") for name, number in sorted(f.refused.items(), key=lambda each: -each[1])]
    return (
        "<p>Requests, not visitors: a robot sends many. Refusals by lists and limits count for the whole machine.</p>\n"
        + _table(("what", "requests"), rows)
    )


def _events(f: Figures) -> str:
    entries = timeline(f.history)
    if not entries:
        return "<p>Nothing was changed, and nothing broke.</p>\n"
    return f'<ol class="events">{"".join(_event(entry) for entry in entries)}</ol>\n'


def _event(entry: Entry) -> str:
    more = f"<small>{escape(entry.more)}</small>" if entry.more else ""
    kind = ' class="fault"' if entry.is_fault else ""
    return f"<li{kind}><time>{clock(entry.at_s)}</time><div>{escape(entry.text)}{more}</div></li>"


def _figure(caption: str, svg: str, legend: Sequence[tuple[str, str]] = ()) -> str:
    key = "".join(f"<li>{swatch(ink)}{escape(name)}</li>" for ink, name in legend)
    listed = f'<ul class="legend">{key}</ul>' if key else ""
    return f"<figure><figcaption>{escape(caption)}</figcaption>{listed}{svg}</figure>\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """Render a table. kind: 'worded' if its last column holds words."""
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(
            f'<td data-label="{escape(name)}">{escape(cell)}</td>'
            for name, cell in zip(heads[1:], row[1:], strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide {kind}"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n'


def _closing(f: Figures, version: str) -> str:
    machines = len({each.machine for each in f.history.notes})
    return (
        f"<footer>\n<p>Made by {escape(version)} from the record of {count(machines, 'machine')}. Times are of this "
        "computer's time zone. The record holds no address and no cookie. A visitor is one cookie: one person with two "
        "browsers counts twice.</p>\n</footer>\n"
    )
