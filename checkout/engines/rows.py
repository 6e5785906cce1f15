"""How holds lie in a store: the columns in the order of `Hold`, and what both SQL engines read to build
their image.
"""

from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from checkout.changes import Answer
from checkout.ledger import Ledger
from checkout.values import Hold, Money, Sale, State

HOLD = "id, sale, buyer, state, money, made_ms, ends_ms, charge"
SALES = "SELECT sales.*, free, held, sold, version FROM sales JOIN stock ON stock.sale = sales.id"
KEYS = (
    "SELECT key, fingerprint, hold, '', at_ms FROM events WHERE key<>'' AND at_ms >= ",
    "SELECT key, fingerprint, hold, reason, at_ms FROM refusals WHERE at_ms >= ",
)


def hold_of(row: Iterable[Any]) -> Hold:
    hold_id, sale, user, state, money, made_ms, ends_ms, charge = row
    return Hold(hold_id, sale, user, State(state), Money(money), made_ms, ends_ms, charge)


def fill(
    ledger: Ledger,
    sales: Iterable[Any],
    holds: Iterable[Any],
    keys: Iterable[Any],
    seq: int,
) -> Ledger:
    """Make a ledger the image of the rows of a store, whatever its driver calls a row; keys in the order in
    which they came.
    """
    answers = [(row[0], Answer(*row[1:])) for row in sorted(keys, key=itemgetter(4))]
    ledger.load([(Sale(*row[:9]), row[12]) for row in sales], [hold_of(row) for row in holds], answers, seq)
    return ledger
