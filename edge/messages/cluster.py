"""Messages about rooms that travel between nodes: over the channels of one machine and over Redis between machines.

    payload on Redis = msgpack [type, machine, body]        body = msgpack map of the message's fields

`machine` is the sender: a supervisor skips its own messages without reading their bodies. Machines may run different
versions. The reader counts and drops a message whose type this version does not know (`UnknownMessage`) and one whose
body does not fit its type (`MalformedMessage`). Unknown fields are ignored, so a later version may add fields that have
defaults.

The messages are msgspec structs and not the dataclasses that they carry: the compiled form of a dataclass has lost the
types inside its tuples, so nothing could check them.
"""

import re
from typing import Annotated, Literal

from msgspec import DecodeError, Meta, Raw, Struct
from msgspec.msgpack import Decoder, Encoder

from controller import Summary
from edge.messages.upstream import ServerNews
from edge.support.errors import UpstreamError

__all__ = [
    "ClusterMessage",
    "DrawKey",
    "Echo",
    "LimitsSpent",
    "LinkState",
    "LinkStates",
    "Lists",
    "MalformedMessage",
    "NodeSummary",
    "Record",
    "RoomEvent",
    "RoomState",
    "RoomStates",
    "SaleEntry",
    "SaleStates",
    "TicketRedeemedAgain",
    "UnknownMessage",
    "is_given_up",
    "is_record",
    "open_payload",
    "seal_payload",
]

#: What is noted of a redeemed ticket: admitted (ms), expires (s), first_seen (ms), binding digest, joined by dots.
_RECORD = r"^\d{1,16}\.\d{1,13}\.\d{1,16}\."
Record = Annotated[str, Meta(pattern=_RECORD)]
Count = Annotated[int, Meta(ge=0)]


class RoomEvent(Struct, frozen=True, tag=True):
    """What the upstream said about a room, in a response or when the supervisor asked for its stock.

    A field is None if the upstream said nothing about it."""

    room: str
    stock: Count | None = None
    sold_out: bool | None = None
    held: Count | None = None
    version: Count | None = None
    tried: str | None = None
    """The ticket of the claim that this response has ended, so that no other node ends it again."""
    ended: str | None = None
    """The ticket of a session that the upstream has ended: its pass counts at no node."""


class NodeSummary(Struct, frozen=True, tag=True):
    """The heartbeat of one node for one room: `controller.Summary`, field by field.

    Visitors are places, which are integers. Older versions send seconds of Unix time, which are floats.
    """

    room: str
    node: str
    beat: int
    at: float
    polls_per_s: float
    level: float
    rate: float
    waiting: float
    leases: tuple[tuple[int | float, float, bool], ...]
    admitted: tuple[int | float, ...]
    profile: tuple[int | float, ...] = ()
    integral: float = 0.0
    is_still: bool = False
    is_last: bool = False

    @classmethod
    def of(cls, room: str, summary: Summary) -> "NodeSummary":
        """Return the message that carries a summary."""
        return cls(room, *(getattr(summary, field) for field in _SUMMARY_FIELDS))

    def summary(self) -> Summary:
        """Return the summary that the gate observes."""
        return Summary(*(getattr(self, field) for field in _SUMMARY_FIELDS))


class TicketRedeemedAgain(Struct, frozen=True, tag=True):
    """A ticket was redeemed again at another node: its earlier passes no longer count. Or it was given up."""

    room: str
    ticket: str
    record: Record


class LimitsSpent(Struct, frozen=True, tag=True):
    """Requests that a node let through since its last message, by shared limit and by key."""

    limits: dict[str, dict[str, Count]]


class Lists(Struct, frozen=True, tag=True):
    """All allow and deny list entries that a machine knows: network, list, expires, changed (wall time, seconds)."""

    entries: tuple[tuple[str, str, float, float], ...]


class RoomState(Struct, frozen=True):
    """What operators changed of one room since its settings were read. None: the settings file decides."""

    room: str
    changed: float
    """When, wall time in seconds. Of two states of a room the later one counts, on every machine."""
    mode: Literal["open", "hold", "drain", "closed", "shadow"] | None = None
    admissions_per_second: Annotated[float, Meta(ge=0, le=1_000_000)] | None = None
    total_active_users: Annotated[int, Meta(ge=1)] | None = None
    message: Annotated[str, Meta(max_length=500)] | None = None
    until: float | None = None
    """When the settings file decides again, wall time in seconds."""
    reason: Annotated[str, Meta(max_length=500)] | None = None
    """For other operators; visitors do not see it."""
    actor: str = ""
    """The operator, as the audit trail names them."""


