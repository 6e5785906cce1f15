"""A notice to a visitor, and which notices an event asks for or ends. Pure: no I/O, no clock.

    held                       `ending/HOLD`       due shortly before the hold ends; nobody gets it after the end
    paying, sold, or any end   ends `ending/HOLD`
    sold                       `order/HOLD`        at once
    free units after none      `stock/SALE/EVENT`  to visitors that asked for it, in the order in which they asked
    the sale opens             `turn/SALE`         to visitors that asked for it; the line tells this by a webhook

The key names the notice for ever: planning it again under the same key changes nothing.
"""

from typing import NamedTuple

from checkout.values import Event, Sale, State

DAY_MS = 86_400_000
WISHES_PER_UNIT = 5
"""Visitors that are told about one free unit. More would come for nothing, fewer might leave it unsold."""


class Notice(NamedTuple):
    """due_ms, until_ms: it is sent within this time or never. address: e-mail, empty if the visitor gave none."""

    key: str
    kind: str
    sale: str
    user: str
    address: str
    subject: str
    text: str
    due_ms: int
    until_ms: int


def order_confirmed(event: Event, sale: Sale, address: str) -> Notice:
    """Return the notice of an order."""
    text = (
        f"Thank you. Your order {event.hold} is confirmed: {sale.title}, {amount(sale)}.\n"
        f"Keep this number. You see the order at /orders/{event.hold}."
    )
    subject = f"Your order: {sale.title}"
    due_ms = event.at_ms
    return Notice(
        f"order/{event.hold}", "order_confirmed", sale.id, event.user, address, subject, text, due_ms, due_ms + DAY_MS
    )


def hold_ending(event: Event, sale: Sale, address: str, lead_ms: int) -> Notice:
    """Return the notice of a hold that is about to end. lead_ms: before the end, at most half of the hold."""
    lead_ms = min(lead_ms, (event.ends_ms - event.at_ms) // 2)
    text = (
        f"Your reservation of {sale.title} ends in {max(1, lead_ms // 1000)} seconds. Pay now to keep it: "
        f"/checkout/holds/{event.hold}."
    )
    subject = f"Your reservation ends soon: {sale.title}"
    due_ms = event.ends_ms - lead_ms
    return Notice(
        ending_key(event.hold), "hold_ending", sale.id, event.user, address, subject, text, due_ms, event.ends_ms
    )


def ending_key(hold: str) -> str:
    return f"ending/{hold}"


def ends_reminder(event: Event) -> bool:
    """Return whether nobody needs to be reminded of this hold any more."""
    return bool(event.hold) and event.kind != State.HELD


def back_in_stock(event: Event, sale: Sale, user: str, address: str) -> Notice:
    """Return the notice that units are free again."""
    units = "A unit is" if event.free == 1 else f"{event.free} units are"
    text = f"{units} free again: {sale.title}, {amount(sale)}. Others are told as well: come to /checkout soon."
    key = f"stock/{sale.id}/{event.seq}/{user}"
    subject = f"Back in stock: {sale.title}"
    return Notice(key, "back_in_stock", sale.id, user, address, subject, text, event.at_ms, event.at_ms + DAY_MS // 24)


def has_come_back(event: Event) -> bool:
    """Return whether this event made units free where there were none."""
    return event.free_before == 0 and event.free > 0 and event.kind != "opened"


def turn_near(sale: Sale, user: str, address: str, at_ms: int) -> Notice:
    """Return the notice that the line of a sale has begun to move."""
    text = (
        f"The sale of {sale.title} has opened and the line is moving, so your turn is near. "
        "Open the page of the shop, and stay there."
    )
    subject = f"Your turn is near: {sale.title}"
    key = f"turn/{sale.id}/{user}"
    return Notice(key, "turn_near", sale.id, user, address, subject, text, at_ms, at_ms + DAY_MS // 24)


def amount(sale: Sale) -> str:
    return f"{sale.price_cents // 100}.{sale.price_cents % 100:02d} {sale.currency}"
