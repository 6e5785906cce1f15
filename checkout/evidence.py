"""What the checker is given: the trail, the stores, the bank's book and what the clients were told. Frozen,
no opinion.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from checkout.values import Event, Hold, Sale, Stock


class Order(NamedTuple):
    """A row of the durable orders."""

    id: str
    sale: str
    user: str
    charge: str
    at_ms: int


class Movement(NamedTuple):
    """A line of the bank's book: money taken (`charge`) or given back (`refund`) for an order."""

    intent: str
    order: str
    kind: str
    charge: str
    amount_cents: int


class Told(NamedTuple):
    """What one client was answered, written down by the client: `kind` is `held` or `sold`."""

    kind: str
    sale: str
    user: str
    key: str
    hold: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything about one sale at one instant. `now_ms` is the store's clock at that instant."""

    sale: Sale
    now_ms: int
    events: list[Event]
    holds: list[Hold]
    orders: list[Order]
    stock: Stock
    movements: list[Movement] | None = None
    told: list[Told] = field(default_factory=list)


def read_movements(path: Path) -> list[Movement]:
    """The bank's book: one JSON array a line. A last line cut short by a kill is left out."""
    lines = path.read_text().split("\n") if path.exists() else [""]
    return [Movement(*json.loads(line)) for line in lines[:-1]]
