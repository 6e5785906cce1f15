"""How the values of the shop look in Redis: the commands of a batch, its outcomes, the terms of a sale, the stream."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from checkout.engines.epoch import Position
from checkout.engines.rows import hold_of
from checkout.values import (
    Command,
    Confirm,
    Done,
    Event,
    Expire,
    OpenSale,
    Outcome,
    Pay,
    ReadStock,
    Reason,
    Refused,
    Release,
    Reserve,
    Sale,
    Settle,
    Stock,
)

NAMES: dict[type[Command], str] = {
    Reserve: "reserve",
    Pay: "pay",
    Confirm: "confirm",
    Release: "release",
    Expire: "expire",
    Settle: "settle",
    ReadStock: "read_stock",
}


class Entry(NamedTuple):
    """One entry of the stream: the last event's number with the id of the batch, and the batch's events as JSON."""

    position: Position
    text: str

    @classmethod
    def parse(cls, row: tuple[str, dict[str, str]]) -> "Entry":
        name, fields = row
        return cls(Position(int(name.partition("-")[0]), fields.get("b", "")), fields["e"])

    @property
    def events(self) -> list[Event]:
        return [Event(*event) for event in json.loads(self.text)]


def encode(command: Command) -> list[Any]:
    if isinstance(command, OpenSale):
        return ["open", command.actor, *command.sale]
    return [NAMES[type(command)], *command]


def outcome_of(row: list[Any]) -> Outcome:
    reason, free, held, sold, version, hold, repeated = row
    stock, found = Stock(free, held, sold, version), hold_of(hold) if hold else None
    return Refused(Reason(reason), stock, found) if reason else Done(stock, found, repeated)


def sale_of(row: dict[str, str]) -> tuple[Sale, Stock]:
    texts = {"id", "title", "currency"}
    sale = Sale(**{name: row[name] if name in texts else int(row[name]) for name in Sale._fields})  # type: ignore[arg-type]
    return sale, Stock(*(int(row[name]) for name in Stock._fields))


def events_of(entries: Iterable[Entry]) -> list[Event]:
    """Return the events of stream entries. Each entry holds the events of one batch."""
    return [event for entry in entries for event in entry.events]
