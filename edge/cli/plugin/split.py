"""What a load balancer needs to verify passes itself, and which settings it could not enforce then."""

import base64
import re
from typing import Final

from edge.cli.plugin.site import SplitRoom, refusal
from edge.decision.cookies import PREFIX
from edge.settings.model import Settings
from edge.settings.room import RoomSettings
from waiting_room.cookie_field import cookie_name
from waiting_room.signature import derived

__all__ = ["pass_keys_of", "split_rooms_of"]

#: A pattern that a comparison of the beginning of the path can express.
_SIMPLE: Final = re.compile(r"(/[A-Za-z0-9_/-]+)\*")
#: The salt of passes is a part of the cookie format (`waiting_room/ticket.py`).
_PASS_SALT: Final = b"stanchion.pass.v1"


def pass_keys_of(keys: tuple[bytes, ...]) -> tuple[str, ...]:
    """Return the derived keys of passes in base64, newest first. They verify and make passes, and nothing else."""
    return tuple(base64.b64encode(derived(key, _PASS_SALT)).decode() for key in keys)


def split_rooms_of(settings: Settings, *, is_secure: bool) -> tuple[SplitRoom, ...]:
    """Return the rooms with passes that a load balancer can verify. Raises ConfigurationError for what it cannot do."""
    prefixes: dict[str, int] = {}
    rooms = []
    for at, room in enumerate(settings.rooms):
        rooms.append(_room(room, f"rooms[{at}]", settings, is_secure=is_secure))
        for prefix in rooms[-1].prefixes:
            other = next((each for each in prefixes if each.startswith(prefix) or prefix.startswith(each)), None)
            if other is not None and prefixes[other] != at:
                raise refusal(f"rooms[{at}].match.paths", f"{prefix} overlaps rooms[{prefixes[other]}]: {other}")
            prefixes[prefix] = at
    return tuple(rooms)


def _room(room: RoomSettings, path: str, settings: Settings, *, is_secure: bool) -> SplitRoom:
    if room.session.bind:
        raise refusal(
            f"{path}.session.bind", "a load balancer cannot tell which browser a pass was given to; set bind: []"
        )
    if room.match.host != "*":
        raise refusal(f"{path}.match.host", "the split way compares paths only; set host: '*'")
    if room.stock.path is not None:
        raise refusal(f"{path}.stock.path", "claims end by the shop's responses, which do not pass the edge")
    prefixes = []
    for pattern in room.match.paths:
        simple = _SIMPLE.fullmatch(pattern)
        if simple is None:
            raise refusal(f"{path}.match.paths", f"the split way needs patterns like /checkout*, got {pattern!r}")
        prefixes.append(simple[1])
    is_prefixed = settings.cookies.domain is None and (
        settings.cookies.secure == "always" or (settings.cookies.secure == "auto" and is_secure)
    )
    cookie = (PREFIX if is_prefixed else "") + cookie_name(room.name)
    return SplitRoom(room.name, tuple(prefixes), cookie, room.session.duration_seconds)
