"""Words: how a text becomes the words of the index, and which known word somebody meant. Pure.

    words("Crème brûlée, 2er-Set")   creme brulee 2er set        both stores index these, so both find the same

A word that is not in the catalogue is replaced by the nearest known one: the fewest edits (optimal string alignment:
insert, delete, replace, swap two neighbours), at most one in words of up to 5 letters and two in longer ones.
"""

import re
import unicodedata
from collections.abc import Iterable
from hashlib import blake2s

MOST_LETTERS = 40
WORD = re.compile(r"[^\W_]+")
SHORT = 5
MOST_EDITS = 2


def words(text: str) -> list[str]:
    """Return the words of a text: lower case, without accents, at most 40 letters each."""
    if text.isascii():
        return [word[:MOST_LETTERS] for word in WORD.findall(text.lower())]
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return [word[:MOST_LETTERS] for word in WORD.findall(letters)]


def facet(name: str, value: str) -> str:
    """Return the one word that stands for a filter, so that an index of words finds filters as well.

    Its first letter is one for private use: both stores take it for a letter, and no word of a text begins with it.
    """
    return "\ue000" + blake2s(f"{name}={value}".encode(), digest_size=10).hexdigest()


def trigrams(word: str) -> set[str]:
    """Return the trigrams of a word as pg_trgm makes them: with two blanks before it and one behind it."""
    padded = f"  {word} "
    return {padded[at : at + 3] for at in range(len(padded) - 2)}


def distance(one: str, other: str, most: int) -> int:
    """Return the optimal string alignment distance, or most + 1 if it is larger."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, opposite in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != opposite))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == opposite:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return min(last[-1], most + 1)


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the known word that was meant, or None if none is near enough."""
    most = 1 if len(word) <= SHORT else MOST_EDITS
    found = min(((distance(word, known, most), known) for known in candidates), default=None)
    return found[1] if found and found[0] <= most else None
