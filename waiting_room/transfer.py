"""The link by which a visitor's place moves to another device: a signed copy of the ticket that ends after minutes.

    token = x1 . <expires s> . <the ticket as in its cookie> . <signature>

A link may be opened by a program that makes a preview of it, so opening it moves nothing: it shows a button, which
redeems the ticket (`edge/decision/actions.py`), so a link works once, and gives a ticket with the next id at
the same place.
"""

from typing import Final

from waiting_room.ticket import Keyring, Ticket

__all__ = ["TRANSFER_S", "read_token", "transfer_token"]

TRANSFER_S: Final = 300.0
"""How long a link works: time to find the other device, and too little for a link to be sold."""
MOST_CHARS: Final = 512


def transfer_token(keys: Keyring, ticket: Ticket, now: float) -> str:
    """Return the token of a link that is made at `now` (seconds, Unix time)."""
    return keys.transfers.sign(f"x1.{int(now + TRANSFER_S)}.{keys.seal(ticket)}".encode()).decode()


def read_token(keys: Keyring, token: str, room: str, now: float) -> Ticket | None:
    """Return the ticket of a link, or None if it is forged, for another room or too old."""
    if len(token) > MOST_CHARS:
        return None
    payload = keys.transfers.unsign(token.encode("utf-8", "surrogatepass"))
    if payload is None:
        return None
    kind, _, rest = payload.decode("ascii", "replace").partition(".")
    expires, _, sealed = rest.partition(".")
    if kind != "x1" or not expires.isdigit() or now >= int(expires):
        return None
    ticket = keys.read(sealed, room)
    return ticket if isinstance(ticket, Ticket) else None
