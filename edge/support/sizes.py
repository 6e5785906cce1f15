"""Sizes in words that people read."""

__all__ = ["size_text"]

#: Each unit is 1024 times the one before it, as file managers and `ls -h` count.
UNITS = ("kB", "MB", "GB", "TB")


def size_text(count: int) -> str:
    """Return a number of bytes as people write it: "1 byte", "800 bytes", "64 kB", "1.5 MB"."""
    if count < 1024:
        return "1 byte" if count == 1 else f"{count} bytes"
    size, unit = count / 1024, 0
    while size >= 1023.95 and unit < len(UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f}".removesuffix(".0") + f" {UNITS[unit]}"
