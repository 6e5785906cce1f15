"""Numbers, times and dates in the form of a language, by the patterns of Unicode's CLDR that `cldr.json` holds."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

__all__ = ["Numbers", "formatted"]


class Numbers:
    """The form of whole numbers.

    separator: between groups of digits. first, rest: digits of the last group and of the others (UTS 35, part 3: the
    pattern `#,##,##0`). digits: the ten digits of the language, '' for 0 to 9.
    """

    __slots__ = ("_digits", "_first", "_is_plain", "_rest", "_separator", "_three")

    def __init__(self, separator: str, first: int, rest: int, digits: str) -> None:
        self._separator, self._first, self._rest = separator, first, rest
        self._digits = str.maketrans("0123456789", digits) if digits else None
        self._is_plain = first == rest == 3 and not digits
        self._three = separator.encode()

    def text(self, n: int) -> str:
        return self.encoded(n).decode()

    def encoded(self, n: int) -> bytes:
        """Return a number in UTF-8."""
        if self._is_plain:
            return _grouped(n, self._three)
        head, parts = str(n), []
        size = self._first
        while len(head) > size:
            parts.append(head[-size:])
            head, size = head[:-size], self._rest
        text = self._separator.join([head, *reversed(parts)])
        return self.native(text).encode()

    def native(self, text: str) -> str:
        """Return a text with its digits replaced by those of the language."""
        return text if self._digits is None else text.translate(self._digits)


def _grouped(n: int, separator: bytes) -> bytes:
    if n < 1000:
        return str(n).encode()
    return b"%b%b%b" % (_grouped(n // 1000, separator), separator, _THREE_DIGITS[n % 1000])


_THREE_DIGITS: Final = [b"%03d" % n for n in range(1000)]


def formatted(moment_s: float, pattern: str, months: Sequence[str]) -> str:
    """Return a moment in UTC by a pattern of CLDR (UTS 35, part 4). moment_s: Unix time in seconds.

    Years, months, days, hours of 0 to 23, minutes and quoted text are known. months: their abbreviated names.
    """
    at = datetime.fromtimestamp(moment_s, UTC)
    numbers = {"y": at.year, "M": at.month, "L": at.month, "d": at.day, "H": at.hour, "m": at.minute}

    def value(found: re.Match[str]) -> str:
        token = found[0]
        if token[0] == "'":
            return token[1:-1] or "'"
        if token[0] in "ML" and len(token) == 3:
            return months[at.month - 1]
        return str(numbers[token[0]]).zfill(len(token))

    return _TOKENS.sub(value, pattern)


_TOKENS: Final = re.compile(r"'[^']*'|y+|M+|L+|d+|H+|m+")
