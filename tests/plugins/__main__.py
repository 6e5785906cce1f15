"""Play every case on every load balancer and way, and write the table of docs/plugins.md.

python -m tests.plugins [--write docs/plugins.md] [--only nginx:accel,caddy:path]
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from edge.cli.behind.balancer import find_program
from edge.cli.plugin.render import WAYS
from edge.support.errors import EdgeError
from tests.plugins.attached import attached
from tests.plugins.cases import CASES, SLOW_CASES
from tests.plugins.failures import FAILURES, LIMITS
from tests.plugins.played import limit_of, play, told
from tests.plugins.program import chosen, parser_of, write_table

ALL = (*CASES, *SLOW_CASES)
#: (load balancer, way) -> case -> '' if it was right, else the fault
Results = dict[tuple[str, str], dict[str, str]]


async def played(name: str, way: str) -> dict[str, str]:
    """Play all cases of one load balancer and way."""
    found: dict[str, str] = {}
    try:
        with tempfile.TemporaryDirectory() as folder:
            async with attached(name, way, Path(folder)) as bench:
                for case in ALL:
                    found[case.__name__] = await play(case, bench, LIMITS)
    except (EdgeError, AssertionError, ExceptionGroup) as fault:
        found |= {case.__name__: found.get(case.__name__, told(fault)) for case in ALL}
    for failure in FAILURES:
        if limit_of(LIMITS, name, way, failure.__name__):
            found[failure.__name__] = ""
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                async with asyncio.timeout(90):
                    await failure(name, way, Path(folder))
                found[failure.__name__] = ""
            except Exception as fault:  # noqa: BLE001 - any fault is a cell of the table
                found[failure.__name__] = told(fault)
    return found


def table(results: Results) -> str:
    """Return the table and its footnotes as Markdown."""
    notes: list[str] = []
    pairs = list(results)
    lines = [
        "| case | " + " | ".join(f"{name} {way}" for name, way in pairs) + " |",
        "| --- |" + " --- |" * len(pairs),
    ]
    for case in (*ALL, *FAILURES):
        cells = []
        for name, way in pairs:
            limit = limit_of(LIMITS, name, way, case.__name__)
            if limit:
                note = f"{name}: {limit}" if way != "path" or "through the edge" not in limit else limit
                if note not in notes:
                    notes.append(note)
                cells.append(f"not possible ({notes.index(note) + 1})")
            else:
                cells.append("**wrong**" if results[name, way][case.__name__] else "right")
        lines.append(f"| {case.__doc__} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *(f"{at}. {note}." for at, note in enumerate(notes, 1))])


def main() -> int:
    options = parser_of("tests.plugins", __doc__).parse_args()
    pairs = chosen(options.only, ((name, way) for name, ways in WAYS.items() for way in ways))
    for name in {name for name, _ in pairs}:
        try:
            find_program(name)
        except EdgeError as missing:
            print(missing, file=sys.stderr)
            return 1
    results: Results = {}
    for name, way in pairs:
        results[name, way] = asyncio.run(played(name, way))
        wrong = {case: fault for case, fault in results[name, way].items() if fault}
        print(f"{name} {way}: {len(results[name, way]) - len(wrong)} right, {len(wrong)} wrong", flush=True)
        for case, fault in wrong.items():
            print(f"    {case}: {fault}", flush=True)
    if options.write is not None:
        write_table(options.write, "conformance", table(results))
    return int(any(fault for found in results.values() for fault in found.values()))


if __name__ == "__main__":
    sys.exit(main())
