"""The native leaf gives the answers of the Python form, keeps no memory, and refuses what is no argument."""

import gc
import hashlib
import hmac
import json
import sys
from collections.abc import Callable
from dataclasses import fields
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.native_leaf import leaf
from waiting_room import filling, ident, status
from waiting_room.leaf import NATIVE
from waiting_room.signature import Signatures
from waiting_room.ticket import Keyring, Ticket
from waiting_room.ticket_leaf import KNOWN, TicketLeaf

KEYS = Keyring([b"k" * 40, b"old" * 12])
ID = "3q2-7wAAAAAAAAAAAAAAAA"
NAME = "stanchion_checkout"
TICKETS = st.builds(
    Ticket,
    st.binary(min_size=16, max_size=16).map(ident.new_id),
    st.just("checkout"),
    st.integers(0, 10**13).map(lambda ms: ms / 1000),
    st.integers(0, 10**10).map(float),
    st.one_of(st.just(0), st.integers(1, 10**9 - 1)),
    st.just(0.0),
    st.one_of(st.just(0), st.integers(1, 10**9 - 1)),
)


@pytest.fixture(scope="module")
def native() -> ModuleType:
    return leaf()


@pytest.fixture(params=["portable", "sha_ni"])
def sha(request: pytest.FixtureRequest, native: ModuleType) -> Any:
    """Compute SHA-256 in each way that this machine can."""
    try:
        before = native.use(request.param)
    except ValueError as error:
        pytest.skip(str(error))
    yield request.param
    native.use(before)


def test_the_digest_is_hmac_sha256(native: ModuleType, sha: str):
    for size in (*range(1, 200), 1000, 4096):
        payload = hashlib.shake_128(b"%d" % size).digest(size)
        key = payload[:64]
        assert native.digest(native.mac_state(key), payload) == hmac.digest(key, payload, "sha256"), size


def test_every_key_verifies_and_the_first_one_signs(native: ModuleType, sha: str):
    new, old = [b"new" * 12, b"old" * 12], [b"old" * 12]
    one, other = Signatures(new, b"salt", native), Signatures(old, b"salt", native)
    python = Signatures(new, b"salt", None)
    assert one.sign(b"payload") == python.sign(b"payload")
    assert one.unsign(other.sign(b"payload")) == b"payload"
    assert other.unsign(one.sign(b"payload")) is None


@given(payload=st.binary(max_size=200), junk=st.binary(max_size=60), at=st.integers(0, 300), byte=st.integers(0, 255))
def test_both_forms_sign_and_verify_alike(payload: bytes, junk: bytes, at: int, byte: int):
    native = leaf()
    one, python = Signatures([b"k" * 40], b"salt", native), Signatures([b"k" * 40], b"salt", None)
    signed = one.sign(payload)
    assert signed == python.sign(payload)
    changed = bytearray(signed)
    changed[at % len(changed)] = byte
    for each in (signed, bytes(changed), junk, payload + b"." + junk, signed + junk, signed[: at % len(signed)]):
        assert one.unsign(each) == python.unsign(each)


def test_a_signature_has_one_spelling(native: ModuleType):
    """The two bits that the last letter has left are 0: base64 decoders take the other three spellings too."""
    one = Signatures([b"k" * 40], b"salt", native)
    signed = one.sign(b"payload")
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=."
    assert [letter for letter in letters if one.unsign(signed[:-1] + bytes([letter])) is not None] == [signed[-1]]


def test_the_leaf_knows_every_field_of_a_ticket():
    """Else the Python form would read and write all tickets, in any form of the installation, and nobody would see it.

    After a new field, teach it to `leaf.c`, or leave tickets that have it to the Python form as those of a lane are.
    """
    assert tuple(each.name for each in fields(Ticket)) == KNOWN


@given(ticket=TICKETS)
def test_both_forms_write_the_same_cookie_and_read_it(ticket: Ticket):
    tickets = TicketLeaf(KEYS, leaf())
    value = KEYS.seal(ticket)
    assert tickets.cookie(ticket, "a=", "; Path=/") == f"a={value}; Path=/"
    for cookie in (f"{NAME}={value}", f"x=1; __Host-{NAME}={value}; y=2", f"x=1; {NAME}={value}"):
        found = tickets.find(cookie, NAME, "checkout")
        assert found == KEYS.read(value, "checkout")
        assert isinstance(found, Ticket)


SIGNED = KEYS.seal(Ticket(ID, "checkout", 1763719200.123, 1763719260.0))
PIECES = st.sampled_from(
    (
        f"{NAME}={SIGNED}",
        f"__Host-{NAME}={SIGNED}",
        "; ",
        ";",
        " ",
        "\t",
        "x=1",
        NAME,
        "=",
        f"x{NAME}={SIGNED}",
        "é",
        "__Host-",
    )
)


