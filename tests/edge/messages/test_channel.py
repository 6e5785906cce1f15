"""The channel between supervisor and worker, also when one of them is killed in the middle of a message."""

import asyncio
import socket
import struct

import msgspec
import pytest

from edge.messages.channel import MAX_MESSAGE_BYTES, supervisor_end, worker_end
from edge.messages.cluster import NodeSummary, RoomEvent
from edge.messages.processes import Drain, Ready, Report
from edge.support.errors import InternalError


def frame(message: msgspec.Struct) -> bytes:
    payload = msgspec.msgpack.encode(message)
    return struct.pack(">I", len(payload)) + payload


async def test_messages_arrive_as_they_were_sent() -> None:
    """In order, with infinite numbers and any text, until the other end is gone."""
    ours, theirs = socket.socketpair()
    worker, supervisor = await worker_end(ours), await supervisor_end(theirs)
    sent = [
        RoomEvent("checkout", stock=7, tried="two\nlines \0 ü"),
        NodeSummary("checkout", "a/0", 7, 1.5, 2.0, float("-inf"), 0.0, 3.0, ((1.0, 2.0, True),), (4.0,)),
        Ready(),
    ]
    for message in sent:
        worker.send(message)
    worker.close()
    assert [message async for message in supervisor.messages()] == sent
    supervisor.close()


async def test_half_a_message_is_dropped() -> None:
    """A worker that is killed while it writes a report must not end the supervisor."""
    ours, theirs = socket.socketpair()
    supervisor = await supervisor_end(theirs)
    with ours:
        ours.sendall(frame(Ready()) + frame(Report({}, False, {}))[:-1])
    assert [message async for message in supervisor.messages()] == [Ready()]
    supervisor.close()


async def test_a_message_to_an_end_that_is_gone_is_dropped() -> None:
    """Sending to a dead process is no error; its successor gets a channel of its own."""
    ours, theirs = socket.socketpair()
    supervisor = await supervisor_end(ours)
    theirs.close()
    for _ in range(3):
        supervisor.send(Drain())
        await asyncio.sleep(0)
    assert [message async for message in supervisor.messages()] == []
    supervisor.close()


@pytest.mark.parametrize(
    "sent",
    [
        frame(Drain()),  # for the other direction
        frame(RoomEvent("checkout", stock=-1)),
        frame(RoomEvent("checkout")).replace(b"checkout", b"\xff" * 8),
        struct.pack(">I", MAX_MESSAGE_BYTES + 1),
    ],
    ids=["wrong direction", "wrong value", "no text", "too long"],
)
async def test_a_message_that_is_not_understood_is_an_error(sent: bytes) -> None:
    """Both processes run the same code, so it can only be a programming error."""
    ours, theirs = socket.socketpair()
    supervisor = await supervisor_end(theirs)
    with ours:
        ours.sendall(sent)
        with pytest.raises((msgspec.DecodeError, InternalError), match=r"\w"):
            async for _ in supervisor.messages():
                pass
    supervisor.close()
