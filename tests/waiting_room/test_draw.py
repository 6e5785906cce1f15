"""The draw: uniform, independent of the arrival, the same on every node, and verified by a few lines of code."""

import hashlib
import hmac
import random
from itertools import pairwise
from math import sqrt

from hypothesis import given
from hypothesis import strategies as st

from waiting_room.draw import WINDOW_S, Draw, commitment_of, generation_of, seed_of, share_of
from waiting_room.places import UNITS_PER_S, TicketIds, place_of
from waiting_room.ticket import new_ticket

KEY = b"a key of a test, long enough"
OPENS_AT = 1_800_000_000.125
SEED = seed_of(KEY, "checkout", "drop", OPENS_AT)
MANY = 100_000


def ticket_ids(count: int) -> list[str]:
    """Return the ids of tickets in the order in which one process gives them."""
    chance = random.Random(7)
    ids = TicketIds(chance.randbytes, maker=3)
    return [new_ticket("checkout", now := OPENS_AT - 900 + 0.009 * at, ids.new(now)).id for at in range(count)]


IDS = ticket_ids(MANY)
SHARES = [share_of(SEED, ident) / 2**64 for ident in IDS]


def chi_square(counts: list[int]) -> float:
    mean = sum(counts) / len(counts)
    return sum((count - mean) ** 2 for count in counts) / mean


def test_places_are_uniform() -> None:
    """Chi-square over 100 bins: 99 degrees of freedom, with a 99.99 % quantile of 161."""
    counts = [0] * 100
    for share in SHARES:
        counts[int(share * 100)] += 1
    assert chi_square(counts) < 161
    assert chi_square(counts) > 48, "too even to be chance"


def test_places_do_not_depend_on_the_arrival() -> None:
    """Spearman's correlation of place and arrival is within four standard deviations of none; so are neighbours'."""
    mean_rank, mean_share = (MANY - 1) / 2, sum(SHARES) / MANY
    variance = sum((share - mean_share) ** 2 for share in SHARES) / MANY
    spread = sqrt(variance * (MANY**2 - 1) / 12)
    correlation = sum((at - mean_rank) * (share - mean_share) for at, share in enumerate(SHARES)) / MANY / spread
    assert abs(correlation) < 4 / sqrt(MANY)
    neighbours = sum((a - mean_share) * (b - mean_share) for a, b in pairwise(SHARES)) / MANY
    assert abs(neighbours / variance) < 4 / sqrt(MANY)


def test_a_ticket_has_another_place_in_another_draw() -> None:
    """A pair of bins of two draws is a chi-square of 10 x 10: 99 degrees of freedom."""
    other = seed_of(KEY, "checkout", "drop", OPENS_AT + 3600)
    counts = [0] * 100
    for ident, share in zip(IDS, SHARES, strict=True):
        counts[int(share * 10) * 10 + int(share_of(other, ident) / 2**64 * 10)] += 1
    assert chi_square(counts) < 161


def test_k_tickets_have_k_chances() -> None:
    """The best of k places is behind the share x of all with the probability (1 - x)^k."""
    for k in (2, 5):
        groups = [max(SHARES[at : at + k]) for at in range(0, MANY - k + 1, k)]
        in_front = sum(1 for best in groups if best > 0.9) / len(groups)
        expected = 1 - 0.9**k
        assert abs(in_front - expected) < 4 * sqrt(expected * (1 - expected) / len(groups))


def test_anybody_can_verify_a_place() -> None:
    """The lines of docs/running-a-sale.md, with Python's standard library alone."""
    ticket, seed = IDS[0], SEED.hex()
    assert hashlib.sha256(bytes.fromhex(seed)).hexdigest() == commitment_of(SEED)
    digest = hmac.new(bytes.fromhex(seed), ticket.encode(), hashlib.sha256).digest()
    u = int.from_bytes(digest[:8], "big") / 2**64
    assert u == SHARES[0]
    opens = int(OPENS_AT * 1000) * UNITS_PER_S // 1000
    place = Draw(SEED, OPENS_AT - 900, OPENS_AT).place(ticket)
    assert abs(place - (opens - WINDOW_S * u * UNITS_PER_S)) <= 1


def test_the_seed_depends_on_all_that_names_the_sale() -> None:
    seeds = {
        SEED,
        seed_of(b"another key of a test", "checkout", "drop", OPENS_AT),
        seed_of(KEY, "vip", "drop", OPENS_AT),
        seed_of(KEY, "checkout", "drop2", OPENS_AT),
        seed_of(KEY, "checkout", "drop", OPENS_AT + 0.001),
    }
    assert len(seeds) == 5
    assert seed_of(KEY, "checkout", "drop", OPENS_AT) == SEED
    assert generation_of(KEY) != generation_of(b"another key of a test")


@given(ident=st.text(max_size=40), ms=st.integers(946_684_800_000, 7_258_118_399_999))
def test_drawn_places_are_before_all_later_arrivals(ident: str, ms: int) -> None:
    opens_at = ms / 1000
    place = Draw(SEED, opens_at - 10, opens_at).place(ident)
    later = place_of(new_ticket("checkout", opens_at, bytes(16)))
    assert later - WINDOW_S * UNITS_PER_S - UNITS_PER_S // 1000 <= place <= later
