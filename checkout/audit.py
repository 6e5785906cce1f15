"""The independent checker: it reads evidence and reports what is wrong. It shares no code with what it checks.

    trail              numbers chain, add up to the total and are never negative; each hold follows the states of a
                       hold and ends once; no user has more units than allowed; no hold expires before its time
    trail and stores   the state replayed from the trail equals the state of the stores, order by order
    trail and bank     a sold unit was paid exactly once, all other money was refunded
    trail and clients  every success that a client received happened and is still true

"sold + held + free = total" alone proves little: a store that forgets its last second keeps that sum. Only the records
of the clients show such a loss.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from checkout.evidence import Evidence
from checkout.values import NOTHING, Event, Stock

# kind of event -> (states that it may follow, change of free, held, sold)
LIFE: dict[str, tuple[frozenset[str], tuple[int, int, int]]] = {
    "held": (frozenset({""}), (-1, +1, 0)),
    "paying": (frozenset({"held"}), (0, 0, 0)),
    "sold": (frozenset({"paying"}), (0, -1, +1)),
    "expired": (frozenset({"held", "paying"}), (+1, -1, 0)),
    "cancelled": (frozenset({"held"}), (+1, -1, 0)),
    "payment_failed": (frozenset({"paying"}), (+1, -1, 0)),
}
NOTES = {"rebuilt", "checked"}  # events of the forwarder about the whole stock; they change no number
SETTLED = {"refunded", "declined"}
LIVE = {"held", "paying"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault. `rule` is a stable name, `text` says where the fault is."""

    rule: str
    text: str


@dataclass(slots=True)
class _Replay:
    """The state of every hold, replayed from the trail."""

    stock: Stock = NOTHING
    state: dict[str, str] = field(default_factory=dict)
    money: dict[str, str] = field(default_factory=dict)
    user: dict[str, str] = field(default_factory=dict)
    charge: dict[str, str] = field(default_factory=dict)
    ends_ms: dict[str, int] = field(default_factory=dict)
    hold_of_key: dict[str, str] = field(default_factory=dict)
    units: Counter[str] = field(default_factory=Counter)


def audit(evidence: Evidence, *, is_quiet: bool = False, grace_ms: int = 15_000) -> list[Finding]:
    """Return all findings; the list of a clean sale is empty.

    is_quiet: the sale is over and nothing is in progress, so a live hold or unsettled money is a fault.
    grace_ms: how long a hold may stay live after its end; longer than the interval of the sweep.
    """
    replay = _Replay()
    findings = list(_trail(evidence, replay))
    findings += _stores(evidence, replay)
    findings += _bank(evidence, replay, is_quiet)
    findings += _clients(evidence, replay)
    for hold, state in replay.state.items():
        if state in LIVE and (is_quiet or evidence.now_ms > replay.ends_ms[hold] + grace_ms):
            findings.append(Finding("unit-lost", f"{hold} is still {state} after its end"))
    return findings


def _trail(evidence: Evidence, replay: _Replay) -> Iterator[Finding]:
    total = evidence.sale.total
    last_seq = 0
    for event in evidence.events:
        where = f"event {event.seq} ({event.kind} {event.hold})"
        before = (event.free_before, event.held_before, event.sold_before)
        after = Stock(event.free, event.held, event.sold)
        if event.seq <= last_seq:
            yield Finding("order", f"{where} follows {last_seq}")
        last_seq = event.seq
        if event.kind == "opened":
            if replay.stock.total or after[:3] != (total, 0, 0):
                yield Finding("numbers", f"{where} opens with {after[:3]}")
            replay.stock = after
            continue
        if before != replay.stock[:3]:
            yield Finding("chain", f"{where} starts from {before}, the previous event ended at {replay.stock[:3]}")
        if after.total != total or min(after[:3]) < 0:
            yield Finding("numbers", f"{where}: {after[:3]} is not a split of {total}")
        if event.kind in NOTES:
            if after[:3] != before or event.hold:
                yield Finding("numbers", f"{where} changes the stock from {before} to {after[:3]}")
        else:
            yield from _step(event, before, after, replay, evidence.sale.per_user)
        replay.stock = after


