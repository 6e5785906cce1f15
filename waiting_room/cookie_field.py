"""The `Cookie` field of a request (RFC 6265, 4.2): a room's cookie among those of the shop."""

__all__ = ["cookie_name", "cookie_values"]


def cookie_name(room: str) -> str:
    return f"stanchion_{room}"


def cookie_values(header: str, name: str) -> list[str]:
    """Return all values that a `Cookie` header gives to `name`, in order (RFC 6265, 5.4: pairs separated by '; ').

    It searches for the name instead of parsing every pair, because a browser sends many cookies and one is ours.
    """
    values: list[str] = []
    needle = name + "="
    at = header.find(needle)
    while at >= 0:
        if at == 0 or _follows_semicolon(header, at):
            end = header.find(";", at)
            values.append(header[at + len(needle) : end if end >= 0 else None].strip(" \t"))
        at = header.find(needle, at + len(needle))
    return values


def _follows_semicolon(header: str, at: int) -> bool:
    before = header[at - 1]
    if before in " \t":  # after one space, as nearly always; of more, none is copied
        at -= 1
        while at > 0 and header[at - 1] in " \t":
            at -= 1
        before = header[at - 1] if at else ""
    return before == ";"
