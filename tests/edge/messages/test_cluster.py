"""Payloads between machines: what is understood, what is ignored, and that nothing raises anything else."""

import contextlib
from dataclasses import fields

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import Summary
from edge.messages.cluster import (
    ClusterMessage,
    Echo,
    LimitsSpent,
    Lists,
    MalformedMessage,
    NodeSummary,
    RoomEvent,
    TicketRedeemedAgain,
    UnknownMessage,
    is_record,
    open_payload,
    seal_payload,
)
from edge.messages.upstream import ServerNews

SUMMARY = Summary("a/0", 7, 1.5, 2.0, 3.0, 4.0, 5.0, ((6.0, 7.0, True), (8.0, 9.0, False)), (10.0,), (11.0,), 12.0)
RECORD = "1795000000123.1795000600.1794999940123.bAAAAnBBBB"
MESSAGES: list[ClusterMessage] = [
    RoomEvent("checkout", 0, True, 2, 9, "ticket"),
    NodeSummary.of("checkout", SUMMARY),
    TicketRedeemedAgain("checkout", "ticket", RECORD),
    LimitsSpent({"reads": {"192.0.2.1": 3}}),
    Lists((("192.0.2.0/24", "deny", 2.0, 1.0),)),
    ServerNews("http://shop:9000", is_up=False),
]


def envelope(kind: str, body: object, machine: str = "far") -> bytes:
    return msgspec.msgpack.encode([kind, machine, body])


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_of_another_machine_is_read_as_it_was_sent(message: ClusterMessage) -> None:
    payload = seal_payload(message, "far")
    assert open_payload(payload, "near") == message
    assert open_payload(payload, "far") is None, "a machine's own message is skipped"


def test_a_beat_is_read_by_its_own_machine_only() -> None:
    payload = seal_payload(Echo(1.5), "far")
    assert open_payload(payload, "far") == Echo(1.5)
    assert open_payload(payload, "near") is None


def test_a_summary_travels_complete() -> None:
    """Every field of the gate's summary is in the message, and comes out with the types that the gate expects."""
    message = NodeSummary.of("checkout", SUMMARY)
    assert message.summary() == SUMMARY
    assert message.__struct_fields__ == ("room", *(field.name for field in fields(Summary)))
    read = open_payload(seal_payload(message, "far"), "near")
    assert isinstance(read, NodeSummary)
    assert read.summary() == SUMMARY
    assert isinstance(read.leases[0], tuple)


def test_a_message_of_a_later_version_is_unknown() -> None:
    with pytest.raises(UnknownMessage, match="Weather"):
        open_payload(envelope("Weather", {"type": "Weather"}), "near")


def test_a_field_of_a_later_version_is_ignored() -> None:
    body = {"type": "RoomEvent", "room": "checkout", "stock": 3, "colour": "red"}
    assert open_payload(envelope("RoomEvent", body), "near") == RoomEvent("checkout", 3)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b'{"kind": "event"}',
        msgspec.msgpack.encode(["RoomEvent", "far"]),
        envelope("RoomEvent", {"type": "RoomEvent"}),
        envelope("RoomEvent", {"type": "RoomEvent", "room": "checkout", "stock": -1}),
        envelope("RoomEvent", {"type": "RoomEvent", "room": "checkout", "stock": "1"}),
        envelope(
            "TicketRedeemedAgain",
            {"type": "TicketRedeemedAgain", "room": "checkout", "ticket": "t", "record": "yesterday"},
        ),
        envelope("LimitsSpent", {"type": "LimitsSpent", "limits": {"reads": {"a": -1}}}),
        envelope("RoomEvent", {"type": "Weather"}),
    ],
)
def test_a_payload_that_fits_no_message_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        open_payload(payload, "near")


@given(st.sampled_from(MESSAGES), st.data())
def test_a_damaged_payload_raises_nothing_else(message: ClusterMessage, data: st.DataObject) -> None:
    payload = bytearray(seal_payload(message, "far"))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedMessage, UnknownMessage):
        open_payload(bytes(payload[: data.draw(st.integers(0, len(payload)))]), "near")


def test_a_record_is_told_from_other_text() -> None:
    assert is_record(RECORD)
    assert not any(map(is_record, ("", "x", RECORD[:13], "-" + RECORD, "9" * 400 + RECORD)))
