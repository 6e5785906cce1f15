"""Ticket and pass: either the very bytes that were sealed open, or nothing does."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waiting_room.ticket import (
    ID_BYTES,
    Keyring,
    Pass,
    Rejected,
    Rejection,
    Ticket,
    cookie_values,
    judge,
    new_ticket,
)

KEY, OLD_KEY = b"k" * 32, b"o" * 32
NOW = 1_795_000_000.0
RULE = {"skew_s": 2.0, "lifetime_s": 3600.0}

rooms = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True)
moments = st.integers(0, 4_000_000_000_000).map(lambda ms: ms / 1000)
entropies = st.binary(min_size=ID_BYTES, max_size=ID_BYTES)


@given(rooms, moments, entropies)
def test_a_ticket_opens_as_what_was_sealed(room: str, now: float, entropy: bytes) -> None:
    """seal then read is the identity, to the millisecond of the first arrival."""
    ticket = new_ticket(room, now, entropy)
    assert Keyring([KEY]).read(Keyring([KEY]).seal(ticket), room) == ticket
    assert abs(ticket.first_seen - now) <= 0.0005


@given(rooms, moments, moments, entropies, st.integers(0, 4_000_000_000))
def test_a_pass_opens_as_what_was_sealed(room: str, first: float, admitted: float, entropy: bytes, end: int) -> None:
    """seal then read is the identity for passes too."""
    held = Pass(new_ticket(room, first, entropy).id, room, first, admitted, float(end))
    assert Keyring([KEY]).read(Keyring([KEY]).seal(held), room) == held


@given(st.text(max_size=400))
def test_any_text_is_rejected_and_never_raises(text: str) -> None:
    """Whatever a client sends without the key opens nothing."""
    assert isinstance(Keyring([KEY]).read(text, "checkout"), Rejected)


@given(st.data(), entropies)
def test_one_changed_character_opens_nothing(data: st.DataObject, entropy: bytes) -> None:
    """Changing, dropping or adding a single character anywhere spoils the signature or the form."""
    keys = Keyring([KEY])
    value = keys.seal(new_ticket("checkout", NOW, entropy))
    at = data.draw(st.integers(0, len(value) - 1))
    other = data.draw(st.sampled_from(string.ascii_letters + string.digits + "-_.= %"))
    for tampered in (
        value[:at] + other + value[at + 1 :],
        value[:at] + value[at + 1 :],
        value[:at] + other + value[at:],
    ):
        opened = keys.read(tampered, "checkout")
        assert tampered == value or isinstance(opened, Rejected)


def test_a_truncated_cookie_opens_nothing() -> None:
    """No prefix of a ticket is a ticket."""
    keys = Keyring([KEY])
    value = keys.seal(new_ticket("checkout", NOW, bytes(ID_BYTES)))
    assert all(isinstance(keys.read(value[:end], "checkout"), Rejected) for end in range(len(value)))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Keyring([b"f" * 32]).seal(new_ticket("checkout", NOW, bytes(16))), Rejection.SIGNATURE),
        (Keyring([KEY]).seal(new_ticket("other", NOW, bytes(16))), Rejection.ROOM),
        ("t1." + "x" * 400, Rejection.OVERSIZED),
        ("", Rejection.MALFORMED),
        ("t2.checkout", Rejection.MALFORMED),
        ("t1.checkout.\udcff.1.2.x", Rejection.SIGNATURE),
    ],
)
def test_a_rejected_cookie_says_why(value: str, reason: Rejection) -> None:
    """Foreign key, foreign room, oversized, malformed: each has its own counter."""
    assert Keyring([KEY]).read(value, "checkout") == Rejected(reason)


def test_a_ticket_cannot_be_passed_off_as_a_pass() -> None:
    """The two kinds are signed under different keys: relabelling one is a forgery."""
    keys = Keyring([KEY])
    ticket = keys.seal(Ticket("i" * 22, "checkout", NOW, NOW))
    held = keys.seal(Pass("i" * 22, "checkout", NOW, NOW, NOW + 600))
    assert isinstance(keys.read("p1" + ticket[2:], "checkout"), Rejected)
    assert isinstance(keys.read("t1" + held[2:], "checkout"), Rejected)


def test_keys_are_changed_without_anybody_losing_their_place() -> None:
    """All keys verify and the first signs, so a new key goes in front and the old one leaves later."""
    ticket = new_ticket("checkout", NOW, bytes(16))
    both = Keyring([KEY, OLD_KEY])
    assert both.read(Keyring([OLD_KEY]).seal(ticket), "checkout") == ticket
    assert Keyring([KEY]).read(both.seal(ticket), "checkout") == ticket
    assert isinstance(Keyring([OLD_KEY]).read(both.seal(ticket), "checkout"), Rejected)


@pytest.mark.parametrize(
    ("first_seen", "seen", "reason"),
    [
        (NOW, NOW, None),
        (NOW + 1.9, NOW, None),  # a node's clock two seconds ahead
        (NOW + 2.1, NOW, Rejection.FUTURE),
        (NOW, NOW + 3.1, Rejection.FUTURE),
        (NOW - 3599, NOW, None),
        (NOW - 3600, NOW, Rejection.EXPIRED),
    ],
)
def test_a_tickets_age_is_judged_with_an_allowance(first_seen: float, seen: float, reason: Rejection | None) -> None:
    """A ticket counts from `skew_s` before its first arrival until `lifetime_s` after it."""
    judged = judge(Ticket("i", "checkout", first_seen, seen), NOW, **RULE)
    assert judged == (None if reason is None else Rejected(reason))


@pytest.mark.parametrize(
    ("admitted", "expires", "reason"),
    [
        (NOW - 10, NOW + 1, None),
        (NOW - 10, NOW, Rejection.EXPIRED),
        (NOW + 1, NOW + 600, None),
        (NOW + 5, NOW + 600, Rejection.FUTURE),
    ],
)
def test_a_pass_ends_when_it_says(admitted: float, expires: float, reason: Rejection | None) -> None:
    """A session's end has no allowance: an ended pass is an ended pass."""
    judged = judge(Pass("i", "checkout", NOW - 100, admitted, expires), NOW, **RULE)
    assert judged == (None if reason is None else Rejected(reason))


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("", []),
        ("a=1; stanchion_checkout=x; b=2", ["x"]),
        ("stanchion_checkout=x", ["x"]),
        ("stanchion_checkout=x;stanchion_checkout=y", ["x", "y"]),
        ("my_stanchion_checkout=x", []),
        ("a=stanchion_checkout=x", []),
        ("stanchion_checkout2=x; stanchion_checkout=", [""]),
        ("a=1;\tstanchion_checkout= x ", ["x"]),
    ],
)
def test_a_cookie_is_found_by_its_whole_name(header: str, values: list[str]) -> None:
    """Only a pair of exactly this name counts, and every one of them is seen."""
    assert cookie_values(header, "stanchion_checkout") == values


@given(st.lists(st.tuples(st.sampled_from(["s", "ss", "a", "s2"]), st.text("ab=s ", max_size=4)), max_size=6))
def test_finding_by_position_agrees_with_parsing_every_pair(pairs: list[tuple[str, str]]) -> None:
    """The short way finds what splitting the whole header finds."""
    header = "; ".join(f"{name}={value}" for name, value in pairs)
    expected = [value.strip() for name, value in pairs if name == "s"]
    assert cookie_values(header, "s") == expected


def test_the_id_takes_as_much_chance_as_it_says() -> None:
    """Too little randomness is the caller's fault and said at once."""
    with pytest.raises(ValueError, match="16 random bytes"):
        new_ticket("checkout", NOW, b"short")
    with pytest.raises(ValueError, match="at least one secret key"):
        Keyring([])
