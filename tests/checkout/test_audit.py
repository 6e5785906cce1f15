"""The checker reports nothing on clean evidence, and finds every fault that is put into it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from checkout.audit import audit
from checkout.bank import Bank
from checkout.evidence import ClientRecord, Evidence, Movement, Order
from checkout.gateway import Intent
from checkout.ledger import Ledger
from checkout.values import (
    Command,
    Confirm,
    Done,
    Event,
    Expire,
    Hold,
    Money,
    OpenSale,
    Pay,
    Release,
    Reserve,
    Sale,
    Settle,
    State,
)

SALE = Sale("s", "Thing", 10, 100, "EUR", 0, 0, 1_000, 1)
NOW = 50_000


def sold(user: str, hold: str) -> list[Command]:
    return [Reserve("s", user, hold, f"{user}/k", "f"), Pay(hold), Confirm(hold, f"ch_{hold}")]


async def clean() -> Evidence:
    """Return the evidence of a small sale in which holds end in every possible way."""
    ledger, bank = Ledger(), Bank()
    at: list[tuple[int, Command]] = [(0, OpenSale(SALE))]
    at += [(10, command) for command in sold("ada", "h1") + sold("bob", "h2")]
    at += [(20, Reserve("s", "cyd", "h3")), (21, Release("h3", State.CANCELLED))]
    at += [(30, Reserve("s", "dan", "h4")), (31, Pay("h4")), (32, Release("h4", State.PAYMENT_FAILED))]
    at += [(40, Reserve("s", "eve", "h5")), (41, Pay("h5")), (1_100, Expire("h5", "sweep"))]
    at += [(1_200, Settle("h5", Money.REFUNDED)), (NOW - 10, Reserve("s", "fay", "h6", "fay/k"))]
    for hold in ("h1", "h2", "h5"):
        await bank.charge(Intent(hold, hold, 100, "EUR", "card"))
    await bank.refund("h5")
    for when, command in at:
        outcome = ledger.decide(command, when)
        assert isinstance(outcome, Done) or command == Expire("h5", "sweep"), (command, outcome)
    changes = ledger.take_changes()
    records = [ClientRecord("held", "s", u, f"{u}/k", h) for u, h in (("ada", "h1"), ("bob", "h2"), ("fay", "h6"))]
    records.append(ClientRecord("sold", "s", "ada", "ada/k", "h1"))
    orders = [Order(e.hold, "s", e.user, e.charge, e.at_ms) for e in changes.events if e.kind == "sold"]
    holds = list(changes.holds.values())
    return Evidence(SALE, NOW, changes.events, holds, orders, ledger.stock("s"), bank.movements, records)


def event_at(evidence: Evidence, first: str, /, **change: object) -> Evidence:
    """Return the evidence with a change in the first event of kind `first`."""
    index = next(i for i, event in enumerate(evidence.events) if event.kind == first)
    events = list(evidence.events)
    events[index] = events[index]._replace(**change)  # type: ignore[arg-type]
    return replace(evidence, events=events)


def without_event(evidence: Evidence, kind: str) -> Evidence:
    index = next(i for i, event in enumerate(evidence.events) if event.kind == kind)
    return replace(evidence, events=evidence.events[:index] + evidence.events[index + 1 :])


def again(evidence: Evidence, kind: str, **change: object) -> Evidence:
    """Return the evidence with a second event of a kind at the end, its numbers adapted to the previous event."""
    event = next(event for event in evidence.events if event.kind == kind)
    last = evidence.events[-1]
    before = (last.free, last.held, last.sold)
    delta = (event.free - event.free_before, event.held - event.held_before, event.sold - event.sold_before)
    after = tuple(a + b for a, b in zip(before, delta, strict=True))
    names = ("free_before", "held_before", "sold_before", "free", "held", "sold")
    numbers = dict(zip(names, (*before, *after), strict=True))
    more: Event = event._replace(seq=last.seq + 1, **numbers, **change)  # type: ignore[arg-type]
    return replace(evidence, events=[*evidence.events, more])


def hold_as(evidence: Evidence, hold_id: str, **change: object) -> Evidence:
    holds: list[Hold] = [
        hold._replace(**change) if hold.id == hold_id else hold  # type: ignore[arg-type]
        for hold in evidence.holds
    ]
    return replace(evidence, holds=holds)


def received(evidence: Evidence, *records: ClientRecord) -> Evidence:
    return replace(evidence, client_records=[*evidence.client_records, *records])


def with_movements(evidence: Evidence, *moves: Movement) -> Evidence:
    return replace(evidence, movements=[*(evidence.movements or []), *moves])


FAULTS: dict[str, tuple[str, Callable[[Evidence], Evidence]]] = {
    "a unit from nowhere": ("numbers", lambda e: event_at(e, "sold", free=10)),
    "a change without an event": ("chain", lambda e: without_event(e, "cancelled")),
    "a forgotten release": ("stock", lambda e: replace(e, stock=e.stock._replace(free=6, held=2))),
    "two ends of one hold": ("life", lambda e: again(e, "cancelled")),
    "sold without being paid": ("life", lambda e: without_event(e, "paying")),
    "expired before its time": ("early", lambda e: event_at(e, "expired", at_ms=1_039)),
    "two units for one user": ("two-units", lambda e: again(e, "held", hold="h9", key="")),
    "one key, two holds": ("key", lambda e: again(e, "held", hold="h9", user="zoe")),
    "events out of order": ("order", lambda e: event_at(e, "held", seq=99)),
    "an unknown step": ("life", lambda e: event_at(e, "cancelled", kind="vanished")),
    "a settlement without a payment": ("life", lambda e: event_at(e, "refunded", hold="h3")),
    "a lost order": ("orders", lambda e: replace(e, orders=e.orders[1:])),
    "an order twice": ("orders", lambda e: replace(e, orders=[*e.orders, e.orders[0]])),
    "an order without a sold unit": (
        "orders",
        lambda e: replace(e, orders=[*e.orders, Order("h3", "s", "cyd", "c", 1)]),
    ),
    "oversold": ("oversold", lambda e: replace(e, orders=e.orders * 6)),
    "a hold that vanished": ("hold", lambda e: replace(e, holds=e.holds[1:])),
    "a hold in another state": ("hold", lambda e: hold_as(e, "h3", state=State.HELD)),
    "a hold of another user": ("hold", lambda e: hold_as(e, "h1", user="mallory")),
    "a hold that never ends": ("unit-lost", lambda e: replace(e, now_ms=NOW + 60_000)),
    "charged twice": ("double-charge", lambda e: with_movements(e, Movement("h1-2", "h1", "charge", "ch9", 100))),
    "charged twice, one given back": (
        "double-charge",
        lambda e: with_movements(e, Movement("h1-2", "h1", "charge", "c", 1), Movement("h1-2", "h1", "refund", "c", 1)),
    ),
    "charged without a sale": (
        "charged-not-sold",
        lambda e: with_movements(e, Movement("h3", "h3", "charge", "ch9", 100)),
    ),
    "sold without a charge": (
        "sold-not-charged",
        lambda e: with_movements(e, Movement("h1", "h1", "refund", "ch_h1", 100)),
    ),
    "a client has a hold that is lost": (
        "answer-lost",
        lambda e: received(e, ClientRecord("held", "s", "zoe", "zoe/k", "h77")),
    ),
    "a client has an order that is lost": (
        "answer-lost",
        lambda e: received(e, ClientRecord("sold", "s", "fay", "fay/k", "h6")),
    ),
    "a key with two answers": (
        "answers-differ",
        lambda e: received(e, ClientRecord("held", "s", "bob", "ada/k", "h2")),
    ),
    "clients have more orders than units": (
        "oversold",
        lambda e: received(e, *(ClientRecord("sold", "s", f"u{n}", "", f"h{n}") for n in range(20, 31))),
    ),
}


async def test_a_clean_sale_has_no_findings() -> None:
    """Holds that end in every possible way are no fault."""
    assert audit(await clean()) == []


@pytest.mark.parametrize("name", FAULTS)
async def test_each_fault_is_found(name: str) -> None:
    """Every fault is reported under its rule."""
    rule, change = FAULTS[name]
    assert rule in {finding.rule for finding in audit(change(await clean()))}


async def test_live_holds_and_open_payments_are_faults_after_the_sale() -> None:
    """After the sale a live hold is a lost unit and an unsettled payment is a fault. During the sale neither is."""
    evidence = await clean()
    assert {finding.rule for finding in audit(evidence, is_quiet=True)} == {"unit-lost"}
    unsettled = hold_as(without_event(evidence, "refunded"), "h5", money=Money.STARTED)
    assert audit(unsettled) == []
    assert {finding.rule for finding in audit(unsettled, is_quiet=True)} == {"unit-lost", "unsettled"}
