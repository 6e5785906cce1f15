"""How a hold is stored: one row, or one JSON array in Redis, with the fields in the order of `Hold`."""

from collections.abc import Iterable
from typing import Any

from checkout.values import Hold, Money, State


def hold_of(row: Iterable[Any]) -> Hold:
    hold_id, sale, user, state, money, made_ms, ends_ms, charge = row
    return Hold(hold_id, sale, user, State(state), Money(money), made_ms, ends_ms, charge)
