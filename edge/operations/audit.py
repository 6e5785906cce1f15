"""Who changed what: one line for every change that an operator makes, whatever level the log is set to.

    who      "signal HUP", or the admin listener's caller: its address, and what tells its token from others
    what     the command
    before, after    what it changed
    result   'done', or why not

A line holds no secret: of keys and tokens it has a digest that is too short to be of use to anybody else.
"""

import logging
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from edge.operations.logs import facts
from edge.settings.model import Settings

__all__ = ["audit", "changes", "digest"]

log = logging.getLogger("edge.audit")

#: Lists of more entries than this are told by their length.
LONG = 10


def audit(who: str, what: str, result: str, before: object = None, after: object = None) -> None:
    log.info("audit", extra=facts(who=who, what=what, before=before, after=after, result=result))


def digest(secret: bytes) -> str:
    """What tells a secret from others: 32 bits of its SHA-256."""
    return sha256(secret).hexdigest()[:8]


def changes(
    before: Settings, after: Settings, keys_before: Sequence[bytes] = (), keys_after: Sequence[bytes] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What differs between two settings, by path: what it was, and what it is. Rooms go by their names."""
    was, now = _flat(before), _flat(after)
    was["keys"], now["keys"] = [digest(key) for key in keys_before], [digest(key) for key in keys_after]
    paths = sorted(path for path in was.keys() | now.keys() if was.get(path) != now.get(path))
    return {path: _short(was.get(path)) for path in paths}, {path: _short(now.get(path)) for path in paths}


def _flat(settings: Settings) -> dict[str, Any]:
    tree = settings.model_dump(mode="json")
    tree["rooms"] = {room["name"]: room for room in tree["rooms"]}
    found: dict[str, Any] = {}
    _into(found, "", tree)
    return found


def _into(found: dict[str, Any], path: str, tree: Mapping[str, Any]) -> None:
    for name, value in tree.items():
        here = f"{path}.{name}" if path else name
        if isinstance(value, dict):
            _into(found, here, value)
        else:
            found[here] = value


def _short(value: Any) -> Any:
    if isinstance(value, list) and len(value) > LONG:
        return f"{len(value)} entries"
    if isinstance(value, str) and "?" in value:
        return value.partition("?")[0] + "?..."  # a query, as of `stock.path`, may hold a secret
    return value