@example(pieces=[f"{NAME}={SIGNED}"], room="check")
@example(pieces=[f"{NAME}={SIGNED}"], room="checkout.")
@given(pieces=st.lists(PIECES, max_size=6), room=st.sampled_from(("checkout", "other")))
def test_the_leaf_finds_no_ticket_that_the_python_form_does_not(pieces: list[str], room: str):
    from edge.decision.cookies import Cookies
    from edge.messages.head import RequestHead
    from edge.settings.model import CookieSettings

    cookie = "".join(pieces)
    found = TicketLeaf(KEYS, leaf()).find(cookie, NAME, room)
    if found is None:
        return
    for secure in ("always", "never"):
        head = RequestHead("GET", "/", "shop.test", "http", "10.0.0.1", cookie)
        values = Cookies(CookieSettings(secure=secure)).read(NAME, head)
        assert [KEYS.read(value, room) for value in values] == [found]


@given(data=st.binary(min_size=16, max_size=16), other=st.text(max_size=30))
def test_both_forms_make_the_same_ids_and_slots(data: bytes, other: str):
    native = leaf()
    made = native.ident(data)
    assert made == ident._new_id(data)
    assert native.slot(made) == ident._slot_bits(made)
    assert native.slot(other) in (-1, ident._slot_bits(other) if len(other) == 22 else -1)


@given(
    values=st.lists(st.binary(max_size=12), min_size=1, max_size=8),
    parts=st.lists(st.binary(max_size=20), min_size=9, max_size=9),
    widths=st.lists(st.integers(0, 30), min_size=8, max_size=8),
)
def test_both_forms_fill_a_page_alike(values: list[bytes], parts: list[bytes], widths: list[int]):
    gaps = len(values)
    order = bytes(reversed(range(gaps)))
    whole = [b""] * (2 * gaps + 1)
    whole[::2] = parts[: gaps + 1]
    arguments = whole, order, tuple(widths[:gaps]), tuple(values)
    assert leaf().fill(*arguments) == filling._filled(*arguments)


@given(
    moment_s=st.one_of(
        st.floats(0.0, 253_402_300_799.99), st.sampled_from([0.0, 951_782_400.0, 951_868_799.9996, 4_107_542_400.0])
    )
)
@example(moment_s=1_709_164_799.9994)
@example(moment_s=253_402_300_799.9)
def test_both_forms_write_a_moment_alike(moment_s: float):
    assert leaf().moment(moment_s) == status.moment(moment_s).encode()


@pytest.mark.parametrize("moment_s", [-1.0, 1e12, float("nan"), float("inf"), -float("inf")])
def test_a_moment_outside_of_the_years_with_four_digits_is_left_to_the_python_form(moment_s: float):
    assert leaf().moment(moment_s) is None


@given(
    position=st.integers(0, 10**15 - 1),
    waits=st.tuples(*[st.one_of(st.floats(0.0, 1e14), st.floats(0.0, 120.0), st.just(-0.0))] * 3),
    extra=st.sampled_from((b"", b', "ticket": "x"')),
)
@example(position=1, waits=(0.0, 1.0, 99.995), extra=b"")
@example(position=1, waits=(-0.4, 1.0, 99.9949), extra=b"")
def test_both_forms_write_the_same_document(position: int, waits: tuple[float, float, float], extra: bytes):
    shared = status.SharedFields(status.State.WAITING, "checkout", "Été", 5, 2)
    moment = status.moment(1763719200.123).encode()
    found = leaf().document(shared.before, position, *waits, moment, shared.after, extra)
    wanted = status._document(shared, position, *waits, moment, extra)
    assert found == (wanted if waits[2] < 99.995 else None)
    assert isinstance(json.loads(wanted), dict)


CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("digest", (b"s" * 64, b"payload")),
    ("sign", (b"s" * 64, b"payload")),
    ("unsign", (b"s" * 64, b"payload." + b"s" * 43)),
    ("mac_state", (b"key",)),
    ("find_ticket", (b"s" * 64, f"{NAME}={SIGNED}", NAME, "checkout")),
    ("find_ticket", (b"s" * 64, f"{NAME}=t1.checkout", NAME, "checkout")),
    ("ticket_cookie", (b"s" * 64, "a=", "room", ID, 1, 2, 1763719200123, 1763719260, "; Path=/")),
    ("ticket_cookie", (b"s" * 64, "a=", "é", ID, 1, 2, 3, 4, "")),
    ("ident", (b"i" * 16,)),
    ("slot", (ID,)),
    ("moment", (1763719200.123,)),
    ("moment", (-1.0,)),
    ("response_head", (b"HTTP/1.1 200 OK\r\nA: b\r\nK: 5\r\nC: 3\r\n\r\n", {b"A": 0, b"K": 8, b"C": 2})),
    ("response_head", (b"HTTP/1.1 200 OK\r\nA: b\r\nB: 5\r\n\r\n", {b"A": 0})),
    ("slot", ("é",)),
    ("document", (b"{", 5, 1.0, 2.5, 3.25, b'"2026"', b", 1", b"")),
    ("document", (b"{", 5, 1.0, 2.5, 325.0, b'"2026"', b", 1", b"")),
    ("fill", ([b"a", b"", b"c"], b"\0", (4,), (b"b",))),
]


