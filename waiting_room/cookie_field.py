"""The `Cookie` field of a request (RFC 6265, 4.2): a room's cookie among those of the shop."""

from typing import Final

__all__ = ["cookie_name", "cookie_values"]

#: More values than a field can hold.
ALL: Final = 1 << 30


def cookie_name(room: str) -> str:
    return f"stanchion_{room}"


def cookie_values(header: str, name: str, most: int = ALL) -> list[str]:
    """Return the first `most` values that a `Cookie` header gives to `name` (RFC 6265, 5.4: pairs separated by '; ').

    It searches for the name instead of parsing every pair, because a browser sends many cookies and one is ours.
    """
    values: list[str] = []
    needle = name + "="
    at, begin = header.find(needle), 0
    while at >= 0 and len(values) < most:
        if at == 0 or header[at - 2 : at] == "; " or _follows_semicolon(header, begin, at):
            end = header.find(";", at)
            values.append(header[at + len(needle) : end if end >= 0 else None].strip(" \t"))
        begin = at
        at = header.find(needle, at + len(needle))
    return values


def _follows_semicolon(header: str, begin: int, at: int) -> bool:
    """Return whether only blanks stand between `at` and a semicolon. begin: of the last pair with the name, so that
    the searches of a field with thousands of them do not overlap."""
    semicolon = header.rfind(";", begin, at)
    return semicolon >= 0 and not header[semicolon + 1 : at].strip(" \t")
