"""Links and claims: what was sealed is read, and nothing else; and the lane in a ticket and a pass."""

from hypothesis import given, settings
from hypothesis import strategies as st

from waiting_room.links import BY_INVITE, BY_SHOP, BY_STAFF_LINK, Claim, Link, Links
from waiting_room.ticket import Keyring, Pass, Rejected, Ticket

OLD, NEW = b"an-old-secret-of-the-tests", b"a-new-secret-of-the-tests-"
LANES = st.sampled_from(["", "a", "members", "a0-9", "l" * 32, "p1", "unshown", "b-n"])
IDS = st.text("abcXYZ019-_", min_size=22, max_size=22)
T = 1_763_719_200.123


@settings(max_examples=60)
@given(lane=LANES, ident=IDS, told=st.integers(0, 10**7), after=st.integers(0, 10**6))
def test_a_ticket_keeps_its_lane_beside_all_that_it_may_carry(lane: str, ident: str, told: int, after: int) -> None:
    keys = Keyring([NEW])
    ticket = Ticket(ident, "checkout", T, float(int(T)), after, told=told, lane=lane)
    read = keys.read(keys.seal(ticket), "checkout")
    assert isinstance(read, Ticket)
    assert (read.id, read.lane, read.told, read.return_after_s) == (ident, lane, told, after)
    assert read.renewed(T + 100.0).lane == read.telling(5).lane == lane
    assert read.in_lane("vip").first_seen == read.first_seen


@settings(max_examples=60)
@given(lane=LANES, ident=IDS, digest=st.sampled_from(["", "bAb-_n12-_"]), is_unshown=st.booleans())
def test_a_pass_keeps_its_lane(lane: str, ident: str, digest: str, is_unshown: bool) -> None:
    keys = Keyring([NEW])
    read = keys.read(keys.seal(Pass(ident, "checkout", T, T, T + 600, digest, is_unshown, lane)), "checkout")
    assert isinstance(read, Pass)
    assert (read.id, read.lane, read.binding_digest, read.is_unshown) == (ident, lane, digest, is_unshown)


def test_cookies_without_a_lane_are_what_they_were() -> None:
    keys = Keyring([NEW])
    assert "~" not in keys.seal(Ticket("x" * 22, "checkout", T, T))
    assert (
        keys.seal(Pass("x" * 22, "checkout", T, T, T + 1, "b1234n5678", True)).split(".")[2].endswith("~b1234n5678~u")
    )


def test_a_link_is_read_as_its_kind_only_and_by_every_key() -> None:
    invite = Link(BY_INVITE, "checkout", "members", "i" * 16, 3, float(int(T)))
    text = Links([OLD]).seal(invite)
    assert Links([NEW, OLD]).read(text, BY_INVITE) == invite
    assert Links([NEW, OLD]).read(text, BY_STAFF_LINK) is None
    assert Links([NEW]).read(text, BY_INVITE) is None
    assert Links([OLD]).read_claim(text) is None


@settings(max_examples=200)
@given(at=st.integers(0, 200), value=st.integers(0, 255))
def test_a_text_that_was_changed_anywhere_opens_nothing(at: int, value: int) -> None:
    links = Links([NEW])
    for text in (
        links.seal(Link(BY_INVITE, "checkout", "members", "i" * 16, 1, T)),
        links.seal_claim(Claim(BY_SHOP, "", "members", "c" * 32, T, "bAb-_n12-_")),
    ):
        changed = text[: at % len(text)] + chr(value) + text[at % len(text) + 1 :]
        if changed != text:
            assert links.read(changed, BY_INVITE) is None
            assert links.read_claim(changed) is None


@settings(max_examples=100)
@given(text=st.text(max_size=300))
def test_no_text_raises(text: str) -> None:
    links, keys = Links([NEW]), Keyring([NEW])
    assert links.read(text, BY_INVITE) is None
    assert links.read_claim(text) is None
    assert isinstance(keys.read(text, "checkout"), Rejected)