def calls(native: ModuleType) -> list[tuple[Callable[..., Any], tuple[Any, ...]]]:
    """Return every function with arguments that it takes."""
    table = native.HeadTable(7)
    table.put(b"GET / HTTP/1.1\r\nCookie: a\r\n\r\n", "value")
    state = native.mac_state(KEYS.tickets._keys[0])
    found = [(getattr(native, name), arguments) for name, arguments in CALLS]
    return [
        *found,
        (native.find_ticket, (state, f"{NAME}={SIGNED}", NAME, "checkout")),
        (table.find, (b"GET / HTTP/1.1\r\nCookie: b\r\n\r\n",)),
        (table.find, (b"junk",)),
        (table.put, (b"GET / HTTP/1.1\r\nCookie: a\r\n\r\n", ["value"])),
        (native.HeadTable, (1,)),
    ]


def test_no_call_keeps_memory(native: ModuleType):
    """Neither a successful call, nor one with wrong arguments."""

    def rounds(count: int) -> None:
        for function, arguments in calls(native):
            for _ in range(count):
                function(*arguments)
            for wrong in [(*arguments[:at], 7.5, *arguments[at + 1 :]) for at in range(len(arguments))]:
                for _ in range(count):
                    try:
                        function(*wrong)
                    except (TypeError, ValueError, AttributeError):
                        continue

    rounds(3)
    gc.collect()
    before = sys.getallocatedblocks()
    rounds(300)
    gc.collect()
    assert sys.getallocatedblocks() - before < 100


def test_no_call_changes_the_reference_counts_of_its_arguments(native: ModuleType):
    for function, arguments in calls(native):
        if function.__name__ == "put":
            continue
        counts = [sys.getrefcount(each) for each in arguments]
        for _ in range(50):
            function(*arguments)
        now = [sys.getrefcount(each) for each in arguments]
        assert [abs(one - other) < 40 for one, other in zip(counts, now, strict=True)] == [True] * len(counts), function


@pytest.mark.parametrize(("name", "arguments"), CALLS)
def test_a_wrong_argument_is_refused(native: ModuleType, name: str, arguments: tuple[Any, ...]):
    """By an exception, or where a text is not plain by None; never by a crash."""
    function = getattr(native, name)
    for at, right in enumerate(arguments):
        for wrong in (None, 7.5, "é", b"", -1, 2**80, [], ("x",)):
            if type(wrong) is not type(right):
                assert _refuses(function, (*arguments[:at], wrong, *arguments[at + 1 :])), (name, at, wrong)
    if len(arguments) > 1:
        with pytest.raises(TypeError, match="takes"):
            function(*arguments[:-1])


def _refuses(function: Callable[..., Any], arguments: tuple[Any, ...]) -> bool:
    try:
        return function(*arguments) is None
    except (TypeError, ValueError):
        return True


def test_a_table_of_heads_lets_its_values_go(native: ModuleType):
    """Also in a cycle: the values of a table refer to what holds the table."""

    class Value:
        table: Any

    gc.collect()
    before = len([each for each in gc.get_objects() if type(each).__name__ == "Value"])
    for _ in range(20):
        table, value = native.HeadTable(1), Value()
        value.table = table
        table.put(b"GET / HTTP/1.1\r\nCookie: a\r\n\r\n", value)
        del table, value
    gc.collect()
    assert len([each for each in gc.get_objects() if type(each).__name__ == "Value"]) == before


def test_the_table_finds_a_head_by_all_but_its_cookie(native: ModuleType):
    table = native.HeadTable(3)
    table.put(b"GET / HTTP/1.1\r\nCookie: a\r\nA: b\r\n\r\n", 1)
    assert table.find(b"GET / HTTP/1.1\r\nCookie: other=1\r\nA: b\r\n\r\n") == (1, "other=1")
    assert table.find(b"GET / HTTP/1.1\r\nCookie: \r\nA: b\r\n\r\n") == (1, "")
    for other in (
        b"GET / HTTP/1.1\r\nCookie: a\r\nA: c\r\n\r\n",
        b"GET / HTTP/1.1\r\ncookie: a\r\nA: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nCookie: \xe9\r\nA: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nCookie: a \r\nA: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n\r\n",
        b"",
    ):
        assert table.find(other) is None, other


def test_more_heads_than_places_push_out_each_other_and_are_never_confused(native: ModuleType):
    table = native.HeadTable(5)
    heads = [b"GET /%d HTTP/1.1\r\nCookie: a\r\n\r\n" % at for at in range(5000)]
    for at, head in enumerate(heads):
        table.put(head, at)
    found = {at: table.find(head) for at, head in enumerate(heads)}
    kept = {at: hit for at, hit in found.items() if hit is not None}
    assert all(hit == (at, "a") for at, hit in kept.items())
    assert 500 < len(kept) <= 1024


def test_the_installed_form_has_the_leaf_if_it_is_compiled():
    assert (NATIVE is not None) == (not ident.__file__.endswith(".py"))