class RoomStates(Struct, frozen=True, tag=True):
    """The states of all rooms that operators changed, as a machine knows them."""

    states: tuple[RoomState, ...]


class SaleEntry(Struct, frozen=True):
    """What operators said of one sale of a room while the edge ran."""

    room: str
    name: str
    changed: float
    """When, wall time in seconds. Of two entries of a sale the later one counts, on every machine."""
    sale: dict[str, str | int | float | bool | None] | None = None
    """As `SaleSettings` has it; None: the settings file decides."""
    actor: str = ""


class DrawKey(Struct, frozen=True):
    """The secret key that a draw uses, whichever keys are added later."""

    draw: str
    """Room, sale and time of the opening."""
    generation: str
    """`waiting_room.draw.generation_of` the key."""
    noted: float
    """When the sale was first seen, wall time in seconds. Of two keys of a draw the earlier one counts."""


class SaleStates(Struct, frozen=True, tag=True):
    """All sales that operators changed, and the keys of all draws, as a machine knows them."""

    entries: tuple[SaleEntry, ...]
    draws: tuple[DrawKey, ...]


class LinkState(Struct, frozen=True):
    """A link, or a batch of links, that an operator revoked."""

    link: Annotated[str, Meta(max_length=16)]
    """The id of the link, or the first 8 characters of those of its batch."""
    expires: float
    """When nobody needs to know it any more, wall time in seconds."""
    actor: Annotated[str, Meta(max_length=200)] = ""


class LinkStates(Struct, frozen=True, tag=True):
    """All links that operators revoked, as a machine knows them."""

    revoked: tuple[LinkState, ...]


class Echo(Struct, frozen=True, tag=True):
    """A machine's message to itself over Redis: it measures the delay of the bus. sent: monotonic seconds."""

    sent: float


ClusterMessage = (
    RoomEvent
    | NodeSummary
    | TicketRedeemedAgain
    | LimitsSpent
    | Lists
    | RoomStates
    | SaleStates
    | LinkStates
    | ServerNews
)
"""What machines send each other. A `Echo` is for the machine itself."""


def is_record(text: str) -> bool:
    """Whether a text is the record of a redemption."""
    return re.search(_RECORD, text) is not None


def is_given_up(record: str) -> bool:
    """Whether a record says that the visitor has left the line, or that their place has moved to another device."""
    return record.split(".", 2)[1:2] == ["0"]


class UnknownMessage(UpstreamError):
    """The message is of a type that this version does not know: a later version sent it."""


class MalformedMessage(UpstreamError):
    """The payload is no message, or its fields do not fit its type."""


class _Envelope(Struct, frozen=True, array_like=True):
    type: str
    machine: str
    body: Raw


_SUMMARY_FIELDS = NodeSummary.__struct_fields__[1:]
_KINDS = (
    *(RoomEvent, NodeSummary, TicketRedeemedAgain, LimitsSpent, Lists, RoomStates, SaleStates, LinkStates),
    *(ServerNews, Echo),
)
_TYPES = frozenset(kind.__name__ for kind in _KINDS)
_encoder = Encoder()
_envelopes = Decoder(_Envelope)
_bodies: Decoder[ClusterMessage | Echo] = Decoder(ClusterMessage | Echo)


def seal_payload(message: ClusterMessage | Echo, machine: str) -> bytes:
    """Return the payload that carries a message of this machine."""
    return _encoder.encode(_Envelope(type(message).__name__, machine, Raw(_encoder.encode(message))))


def open_payload(payload: bytes, own_machine: str) -> ClusterMessage | Echo | None:
    """Return a message of another machine, or a `Echo` of this one; None for every other message.

    Raises UnknownMessage or MalformedMessage.
    """
    try:
        envelope = _envelopes.decode(payload)
        is_own, is_echo = envelope.machine == own_machine, envelope.type == Echo.__name__
        if is_own != is_echo:
            return None
        if envelope.type not in _TYPES:
            raise UnknownMessage(envelope.type)
        return _bodies.decode(envelope.body)
    except DecodeError as fault:
        raise MalformedMessage(str(fault)) from fault
