"""The input of the checker (`audit.py`): the trail, the stores, the bank's journal and the records of the clients.

All values are frozen and carry no logic.
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
    """A line of the bank's journal: money taken (`charge`) or paid back (`refund`) for an order."""

    intent: str
    order: str
    kind: str
    charge: str
    amount_cents: int


class ClientRecord(NamedTuple):
    """A success that a client received and wrote down itself. `kind` is `held` or `sold`."""

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
    client_records: list[ClientRecord] = field(default_factory=list)


def read_movements(path: Path) -> list[Movement]:
    """Read the bank's journal: one JSON array a line. A last line that a kill cut short is left out."""
    lines = path.read_text().split("\n") if path.exists() else [""]
    return [Movement(*json.loads(line)) for line in lines[:-1]]