def _step(
    event: Event, before: tuple[int, int, int], after: Stock, replay: _Replay, per_user: int
) -> Iterator[Finding]:
    hold, kind = event.hold, event.kind
    where = f"event {event.seq} ({kind} {hold})"
    if kind in SETTLED:
        if replay.money.get(hold) != "started" or replay.state.get(hold) in LIVE:
            yield Finding("life", f"{where} settles {replay.state.get(hold)}/{replay.money.get(hold)}")
        replay.money[hold] = kind
        return
    if kind not in LIFE:
        yield Finding("life", f"{where} is not a step of a hold")
        return
    follows, delta = LIFE[kind]
    state = replay.state.get(hold, "")
    if state not in follows:
        yield Finding("life", f"{where} follows {state or 'nothing'}")
    if tuple(a - b for a, b in zip(after[:3], before, strict=True)) != delta:
        yield Finding("numbers", f"{where} goes from {before} to {after[:3]}")
    if kind == "expired" and event.at_ms < event.ends_ms:
        yield Finding("early", f"{where} at {event.at_ms}, {event.ends_ms - event.at_ms} ms before its end")
    if kind == "held":
        yield from _taken(event, where, replay, per_user)
    elif delta[0] > 0:
        replay.units[event.user] -= 1
    replay.state[hold] = kind
    replay.user[hold] = event.user
    replay.ends_ms[hold] = event.ends_ms
    if kind == "paying":
        replay.money[hold] = "started"
    elif kind == "sold":
        replay.money[hold], replay.charge[hold] = "charged", event.charge
    elif kind == "payment_failed":
        replay.money[hold] = "declined"


def _taken(event: Event, where: str, replay: _Replay, per_user: int) -> Iterator[Finding]:
    replay.units[event.user] += 1
    if replay.units[event.user] > per_user:
        yield Finding("two-units", f"{where}: {event.user} has {replay.units[event.user]} units")
    if event.key and replay.hold_of_key.setdefault(event.key, event.hold) != event.hold:
        yield Finding("key", f"{where}: key {event.key} already made {replay.hold_of_key[event.key]}")


def _stores(evidence: Evidence, replay: _Replay) -> Iterator[Finding]:
    if evidence.stock[:3] != replay.stock[:3]:
        yield Finding("stock", f"the store says {evidence.stock[:3]}, the trail {replay.stock[:3]}")
    seen = {hold.id: hold for hold in evidence.holds}
    for hold_id in seen.keys() | replay.state.keys():
        hold = seen.get(hold_id)
        stored = (hold.state.value, hold.money.value, hold.user) if hold else None
        traced = (replay.state.get(hold_id), replay.money.get(hold_id, "none"), replay.user.get(hold_id))
        if stored != traced:
            yield Finding("hold", f"{hold_id}: the store says {stored}, the trail {traced}")
    orders = Counter(order.id for order in evidence.orders)
    sold = {hold for hold, state in replay.state.items() if state == "sold"}
    for hold_id in orders.keys() | sold:
        if orders[hold_id] != (hold_id in sold):
            verb = "sold" if hold_id in sold else "not sold"
            yield Finding("orders", f"{hold_id} is {verb} by the trail, {orders[hold_id]} times in the orders")
    if len(evidence.orders) > evidence.sale.total:
        yield Finding("oversold", f"{len(evidence.orders)} orders for {evidence.sale.total} units")


def _bank(evidence: Evidence, replay: _Replay, is_quiet: bool) -> Iterator[Finding]:
    if evidence.movements is None:
        return
    net: dict[str, Counter[str]] = defaultdict(Counter)
    charges: Counter[str] = Counter()
    for move in evidence.movements:
        net[move.order][move.intent] += 1 if move.kind == "charge" else -1
        charges[move.order] += move.kind == "charge"
    for order, intents in net.items():
        taken = sum(intents.values())
        if charges[order] > 1 or taken not in (0, 1):
            yield Finding("double-charge", f"{order} was charged {charges[order]} times, {taken} not refunded")
        is_sold = replay.state.get(order) == "sold"
        is_open = replay.money.get(order) == "started" and not is_quiet
        if taken and not is_sold and not is_open:
            yield Finding("charged-not-sold", f"{order} is {replay.state.get(order)}, but paid")
    for hold, state in replay.state.items():
        if state == "sold" and sum(net[hold].values()) != 1:
            yield Finding("sold-not-charged", f"{hold} is sold, but not paid")
    if is_quiet:
        for hold, money in replay.money.items():
            if money == "started":
                yield Finding("unsettled", f"the money of {hold} is not settled")


def _clients(evidence: Evidence, replay: _Replay) -> Iterator[Finding]:
    hold_of_key: dict[str, str] = {}
    for record in evidence.client_records:
        if replay.user.get(record.hold) != record.user:
            yield Finding("answer-lost", f"{record.user} received {record.kind} {record.hold}, which the trail lacks")
        elif record.kind == "sold" and replay.state[record.hold] != "sold":
            state = replay.state[record.hold]
            yield Finding("answer-lost", f"{record.user} received sold {record.hold}, which is {state}")
        if record.key and hold_of_key.setdefault(record.key, record.hold) != record.hold:
            yield Finding("answers-differ", f"key {record.key} returned {hold_of_key[record.key]} and {record.hold}")
    sold = {record.hold for record in evidence.client_records if record.kind == "sold"}
    if len(sold) > evidence.sale.total:
        yield Finding("oversold", f"{len(sold)} buyers received an order for {evidence.sale.total} units")
