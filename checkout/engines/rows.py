"""How a hold is stored, and what the events say about holds and numbers.

A hold is one row, or one JSON array in Redis, with the fields in the order of `Hold`.
"""

from collections.abc import Iterable
from typing import Any

from checkout.values import Event, Hold, Money, State, Stock

MONEY_AT = {"paying": Money.STARTED, "sold": Money.CHARGED, "payment_failed": Money.DECLINED}


def hold_of(row: Iterable[Any]) -> Hold:
    hold_id, sale, user, state, money, made_ms, ends_ms, charge = row
    return Hold(hold_id, sale, user, State(state), Money(money), made_ms, ends_ms, charge)


def hold_after(hold: Hold | None, event: Event) -> Hold:
    """Return the hold after an event about it. hold: None before its first event."""
    if hold is None:
        return Hold(
            event.hold,
            event.sale,
            event.user,
            State.HELD,
            Money.NONE,
            event.at_ms,
            event.ends_ms,
            event.charge,
        )
    if event.kind in (Money.REFUNDED, Money.DECLINED):
        return hold._replace(money=Money(event.kind), charge=event.charge)
    return hold._replace(state=State(event.kind), money=MONEY_AT.get(event.kind, hold.money), charge=event.charge)


def numbers_of(events: Iterable[Event]) -> dict[str, Stock]:
    """Return the numbers of every sale after its last event."""
    return {event.sale: Stock(event.free, event.held, event.sold, event.seq) for event in events}
