"""The words of the shop, as frozen values: what is sold, who holds a unit, what changed and why.

All times are whole milliseconds of the store's own clock (`_ms`). A hold is one unit of one sale for one
user; it is also the intent to pay (one hold, at most one charge) and, once sold, the order. Its life, with
the ends in capitals:

    held ──pay──▶ paying ──▶ SOLD
      │             ├──▶ PAYMENT_FAILED
      ├──▶ CANCELLED│
      └──▶ EXPIRED ◀┘          free + held + sold = total, where `held` counts held and paying

`Hold` and `Event` are named tuples: they are made tens of thousands of times a second and go into SQL as
they are.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """Where a hold is in its life."""

    HELD = "held"
    PAYING = "paying"
    SOLD = "sold"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    PAYMENT_FAILED = "payment_failed"


LIVE = frozenset({State.HELD, State.PAYING})


class Money(StrEnum):
    """What is known of the money of a hold: `STARTED` is the one state that someone must still settle."""

    NONE = "none"
    STARTED = "started"
    CHARGED = "charged"
    DECLINED = "declined"
    REFUNDED = "refunded"


class Reason(StrEnum):
    """Why a command was refused; the HTTP side gives each a status."""

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
    """One sale of one product; `closes_ms` 0 means that it stays open until all is sold."""

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
    """The numbers of one sale at one instant. `version` is the number of the sale's last event: higher is
    newer.
    """

    free: int
    held: int
    sold: int
    version: int = 0

    @property
    def total(self) -> int:
        return self.free + self.held + self.sold


NOTHING = Stock(0, 0, 0)


class Event(NamedTuple):
    """One change of state: who, when, why, and the numbers before and after. `seq` grows by one in each
    store.
    """

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
    """Take one unit. `key` (already scoped to the user) makes a retry safe; empty: no retry protection."""

    sale: str
    user: str
    hold: str
    key: str = ""
    fingerprint: str = ""


class Pay(NamedTuple):
    """Record the intent before any money moves, so that whatever dies afterwards leaves a trace to settle."""

    hold: str
    key: str = ""
    fingerprint: str = ""


class Confirm(NamedTuple):
    """The money is there: the unit is sold, unless the hold has ended (then the caller must give the money
    back).
    """

    hold: str
    charge: str
    actor: str = "cashier"


class Release(NamedTuple):
    """Give the unit back: `CANCELLED` by its user, or `PAYMENT_FAILED`."""

    hold: str
    end: State
    actor: str = "user"
    cause: str = ""


class Expire(NamedTuple):
    """End this hold if its time is over by the store's clock, whoever asks."""

    hold: str
    actor: str


class Settle(NamedTuple):
    """The money of an ended hold is known: given back or never taken."""

    hold: str
    money: Money
    charge: str = ""
    actor: str = "cashier"


class Look(NamedTuple):
    """Read the numbers of a sale, ending first what is over."""

    sale: str


Command = OpenSale | Reserve | Pay | Confirm | Release | Expire | Settle | Look


class Done(NamedTuple):
    """It happened, now or (`repeated`) at an earlier try. `hold` is None for a sale's own commands."""

    stock: Stock
    hold: Hold | None = None
    repeated: bool = False


class Refused(NamedTuple):
    """Nothing changed. `hold` is the one that stands in the way, where there is one."""

    reason: Reason
    stock: Stock = NOTHING
    hold: Hold | None = None


Outcome = Done | Refused
