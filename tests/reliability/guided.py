"""Mutations guided by coverage, by atheris: `make fuzz ARGS="head -max_total_time=600"`. Kinds: head, chunks, cookie.

It checks the same rules as `fuzz.py`, but is guided by the branches that an input takes, not by the result that it
gets. Run it after a change to a parser. It ends at the first input that breaks a rule, or at the given time.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["edge.proxy", "waiting_room"]):
    from tests.reliability.fuzz import checks


def main() -> None:
    kinds = checks()
    if len(sys.argv) < 2 or sys.argv[1] not in kinds:
        raise SystemExit(f"name what to mutate: {', '.join(kinds)}")
    pool, check = kinds[sys.argv[1]]
    with tempfile.TemporaryDirectory() as folder:
        for at, seed in enumerate(pool):
            (Path(folder) / str(at)).write_bytes(seed)
        atheris.Setup([sys.argv[0], folder, "-max_len=20000", *sys.argv[2:]], check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
