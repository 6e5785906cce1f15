"""What the programs of this folder share: the choice of load balancers and ways, and tables in the documents."""

import argparse
import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["chosen", "parser_of", "write_table"]


def parser_of(name: str, text: str | None) -> argparse.ArgumentParser:
    """Return the parser of a program. text: its docstring."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=text)
    parser.add_argument("--write", type=Path, default=None, metavar="FILE", help="put the table into this document")
    parser.add_argument("--only", default="", metavar="NAME:WAY,...", help="load balancers and ways (default: all)")
    return parser


def chosen(only: str, every: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of load balancer and way in `--only`, or all if it is empty."""
    if not only:
        return tuple(every)
    return tuple((name, way) for name, _, way in (each.partition(":") for each in only.split(",")))


def write_table(path: Path, mark: str, text: str) -> None:
    """Put a table between the markers `<!-- MARK:begin -->` and `<!-- MARK:end -->` of a document."""
    page = path.read_text("utf-8")
    marked = re.compile(rf"(<!-- {mark}:begin -->\n).*(<!-- {mark}:end -->)", re.S)
    path.write_text(marked.sub(lambda found: f"{found[1]}{text}\n{found[2]}", page), "utf-8")
