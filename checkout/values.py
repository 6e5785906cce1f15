"""The terms of the shop as frozen values: sales, holds, stock, events, commands and outcomes.

All times are whole milliseconds of the store's own clock (`_ms`). A hold is one unit of one sale for one user. It is
also the intent to pay (one hold, at most one charge) and, once sold, the order. The states of a hold, final states in
capitals:

    held ──pay──▶ paying ──▶ SOLD
      │             ├──▶ PAYMENT_FAILED
      ├──▶ CANCELLED│
      └──▶ EXPIRED ◀┘          free + held + sold = total, where `held` counts held and paying

`Hold` and `Event` are named tuples because tens of thousands are made a second, and a tuple is a row of SQL as it is.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """The state of a hold."""

    HELD = "held"
    PAYING = "paying"
    SOLD = "sold"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    PAYMENT_FAILED = "payment_failed"


LIVE = frozenset({State.HELD, State.PAYING})


class Money(StrEnum):
    """The state of the money of a hold. `STARTED` is the only state that must still be settled."""

    NONE = "none"
    STARTED = "started"
    CHARGED = "charged"
    DECLINED = "declined"
    REFUNDED = "refunded"


class Reason(StrEnum):
    """Why a command was refused. `responses.py` maps each reason to an HTTP status and a text."""

    UNKNOWN_SALE = "unknown_sale"
    SALE_EXISTS = "sale_exists"
    NOT_OPEN = "not_open"
    CLOSED = "closed"
    SOLD_OUT = "sold_out"
    PER_USER = "per_user"
    UNKNOWN_HOLD = "unknown_hold"
    ENDED = "ended"
    PAYING = "paying"
    NOT_PAYING = "not_paying"
    NOT_DUE = "not_due"
    KEY_REUSED = "key_reused"
    KEY_RUNNING = "key_running"


class Sale(NamedTuple):
    """The terms of one sale of one product. If `closes_ms` is 0, the sale is open until every unit is sold."""

    id: str
    title: str
    total: int
    price_cents: int
    currency: str
    opens_ms: int
    closes_ms: int
    hold_ms: int
    per_user: int


class Hold(NamedTuple):
    id: str
    sale: str
    user: str
    state: State
    money: Money
    made_ms: int
    ends_ms: int
    charge: str


class Stock(NamedTuple):
    """The numbers of one sale at one instant. `version` is the number of the sale's last event: higher is newer."""

    free: int
    held: int
    sold: int
    version: int = 0

    @property
    def total(self) -> int:
        return self.free + self.held + self.sold


NOTHING = Stock(0, 0, 0)


class Event(NamedTuple):
    """One change of state: actor, time, cause, and the numbers before and after. `seq` counts the events of a store."""

    seq: int
    sale: str
    hold: str
    user: str
    kind: str
    actor: str
    cause: str
    at_ms: int
    free_before: int
    held_before: int
    sold_before: int
    free: int
    held: int
    sold: int
    ends_ms: int
    key: str
    fingerprint: str
    charge: str


@dataclass(frozen=True, slots=True)
class OpenSale:
    sale: Sale
    actor: str = "operator"


class Reserve(NamedTuple):
    """Take one unit. `key`, already scoped to the user, makes a retry safe. An empty key gives no such protection."""

    sale: str
    user: str
    hold: str
    key: str = ""
    fingerprint: str = ""


class Pay(NamedTuple):
    """Record the intent before any money moves, so that after a crash there is a record to settle."""

    hold: str
    key: str = ""
    fingerprint: str = ""


class Confirm(NamedTuple):
    """The money has arrived: sell the unit. If the hold has ended, the caller must refund the money."""

    hold: str
    charge: str
    actor: str = "cashier"


class Release(NamedTuple):
    """Make the unit free again. `end` is `CANCELLED` (by the user) or `PAYMENT_FAILED`."""

    hold: str
    end: State
    actor: str = "user"
    cause: str = ""


class Expire(NamedTuple):
    """End this hold if it is due by the store's clock."""

    hold: str
    actor: str


class Settle(NamedTuple):
    """Record the final state of the money of an ended hold: refunded, or never taken."""

    hold: str
    money: Money
    charge: str = ""
    actor: str = "cashier"


class ReadStock(NamedTuple):
    """End the due holds of a sale, then read its numbers."""

    sale: str


Command = OpenSale | Reserve | Pay | Confirm | Release | Expire | Settle | ReadStock


class Done(NamedTuple):
    """The command was carried out, now or (`repeated`) by an earlier try. `hold` is None for commands about a sale."""

    stock: Stock
    hold: Hold | None = None
    repeated: bool = False


class Refused(NamedTuple):
    """Nothing changed. `hold` is the hold that is the reason, if there is one."""

    reason: Reason
    stock: Stock = NOTHING
    hold: Hold | None = None


Outcome = Done | Refused
