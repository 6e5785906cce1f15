"""What supervisor and worker tell each other, when one of them is killed in mid-sentence."""

import asyncio
import socket

from edge.messages.channel import Channel


async def test_messages_come_as_they_were_sent():
    """One message a line, in order, until the other end is gone."""
    ours, theirs = socket.socketpair()
    near, far = await Channel.over(ours), await Channel.over(theirs)
    near.send("event", event={"room": "checkout", "text": "two\nlines"})
    near.send("ready")
    near.close()
    assert [message async for message in far.messages()] == [
        {"kind": "event", "event": {"room": "checkout", "text": "two\nlines"}},
        {"kind": "ready"},
    ]
    far.close()


async def test_half_a_message_is_none():
    """A worker killed while it wrote a report leaves half a line: the supervisor must outlive it."""
    ours, theirs = socket.socketpair()
    far = await Channel.over(theirs)
    with ours:
        ours.sendall(b'{"kind": "ready"}\n{"kind": "rep')
    assert [message["kind"] async for message in far.messages()] == ["ready"]
    far.close()


async def test_to_an_end_that_is_gone_nothing_is_said():
    """Sending to a dead process is no error; its successor gets a channel of its own."""
    ours, theirs = socket.socketpair()
    near = await Channel.over(ours)
    theirs.close()
    for _ in range(3):
        near.send("ready")
        await asyncio.sleep(0)
    assert [message async for message in near.messages()] == []
    near.close()
