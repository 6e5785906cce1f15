"""What a refused visitor is told: a stable name, a title, the truth about their money, and where to go on.

The same reason may have several truths. If the buyer has paid, "the hold has ended" means an order. If they have
cancelled, it means a free unit. So the text depends on the hold as well.
"""

from typing import NamedTuple

from checkout.values import LIVE, Hold, Money, Reason, State

TEXT = {
    Reason.UNKNOWN_SALE: ("No such sale", "There is no sale with this name."),
    Reason.SALE_EXISTS: ("The sale already exists", "A sale with this name exists with other terms."),
    Reason.NOT_OPEN: ("Not open yet", "The sale has not started."),
    Reason.CLOSED: ("The sale is over", "The sale has ended."),
    Reason.SOLD_OUT: ("Sold out", "No unit is free. If a payment fails, its unit becomes available again."),
    Reason.PER_USER: ("You already have yours", "You already have as many units as one visitor may take."),
    Reason.UNKNOWN_HOLD: ("No such reservation", "There is no reservation with this number."),
    Reason.ENDED: ("The reservation has ended", "Its unit is on sale again."),
    Reason.PAYING: ("Payment in progress", "A payment for this reservation is in progress."),
    Reason.NOT_PAYING: ("No payment", "No payment has begun for this reservation."),
    Reason.NOT_DUE: ("Not over yet", "The reservation is still valid."),
    Reason.KEY_REUSED: ("Key already used", "This Idempotency-Key was used with another request."),
    Reason.KEY_RUNNING: ("Still in progress", "The first request with this Idempotency-Key is still in progress."),
}
MONEY_TEXT = {
    Money.NONE: "Nothing was charged.",
    Money.DECLINED: "The payment was declined and nothing was charged.",
    Money.REFUNDED: "Your payment came too late and was refunded.",
    Money.STARTED: "If your payment went through, it is being refunded.",
    Money.CHARGED: "",
}
PAID = "You have already paid"
PAID_TEXT = "This reservation is paid and the unit is yours. You were charged once. See your order."


class Refusal(NamedTuple):
    """kind: the stable name of the problem. links: what the visitor has, by name, for programs."""

    kind: str
    title: str
    detail: str
    href: str
    link: str
    links: dict[str, str]


def explain(reason: Reason, hold: Hold | None, *, href: str = "/", link: str = "Back to the product") -> Refusal:
    """Return what to tell. hold: the hold that is the reason, of this visitor. href, link: where else to go on."""
    kind, (title, detail) = reason.value.replace("_", "-"), TEXT[reason]
    if hold is None:
        return Refusal(kind, title, detail, href, link, {})
    if hold.state is State.SOLD:
        links = {"order": hold.id, "url": f"/orders/{hold.id}"}
        if reason is Reason.ENDED:
            kind, title, detail = "already-paid", PAID, PAID_TEXT
        return Refusal(kind, title, detail, links["url"], "Show my order", links)
    if hold.state in LIVE:
        links = {"hold": hold.id, "url": f"/checkout/holds/{hold.id}"}
        return Refusal(kind, title, detail, links["url"], "Show my reservation", links)
    if reason is Reason.ENDED:
        detail = f"{detail} {MONEY_TEXT[hold.money]}"
    return Refusal(kind, title, detail, href, link, {"hold": hold.id})
