"""Ticket and pass: only the exact bytes that were sealed can be opened."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waiting_room.cookie_field import cookie_values
from waiting_room.ticket import ID_BYTES, JoinToken, Keyring, Pass, Rejected, Rejection, Ticket, judge, new_ticket

KEY, OLD_KEY = b"k" * 32, b"o" * 32
NOW = 1_795_000_000.0
RULE = {"skew_s": 2.0, "lifetime_s": 3600.0}

rooms = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True)
moments = st.integers(0, 4_000_000_000_000).map(lambda ms: ms / 1000)
entropies = st.binary(min_size=ID_BYTES, max_size=ID_BYTES)


@given(rooms, moments, entropies)
def test_an_opened_ticket_equals_the_sealed_one(room: str, now: float, entropy: bytes) -> None:
    """`read` returns what `seal` got, with the arrival to the millisecond."""
    ticket = new_ticket(room, now, entropy)
    assert Keyring([KEY]).read(Keyring([KEY]).seal(ticket), room) == ticket
    assert abs(ticket.first_seen - now) <= 0.0005


@given(rooms, moments, moments, entropies, st.integers(0, 4_000_000_000))
def test_an_opened_pass_equals_the_sealed_one(
    room: str, first: float, admitted: float, entropy: bytes, end: int
) -> None:
    """`read` returns the pass that `seal` got."""
    held = Pass(new_ticket(room, first, entropy).id, room, first, admitted, float(end))
    assert Keyring([KEY]).read(Keyring([KEY]).seal(held), room) == held


@pytest.mark.parametrize(
    ("credential", "cookie"),
    [
        (
            Ticket("i" * 22, "checkout", 1.5, 60.0, 30),
            "t1.checkout.iiiiiiiiiiiiiiiiiiiiii~a30.1500.60.S07ORg2TxzyHFZ7wGuuXdQnufkj3GOTdyuFrZHAJaWs",
        ),
        (
            Pass("i" * 22, "checkout", 1.5, 61.25, 661.0, "bDya_nI4QN"),
            "p1.checkout.iiiiiiiiiiiiiiiiiiiiii~bDya_nI4QN.1500.61250.661.A1MwCtRTKRhHmDWkjOcVctawbE0IoHneKqAyGla_lhc",
        ),
        (
            JoinToken("i" * 22, "checkout", 1.5),
            "j1.checkout.iiiiiiiiiiiiiiiiiiiiii.1500.RJbC0cYwUT3peTvYm7Wfkz_MRH66i-2qOG14OLN945c",
        ),
    ],
)
def test_the_cookie_format_does_not_change(credential: Ticket | Pass | JoinToken, cookie: str) -> None:
    """Cookies that are in use stay valid: the bytes depend on the key and the content only."""
    assert Keyring([KEY]).seal(credential) == cookie
    assert Keyring([KEY]).read(cookie, "checkout") == credential


@given(st.text(max_size=400))
def test_a_text_without_a_signature_is_rejected(text: str) -> None:
    """No text that was made without the key is opened, and none raises."""
    assert isinstance(Keyring([KEY]).read(text, "checkout"), Rejected)


@given(st.data(), entropies)
def test_one_changed_character_is_rejected(data: st.DataObject, entropy: bytes) -> None:
    """A changed, removed or added character anywhere breaks the signature or the form."""
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


def test_a_truncated_cookie_is_rejected() -> None:
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
def test_a_rejected_cookie_has_a_reason(value: str, reason: Rejection) -> None:
    """A foreign key, a foreign room, too many bytes and a wrong form have different reasons."""
    assert Keyring([KEY]).read(value, "checkout") == Rejected(reason)


def test_a_ticket_cannot_be_used_as_a_pass() -> None:
    """The two kinds are signed with different keys, so a changed label breaks the signature."""
    keys = Keyring([KEY])
    ticket = keys.seal(Ticket("i" * 22, "checkout", NOW, NOW))
    held = keys.seal(Pass("i" * 22, "checkout", NOW, NOW, NOW + 600))
    assert isinstance(keys.read("p1" + ticket[2:], "checkout"), Rejected)
    assert isinstance(keys.read("t1" + held[2:], "checkout"), Rejected)


def test_a_key_change_keeps_every_place() -> None:
    """The first key signs and all verify, so a new key is put first and the old one is removed later."""
    ticket = new_ticket("checkout", NOW, bytes(16))
    both = Keyring([KEY, OLD_KEY])
    assert both.read(Keyring([OLD_KEY]).seal(ticket), "checkout") == ticket
    assert Keyring([KEY]).read(both.seal(ticket), "checkout") == ticket
    assert isinstance(Keyring([OLD_KEY]).read(both.seal(ticket), "checkout"), Rejected)


@pytest.mark.parametrize(
    ("first_seen", "seen", "reason"),
    [
        (NOW, NOW, None),
        (NOW + 1.9, NOW, None),  # a node with a clock that is almost two seconds ahead
        (NOW + 2.1, NOW, Rejection.FUTURE),
        (NOW, NOW + 3.1, Rejection.FUTURE),
        (NOW - 3599, NOW, None),
        (NOW - 3600, NOW, Rejection.EXPIRED),
    ],
)
def test_the_age_of_a_ticket_has_an_allowance(first_seen: float, seen: float, reason: Rejection | None) -> None:
    """A ticket counts from `skew_s` before its arrival until `lifetime_s` after it."""
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
def test_a_pass_ends_without_an_allowance(admitted: float, expires: float, reason: Rejection | None) -> None:
    """The end of a pass is exact."""
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
        ("a=1; \t stanchion_checkout=x;   stanchion_checkout=y", ["x", "y"]),
        ("  stanchion_checkout=x", []),
        ("; a stanchion_checkout=x", []),
    ],
)
def test_a_cookie_is_found_by_its_whole_name(header: str, values: list[str]) -> None:
    """Only pairs with exactly this name count, and all of them are returned."""
    assert cookie_values(header, "stanchion_checkout") == values


def test_no_more_values_are_read_than_are_asked_for() -> None:
    assert cookie_values("s=1; s=2; a=3; s=4", "s", 2) == ["1", "2"]


@given(st.lists(st.tuples(st.sampled_from(["s", "ss", "a", "s2"]), st.text("ab=s ", max_size=4)), max_size=6))
def test_the_search_agrees_with_parsing_every_pair(pairs: list[tuple[str, str]]) -> None:
    """The search for the name finds the same values as a split of the whole header."""
    header = "; ".join(f"{name}={value}" for name, value in pairs)
    expected = [value.strip() for name, value in pairs if name == "s"]
    assert cookie_values(header, "s") == expected


def test_too_little_randomness_raises() -> None:
    """Too few random bytes, or no key, is an error of the caller and raises at once."""
    with pytest.raises(ValueError, match="16 random bytes"):
        new_ticket("checkout", NOW, b"short")
    with pytest.raises(ValueError, match="at least one secret key"):
        Keyring([])
