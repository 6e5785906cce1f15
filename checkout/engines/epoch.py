"""The epoch of a store: how a process notices that the store is not the one that it knows.

    epoch    number and random token, new at every rebuild; kept in the store and in PostgreSQL
    server   the run of the Redis server that holds the store: its run id and its replication id
    seen     the highest event number that this process has seen in this epoch

The script of every batch compares epoch and `seen` with the store. It is loaded under a text that names the server, and
it is only ever called by the digest of that text. Redis keeps loaded scripts in memory and neither saves nor replicates
them, so a server that has restarted, or a replica that has taken over, does not know the script and decides nothing.
That stops every process at once, also those that have seen less than the store has lost.

Numbers of a new epoch start above all numbers of the old ones: `number` x `EPOCH_SIZE`.
"""

import logging
import secrets
from collections.abc import Callable
from typing import NamedTuple

from checkout.errors import StockUnknown

LOG = logging.getLogger(__name__)
EPOCH_SIZE = 10_000_000_000
"""The most events of one epoch. Numbers up to epoch 9,999 are exact in Lua and in its JSON (14 digits)."""


class Epoch(NamedTuple):
    """`str(epoch)` is what the store keeps."""

    number: int
    token: str

    def __str__(self) -> str:
        return f"{self.number} {self.token}"

    @classmethod
    def parse(cls, text: str) -> "Epoch":
        number, _, token = text.partition(" ")
        return cls(int(number), token)

    def following(self) -> "Epoch":
        """Return the next epoch, with a token of its own."""
        return Epoch(self.number + 1, new_token())

    @property
    def first_seq(self) -> int:
        """The event number before the first event of this epoch."""
        return self.number * EPOCH_SIZE


class Armed(NamedTuple):
    """The store on which this process may decide: its epoch, and the server that was checked."""

    epoch: Epoch
    server: str


class Position(NamedTuple):
    """A point in the history of a store: the number of an event, and the id of the batch that wrote it."""

    seq: int
    batch: str

    @property
    def is_start(self) -> bool:
        """Whether this is the beginning of an epoch, before any event of it."""
        return self.seq % EPOCH_SIZE == 0


class EpochGate:
    """Says whether this process may decide. It is closed at the start, and whenever the store is in doubt."""

    def __init__(self) -> None:
        self._armed: Armed | None = None
        self._cause = "the store has not been checked yet"
        self._doubt: tuple[Armed, str] | None = None
        self._on_close: list[Callable[[], None]] = []
        self.seen = 0

    def __repr__(self) -> str:
        return f"<EpochGate {self._armed or self._cause}, seen {self.seen}>"

    @property
    def armed(self) -> Armed | None:
        """The store on which this process may decide, or None while the gate is closed."""
        return self._armed

    def open(self, armed: Armed, seen: int) -> None:
        """Allow decisions on this store. seen: the highest event number that it is known to have."""
        self._armed, self._cause = armed, ""
        self.seen = max(seen, self.seen)

    def close(self, cause: str) -> None:
        """Stop all decisions of this process. cause: why, for the log and the errors."""
        was_open, self._armed, self._cause = self._armed is not None, None, cause
        if was_open:
            LOG.error("redis: %s; nothing is sold until the stock has been checked", cause)
            for call in self._on_close:
                call()

    def doubt(self, cause: str) -> None:
        """Stop all decisions because the store itself is not as it was. `take_doubt` tells the forwarder."""
        if self._armed is not None:
            self._doubt = self._armed, cause
        self.close(cause)

    def take_doubt(self) -> tuple[Armed, str] | None:
        """Return the store that this process doubts, and why, once."""
        doubt, self._doubt = self._doubt, None
        return doubt

    def on_close(self, call: Callable[[], None]) -> None:
        """Call `call` whenever the gate closes."""
        self._on_close.append(call)

    def require(self) -> Armed:
        """Return the store on which this process may decide. Raises `StockUnknown`."""
        if self._armed is None:
            raise StockUnknown(f"redis: {self._cause}; nothing is sold until the stock has been checked")
        return self._armed

    def note(self, armed: Armed, seq: int) -> None:
        """Note an event number that a decision has seen. Raises `StockUnknown` if the gate was closed meanwhile."""
        if self._armed != armed:
            self.require()
            raise StockUnknown("redis: the stock was rebuilt during this decision")
        self.seen = max(seq, self.seen)


def new_token() -> str:
    return secrets.token_hex(8)
