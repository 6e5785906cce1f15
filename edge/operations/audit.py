"""The audit trail: one log line for every change that an operator makes, at every log level.

    actor            "signal HUP", or a caller of the admin listener: its address and a digest of its token
    action           the command
    before, after    the changed values, by path
    result           'done', or the reason why nothing changed

A line holds no secret. Keys and tokens appear as digests of 32 bits, which are too short to attack.
"""

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from edge.operations.logs import facts
from edge.settings.model import Settings

__all__ = ["audit", "changes", "digest", "recent"]

log = logging.getLogger("edge.audit")

#: A list of more entries than this is logged as its length.
LONG = 10
#: The last changes of this process, for the dashboard.
_recent: deque[dict[str, Any]] = deque(maxlen=200)


def audit(
    actor: str, action: str, result: str, before: object = None, after: object = None, *, room: str | None = None
) -> None:
    """Log a change. room: the one that it concerns, None if it is the whole edge."""
    entry = {"actor": actor, "action": action, "before": before, "after": after, "result": result}
    _recent.append({"time": time.time(), "room": room, **entry})
    log.info("audit", extra=facts(**entry))


def recent() -> list[dict[str, Any]]:
    """Return the last changes, oldest first. time: wall clock, seconds."""
    return list(_recent)


def digest(secret: bytes) -> str:
    """Return 32 bits of a secret's SHA-256: enough to tell it from others."""
    return sha256(secret).hexdigest()[:8]


def changes(
    before: Settings, after: Settings, keys_before: Sequence[bytes] = (), keys_after: Sequence[bytes] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the values that differ between two settings, before and after, by path. Rooms are named in paths."""
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
        # A query, such as that of `stock.path`, may hold a secret.
        return value.partition("?")[0] + "?..."
    return value
