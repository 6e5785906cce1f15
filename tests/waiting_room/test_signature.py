"""Our signatures equal those of itsdangerous, in the one spelling that it writes."""

from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import BadData, Signer

from waiting_room.signature import Signatures

OLD, NEW = b"an old key of 16 bytes", b"k" * 80
SALT = b"stanchion.ticket.v1"
OURS = Signatures([NEW, OLD], SALT)
THEIRS = Signer([OLD, NEW], salt=SALT, key_derivation="hmac", digest_method=sha256)  # it signs with the last key
BEFORE = Signer([OLD], salt=SALT, key_derivation="hmac", digest_method=sha256)
GOOD = THEIRS.sign(b"t1.room.id.1.2")


def theirs(signed: bytes) -> bytes | None:
    """Return what itsdangerous accepts, except other spellings: it decodes base64 leniently."""
    try:
        payload = THEIRS.unsign(signed)
    except BadData:
        return None
    return payload if signed in (THEIRS.sign(payload), BEFORE.sign(payload)) else None


@given(st.binary(max_size=100))
def test_both_make_the_same_signature(payload: bytes) -> None:
    signed = THEIRS.sign(payload)
    assert OURS.sign(payload) == signed
    assert OURS.unsign(signed) == payload


@given(st.binary(max_size=100))
def test_every_key_of_the_list_is_accepted(payload: bytes) -> None:
    assert OURS.unsign(Signatures([OLD], SALT).sign(payload)) == payload
    assert OURS.unsign(Signatures([b"another key, 16 bytes"], SALT).sign(payload)) is None
    assert OURS.unsign(Signatures([NEW], b"stanchion.pass.v1").sign(payload)) is None


@settings(max_examples=1000)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_both_judge_a_changed_byte_equally(at: int, byte: int) -> None:
    signed = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    assert OURS.unsign(signed) == theirs(signed)


@settings(max_examples=1000)
@given(
    st.one_of(
        st.binary(max_size=80),
        st.text("abcXYZ019-_+/=.\n ", max_size=60).map(lambda text: GOOD.rpartition(b".")[0] + b"." + text.encode()),
        st.text("=.\n -_+/A", max_size=6).map(lambda text: GOOD + text.encode()),
        st.integers(0, len(GOOD)).map(lambda at: GOOD[:at]),
    )
)
def test_both_judge_any_bytes_equally(signed: bytes) -> None:
    assert OURS.unsign(signed) == theirs(signed)
