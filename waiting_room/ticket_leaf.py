"""Tickets by the native leaf: a cookie read, or written, in one call. In the pure form it finds and writes nothing."""

from collections.abc import Callable
from dataclasses import fields
from types import ModuleType
from typing import Final

from waiting_room.leaf import NATIVE
from waiting_room.ticket import Keyring, Ticket

__all__ = ["KNOWN", "TicketLeaf"]

#: The fields of a ticket. The leaf reads and writes tickets of the general lane; `moved_back_s` is in no cookie.
KNOWN: Final = ("id", "room", "first_seen", "seen", "return_after_s", "told", "moved_back_s", "lane")


class TicketLeaf:
    """The tickets of one keyring. native: the leaf, or None."""

    def __init__(self, keys: Keyring, native: ModuleType | None = NATIVE) -> None:
        self._states = b""
        self._find: Callable[[bytes, str, str, str], tuple[str, float, float, int, int] | None] | None = None
        self._cookie: Callable[[bytes, str, str, str, int, int, int, int, str], str | None] | None = None
        # A field that the leaf does not write would be lost: then `Keyring.seal` writes all cookies.
        if native is not None and tuple(each.name for each in fields(Ticket)) == KNOWN:
            self._states = keys.tickets.states_of(native)
            self._find, self._cookie = native.find_ticket, native.ticket_cookie

    def find(self, cookie: str, name: str, room: str) -> Ticket | None:
        """Return the ticket in a `Cookie` field. None: there is none, or one that has to be read by `Keyring.read`.

        name: of the room's cookie, without a prefix. Only the usual form is read: one cookie of this name or of the
        prefixed one, with a valid signature.
        """
        if self._find is None:
            return None
        found = self._find(self._states, cookie, name, room)
        if found is None:
            return None
        ident, first_seen, seen, after, told = found
        return Ticket(ident, room, first_seen, seen, after, 0.0, told)

    def cookie(self, ticket: Ticket, before: str, behind: str) -> str | None:
        """Return `before`, what `Keyring.seal` returns, and `behind`. None: these have to be put together."""
        if self._cookie is None or ticket.lane:
            return None
        return self._cookie(
            self._states, before, ticket.room, ticket.id, ticket.told, ticket.return_after_s,
            int(ticket.first_seen * 1000 + 0.5), int(ticket.seen), behind,
        )  # fmt: skip
