"""Which of several cookies of one name counts (`cookies.py` says how a browser comes to have them)."""

from collections.abc import Mapping

from edge.decision.context import Credential
from edge.decision.cookies import Cookies
from edge.messages.head import RequestHead
from edge.rooms.binding import Binding
from edge.rooms.room import Room
from waiting_room.ticket import Keyring, Pass, Rejected, Rejection, Ticket

__all__ = ["SeveralCookies"]


class SeveralCookies:
    """One node's. bindings: by room."""

    def __init__(self, cookies: Cookies, keys: Keyring, bindings: Mapping[str, Binding]) -> None:
        self._cookies = cookies
        self._keys = keys
        self._bindings = bindings

    def best_first(self, room: Room, head: RequestHead, values: list[str]) -> list[Credential | Rejected]:
        """Return what several cookies hold, best first, or why none of them counts. values: those of the right name.

        If none of them is authentic, the cookies of the other name are read (`cookies.py`)."""
        found: list[Credential] = []
        for each in (values, self._cookies.read_other(room.cookie, head)):
            for value in each:
                read = self._keys.read(value, room.name)
                if not isinstance(read, Rejected):
                    found.append(read)
            if found:
                break
        if not found:
            return [Rejected(Rejection.DUPLICATED)]
        found.sort(key=lambda credential: self._rank(room, credential, head))
        return list(found)

    def _rank(self, room: Room, credential: Credential, head: RequestHead) -> tuple[int, float]:
        """Return the rank of one of several cookies: passes for this browser first, the longest one leading, then
        tickets by arrival. Whether one still counts is found out at each request."""
        if isinstance(credential, Pass):
            binding = self._bindings[room.name]
            is_mismatch = binding.is_mismatch(binding.differing(credential, head))
            return (2 if is_mismatch else 0), -credential.expires
        if isinstance(credential, Ticket):
            return 1, credential.first_seen
        return 3, credential.arrived
