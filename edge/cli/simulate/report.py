"""The report: one self-contained HTML page.

No script, and nothing is loaded from elsewhere: the page's own content security policy forbids it. It is readable on
paper, because a pattern of dashes distinguishes the lines as well as the colour.
"""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

from edge.cli.chart import swatch
from edge.cli.simulate.picture import Picture
from edge.cli.simulate.pictures import pictures
from edge.cli.simulate.table import COLUMNS, conditions, duration, share
from edge.cli.simulate.trial import OURS, Outcome, Trial, median, worst

__all__ = ["report"]

NO_ELSEWHERE = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def report(trials: Sequence[Trial], version: str, command: str) -> str:
    """Render the page. version, command: what makes the same page again."""
    css = files("edge.cli.simulate").joinpath("report.css").read_text("utf-8")
    names = ", ".join(trial.scenario.name for trial in trials)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(NO_ELSEWHERE)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>How fair is the line? {escape(names)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n<main>\n"
        f"{_opening()}{''.join(_trial(trial) for trial in trials)}{_measures()}{_closing(version, command)}"
        "</main>\n</body>\n</html>\n"
    )


def _opening() -> str:
    return (
        "<h1>How fair is the line?</h1>\n"
        '<p class="lead">A sale was played on a virtual clock: every visitor and every request, against the same '
        "code that runs in front of the shop. Each visitor is compared with the <em>ideal line</em>: one central queue "
        "that knows at once that a visitor has left, and admits the oldest visitor whenever a token is "
        "free.</p>\n<p>A line that visitors see through a browser cannot be quite as good, because nobody can be "
        "admitted between two polls. The <em>polling ideal</em> in the tables is the best that is possible under that "
        "rule. The other policies are the usual alternatives. They run behind the same bucket and get the same "
        "visitors.</p>\n"
    )


def _trial(trial: Trial) -> str:
    scenario = trial.scenario
    seeds = f"seeds {trial.seeds[0]} to {trial.seeds[-1]}" if len(trial.seeds) > 1 else f"seed {trial.seeds[0]}"
    visitors = len(trial.outcomes[0].first.people)
    return (
        f"<section>\n<h2>{escape(scenario.name)}</h2>\n"
        f'<p class="soft">{escape(scenario.description)}. {visitors:,} visitors. '
        f"{escape(conditions(scenario))}; {seeds}.</p>\n"
        f"{_verdict(trial)}{_table(trial)}{''.join(_picture(picture) for picture in pictures(trial))}</section>\n"
    )


def _verdict(trial: Trial) -> str:
    """State the result in words and five figures, of Stanchion if it was played."""
    subject = next((o for o in trial.outcomes if o.policy == OURS), trial.outcomes[0])
    f = median(subject.by_seed)
    name = "Stanchion" if subject.policy == OURS else subject.policy
    text = (
        f"With {escape(name)}, half of all visitors were admitted within {duration(f['median_s'])} of their "
        f"admission in the ideal line, and 99 of 100 within {duration(f['p99_s'])}."
    )
    lottery = next((o for o in trial.outcomes if o.policy == "bucket" and o is not subject), None)
    if lottery is not None:
        b = median(lottery.by_seed)
        text += f" Without a line, by chance alone, it is {duration(b['median_s'])} and {duration(b['p99_s'])}."
    return f'<p class="lead">{text}</p>\n<ul class="cards">{_cards(subject, f, trial)}</ul>\n'


def _cards(subject: Outcome, f: Mapping[str, float], trial: Trial) -> str:
    least = median(trial.polling_ideal)["polls_each"]
    cards = (
        (share(f["use"]), "of the capacity used while visitors waited"),
        (
            duration(f["p99_s"]),
            f"99 of 100 visitors are closer to the ideal line; the worst is {duration(f['max_s'])} away",
        ),
        (share(f["kendall"]), "of all pairs of visitors were admitted in the wrong order; a lottery has 50 %"),
        (f"{worst(subject.by_seed)['overshoot']:,.0f}", "admissions above capacity and burst, in the worst window"),
        (f"{f['polls_each']:.1f}", f"requests for each visitor; the least possible is {least:.1f}"),
    )
    return "".join(f"<li><b>{figure}</b><span>{escape(meaning)}</span></li>" for figure, meaning in cards)


def _table(trial: Trial) -> str:
    head = "".join(f'<th scope="col">{escape(column.title)}</th>' for column in COLUMNS)
    rows = []
    several = len(trial.seeds) > 1
    for outcome in trial.outcomes:
        kind = ' class="ours"' if outcome.policy == OURS else ""
        rows.append(_row(outcome.policy, kind, median(outcome.by_seed)))
        if several:
            rows.append(_row("worst seed", ' class="minor"', worst(outcome.by_seed)))
    rows.append(_row("polling ideal", "", median(trial.polling_ideal), [c.for_polling_ideal for c in COLUMNS]))
    rows.append(_row("ideal", "", median(trial.ideal), [c.for_ideal for c in COLUMNS]))
    what = "median over the seeds, and the worst of them" if several else "one seed"
    return (
        f'<div class="wide" tabindex="0"><table><caption class="soft">All measures: {what}. The end of the page '
        f'explains them.</caption><thead><tr><th scope="col">policy</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>\n"
    )


def _row(name: str, kind: str, values: Mapping[str, float], has: Sequence[bool] | None = None) -> str:
    shown = has or [True] * len(COLUMNS)
    texts = [escape(c.show(values[c.field])) if there else "&ndash;" for c, there in zip(COLUMNS, shown, strict=True)]
    cells = "".join(
        f'<td data-label="{escape(column.title)}">{text}</td>' for column, text in zip(COLUMNS, texts, strict=True)
    )
    return f'<tr{kind}><th scope="row">{escape(name)}</th>{cells}</tr>'


def _picture(picture: Picture) -> str:
    panels = "".join(
        f"<figure><figcaption>{escape(panel.caption)}</figcaption>{panel.svg}</figure>\n" for panel in picture.panels
    )
    legend = "".join(f"<li>{swatch(colour)}{escape(name)}</li>" for colour, name in picture.legend)
    texts = (("Shows", picture.shows), ("Perfect would be", picture.perfect), ("How to read it", picture.reading))
    reading = "".join(f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>" for name, text in texts)
    return (
        f'<h3>{escape(picture.title)}</h3>\n<dl class="reading">{reading}</dl>\n'
        + (f'<ul class="legend">{legend}</ul>\n' if legend else "")
        + (f'<div class="paired">{panels}</div>\n' if picture.is_paired else panels)
    )


def _measures() -> str:
    explained = "".join(f"<div><dt>{escape(c.title)}</dt><dd>{escape(c.meaning)}.</dd></div>" for c in COLUMNS)
    return f'<section>\n<h2>The measures</h2>\n<dl class="measures">{explained}</dl>\n</section>\n'


def _closing(version: str, command: str) -> str:
    return (
        "<footer>\n<p>The figures are medians over the seeds. The charts show the first seed in full. The simulation "
        "plays latency, jitter and every request. It does not play a shop that slows down, visitors that share a "
        f"ticket, or a limit on active visitors.</p>\n<p>Made by {escape(version)}. To get the same figures again: "
        f"<code>{escape(command)}</code></p>\n</footer>\n"
    )
