"""Measured tables of a document: the text between `<!-- name -->` and `<!-- end of name -->`."""

from pathlib import Path

__all__ = ["replace_table"]


def replace_table(document: Path, name: str, table: str) -> None:
    text = document.read_text()
    before, begin, rest = text.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    if not begin or not end:
        raise SystemExit(f"{document} has no place for {name}")
    document.write_text(f"{before}{begin}{table}\n{end}{after}")
