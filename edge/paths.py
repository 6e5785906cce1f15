"""Which paths a room covers: globs over one normalised form, so that no spelling walks around the line.

    /checkout  /Checkout  //checkout  /%63heckout  /a/../checkout  /checkout;x=1  /checkout/

are one place to many upstreams, so they are one place here. The normalised form serves matching only: what is forwarded
are the bytes that came. In a glob `*` stands for any run of characters, `/` among them. `/checkout*` covers
`/checkout`, `/checkout/pay` and `/checkout2`.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote

__all__ = ["compile_globs", "normalised_path"]


def normalised_path(target: str) -> str:
    """The form of a request target's path that rooms are matched on. target: as in the request line."""
    return _normalised(target.partition("?")[0].partition("#")[0])


@lru_cache(maxsize=4096)
def _normalised(path: str) -> str:
    path = unquote(path, errors="replace").replace("\\", "/")
    kept: list[str] = []
    for segment in path.split("/"):
        name = segment.partition(";")[0].strip()
        if name == "..":
            if kept:
                kept.pop()
        elif name not in ("", "."):
            kept.append(name.rstrip("."))
    return "/" + "/".join(kept).casefold()


def compile_globs(globs: Iterable[str]) -> re.Pattern[str]:
    """One expression that fully matches a normalised path (or host) when any of the globs does."""
    alternatives = (".*".join(re.escape(part.casefold()) for part in glob.split("*")) for glob in globs)
    return re.compile("|".join(f"(?:{alternative})" for alternative in alternatives) or r"(?!)", re.DOTALL)
