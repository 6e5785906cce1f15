"""What a place in line costs, where a room says so: a little computing, or a longer wait.

    first visit       -> a join_token (a cookie: who, when), a challenge                         state: joining
    join_token + solution   -> a ticket with the join_token's id, dated at the arrival                 however slow the device
    join_token, later       -> after no_script_wait_seconds a ticket with the join_token's id, dated now      scripts are off, or a program

The protocol is ALTCHA's proof of work by SHA-256: find the number n up to `maxnumber` with hash(salt + n) = challenge.
It was chosen over its successor with key derivation because checking costs the edge two hashes, not as much as a try.

    salt = <random> ? room, join_token's id, network, expiry &              all of it is in the challenge, which is signed

A solution counts for one join_token, from one network, before its expiry, and once; and whatever is replayed where nobody
remembers it, the place it gives is the same one. The memory of solutions is bounded by two generations.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from altcha.v1 import create_challenge, extract_params, verify_solution

from edge.settings.room import JoinSettings
from edge.support.recent_set import Seen
from waiting_room.ticket import JoinToken, Ticket

__all__ = ["POINTS_A_SHARE", "Joining"]

#: So many points of the bot score are as much work again as a visitor without any has.
POINTS_A_SHARE = 20
#: The longest solution that is looked at; a browser's has some 500 characters.
MAX_SOLUTION = 2048
MOST_SOLUTIONS = 32_768
#: How much later than asked a visitor without scripts may come back, seconds.
LATE_S = 600.0
_FIELDS: tuple[tuple[str, type], ...] = (
    *(("algorithm", str), ("challenge", str), ("number", int), ("salt", str), ("signature", str)),
)


class Joining:
    """One room's, at one node. keys: newest first; the first signs challenges, all verify them."""

    def __init__(self, room: str, settings: JoinSettings, keys: Sequence[bytes]) -> None:
        self.settings = settings
        self._room = room
        self._keys = keys
        self._solved: Seen[str] = Seen(MOST_SOLUTIONS)

    @property
    def join_token_s(self) -> float:
        """How long a join_token is good for, seconds."""
        return max(self.settings.no_script_wait_seconds, self.settings.challenge_ttl_seconds) + LATE_S

    def is_current(self, join_token: JoinToken, now: float) -> bool:
        """Whether a join_token is neither too old nor from a clock that is far ahead."""
        return -LATE_S < now - join_token.arrived < self.join_token_s

    def ticket(self, join_token: JoinToken, solution: str, network: str, now: float) -> tuple[Ticket | None, str]:
        """The place of a visitor who has done what was asked for, and a word for the metrics.

        It counts from the arrival, or, without a solution, from now on. A clock that is ahead gains nobody anything.
        """
        if solution:
            fault = self.fault_in(solution, join_token, network, now)
            if fault is not None:
                return None, fault
            arrived = max(join_token.arrived, now - self.settings.challenge_ttl_seconds)
            return Ticket(join_token.id, join_token.room, arrived, float(int(now))), "solved"
        if now - join_token.arrived < self.settings.no_script_wait_seconds:
            return None, ""
        return Ticket(join_token.id, join_token.room, now, float(int(now))), "waited"

    def challenge(self, join_token: JoinToken, network: str, now: float, points: int) -> str:
        """What this visitor is to solve, as JSON. network: what tells networks apart. points: of the bot score."""
        work = self.settings.difficulty * (1.0 + points / POINTS_A_SHARE)
        made = create_challenge(
            algorithm="SHA-256",
            max_number=round(2 * work),
            salt_length=12,
            hmac_key=self._keys[0],
            salt="",
            number=None,
            expires=datetime.fromtimestamp(now + self.settings.challenge_ttl_seconds, UTC),
            params=self._bound_to(join_token, network),
        )
        return json.dumps(
            {
                "algorithm": made.algorithm,
                "challenge": made.challenge,
                "maxnumber": made.max_number,
                "salt": made.salt,
                "signature": made.signature,
            }
        )

    def fault_in(self, solution: str, join_token: JoinToken, network: str, now: float) -> str | None:
        """Why a solution does not count; None, once, when it does. solution: as the protocol sends it, base64."""
        given = _parsed(solution)
        if given is None:
            return "malformed"
        # The library looks at the clock by itself, and takes the first of several parameters of one name.
        if not any(verify_solution(given, key, check_expires=False)[0] for key in self._keys):
            return "forged"
        params = extract_params(given)
        if any(params.get(name) != [value] for name, value in self._bound_to(join_token, network).items()):
            return "foreign"
        if not now < int(params["expires"][0]):
            return "expired"
        return "replayed" if self._solved.note(given["signature"]) else None

    def _bound_to(self, join_token: JoinToken, network: str) -> dict[str, str]:
        return {"room": self._room, "id": join_token.id, "network": network}


def _parsed(solution: str) -> Any:
    """The solution as the library wants it; None when it is none."""
    if len(solution) > MAX_SOLUTION:
        return None
    try:
        given = json.loads(base64.b64decode(solution, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    if not isinstance(given, dict) or any(type(given.get(name)) is not kind for name, kind in _FIELDS):
        return None
    return given
