"""Join challenges: where a room asks for it, a visitor pays for a place with some computing or a longer wait.

    first visit              -> a join token (cookie: id, arrival) and a challenge                      state: joining
    join token + solution    -> a ticket with the token's id, dated at the arrival      however slow the device was
    join token, later        -> after no_script_wait_seconds: a ticket with the token's id, dated now
                                                                                        scripts are off, or a program
The protocol is ALTCHA's proof of work by SHA-256: find the number n up to `maxnumber` with hash(salt + n) = challenge.
It was chosen over its successor with key derivation because a check costs the edge two hashes, not as much as a try.

    salt = <random> ? room, id of the token, network, expiry &           all of it is in the challenge, which is signed

A solution counts for one join token, from one network, before its expiry, and once. A solution replayed at a node that
does not remember it gives the same place again. The memory of solutions is bounded (`edge/support/recent_set.py`).
"""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from altcha.v1 import create_challenge, extract_params, verify_solution

from edge.settings.room import JoinSettings
from edge.support.recent_set import RecentSet
from waiting_room.ticket import JoinToken, Ticket

__all__ = ["POINTS_A_SHARE", "JoinChallenges"]

#: This many points of the bot score double the difficulty that a visitor without points gets.
POINTS_A_SHARE = 20
#: The longest solution that is looked at, in characters; a browser's has some 500.
MAX_SOLUTION = 2048
MOST_SOLUTIONS = 32_768
#: How much later than asked a visitor without scripts may come back, in seconds.
LATE_S = 600.0
_FIELDS: tuple[tuple[str, type], ...] = (
    *(("algorithm", str), ("challenge", str), ("number", int), ("salt", str), ("signature", str)),
)


class JoinChallenges:
    """One room's, at one node. keys: newest first; the first signs challenges, all verify them."""

    def __init__(self, room: str, settings: JoinSettings, keys: Sequence[bytes]) -> None:
        self.settings = settings
        self._room = room
        self._keys = keys
        self._solved: RecentSet[str] = RecentSet(MOST_SOLUTIONS)

    @property
    def join_token_s(self) -> float:
        """How long a join token counts, in seconds."""
        return max(self.settings.no_script_wait_seconds, self.settings.challenge_ttl_seconds) + LATE_S

    def is_current(self, join_token: JoinToken, now: float) -> bool:
        """Return whether a join token is neither too old nor from a clock that is far ahead."""
        return -LATE_S < now - join_token.arrived < self.join_token_s

    def ticket(self, join_token: JoinToken, solution: str, network: str, now: float) -> tuple[Ticket | None, str]:
        """Return the ticket of a visitor that did what was asked, and the result for the metrics ('' if there is none).

        The place counts from the arrival, or without a solution from now. A clock that is ahead gains nobody anything.
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
        """Return the challenge for this visitor, as JSON. network: where it must be solved. points: the bot score."""
        difficulty = self.settings.difficulty * (1.0 + points / POINTS_A_SHARE)
        made = create_challenge(
            algorithm="SHA-256",
            max_number=round(2 * difficulty),
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
        """Return why a solution does not count; None, once, if it counts. solution: as sent, base64."""
        parsed = _parsed(solution)
        if parsed is None:
            return "malformed"
        # The library would read the clock itself, and takes the first of several parameters of one name.
        if not any(verify_solution(parsed, key, check_expires=False)[0] for key in self._keys):
            return "forged"
        params = extract_params(parsed)
        if any(params.get(name) != [value] for name, value in self._bound_to(join_token, network).items()):
            return "foreign"
        if not now < int(params["expires"][0]):
            return "expired"
        return "replayed" if self._solved.note(parsed["signature"]) else None

    def _bound_to(self, join_token: JoinToken, network: str) -> dict[str, str]:
        return {"room": self._room, "id": join_token.id, "network": network}


def _parsed(solution: str) -> Any:
    """Return the solution in the library's form, or None if it is malformed."""
    if len(solution) > MAX_SOLUTION:
        return None
    try:
        parsed = json.loads(base64.b64decode(solution, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict) or any(type(parsed.get(name)) is not kind for name, kind in _FIELDS):
        return None
    return parsed
