"""Which paths a room covers: globs over one normalised form, so that no spelling walks around the line.

    /checkout  /Checkout  //checkout  /%63heckout  /a/../checkout  /checkout;x=1  /checkout/

are one place to many upstreams, so they are one place here. The normalised form serves matching only: the request is
forwarded with the bytes it came with.

    /checkout/../x    /checkout/..;/x    /%2563heckout

are two places: some upstreams resolve dots before they route, some never do; some decode twice. `readings` returns
every form that an upstream may make of a target, and a room covers the request if it covers any of them. All but
hostile targets have one reading, because browsers resolve dots themselves.

In a glob `*` stands for any run of characters, `/` included. `/checkout*` covers `/checkout`, `/checkout/pay` and
`/checkout2`.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import unquote

__all__ = ["PrefixIndex", "compile_globs", "readings"]


def readings(target: str) -> tuple[str, ...]:
    """Return every normalised form by which an upstream may route a request target, the usual one first."""
    return _readings(target.partition("?")[0].partition("#")[0])


@lru_cache(maxsize=4096)
def _readings(path: str) -> tuple[str, ...]:
    once = unquote(path, errors="replace")
    forms = [_resolved(once, dots=True)]
    twice = unquote(once, errors="replace")
    if ".." in twice or twice != once:  # hostile: no known browser sends either
        forms += [_resolved(once, dots=False), _resolved(twice, dots=True), _resolved(twice, dots=False)]
    return tuple(dict.fromkeys(forms))


def _resolved(path: str, *, dots: bool) -> str:
    """dots: whether '..' removes the segment before it; otherwise only the '..' itself is dropped."""
    kept: list[str] = []
    for segment in path.replace("\\", "/").split("/"):
        name = segment.partition(";")[0].strip()
        if name == "..":
            if kept and dots:
                kept.pop()
        elif name not in ("", "."):
            kept.append(name.rstrip("."))
    return "/" + "/".join(kept).casefold()


def compile_globs(globs: Iterable[str]) -> re.Pattern[str]:
    """Return one expression that fully matches a normalised path (or host) if any of the globs does."""
    alternatives = (".*".join(re.escape(part.casefold()) for part in glob.split("*")) for glob in globs)
    return re.compile("|".join(f"(?:{alternative})" for alternative in alternatives) or r"(?!)", re.DOTALL)


class PrefixIndex:
    """Finds which of many lists of globs can match a path at all, in the time of one match rather than of all.

    A glob matches only paths that begin with the text before its first `*`. These prefixes are kept by length, and a
    path is looked up by its own prefixes of these lengths: one look-up for each length that occurs.
    """

    def __init__(self, globs: Sequence[Iterable[str]]) -> None:
        self._by_length: dict[int, dict[str, list[int]]] = {}
        for at, each in enumerate(globs):
            for prefix in {glob.partition("*")[0].casefold() for glob in each}:
                self._by_length.setdefault(len(prefix), {}).setdefault(prefix, []).append(at)

    def candidates(self, path: str) -> list[int]:
        """Return the numbers of the lists that may match a normalised path, ascending."""
        found: set[int] = set()
        for length, prefixes in self._by_length.items():
            found.update(prefixes.get(path[:length], ()))
        return sorted(found)
