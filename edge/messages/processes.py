"""Messages between the supervisor and a worker of the same machine, over their `Channel`.

    supervisor -> worker    Configure           settings, keys, rows of the shared counters, checkpoints; comes first
                            BusState            whether this machine hears the other machines
                            StockKnown          for which rooms the shop reports its stock
                            ServersState        which servers of the upstream are down
                            Adapt               the parts of their capacities that rooms may use
                            RedemptionAnswer    whether a ticket may be redeemed
                            LinkAnswer          whether a browser may open a link
                            Drain               stop accepting, finish what is under way, end
    both directions         RoomEvent           what the upstream said about a room
                            NodeSummary         the heartbeat of a node
                            LimitsSpent         what a node let through of shared limits
    supervisor -> worker    TicketRedeemedAgain a ticket was redeemed again at another node
    worker -> supervisor    Ready               the worker serves by the newest settings
                            Recorded            twice a second: what happened to visitors, for the record
                            Report              twice a second: the state of the rooms, and their checkpoints
                            ServerOutcomes      what requests to servers of the upstream met, while some fail
                            RedemptionQuestion  may this ticket be redeemed?
                            LinkQuestion        may this browser open a link?

Both processes run the same code, so a message that does not decode is a programming error and ends its reader.
"""

from typing import Any, Literal

from msgspec import Struct

from edge.messages.cluster import LimitsSpent, NodeSummary, RoomEvent, TicketRedeemedAgain
from edge.messages.upstream import ServerOutcomes, ServersState

__all__ = [
    "Adapt",
    "BusState",
    "CheckOutcomeName",
    "Configure",
    "Drain",
    "LinkAnswer",
    "LinkOutcome",
    "LinkQuestion",
    "Ready",
    "Recorded",
    "RedemptionAnswer",
    "RedemptionQuestion",
    "Report",
    "RoomReport",
    "StockKnown",
    "ToSupervisor",
    "ToWorker",
    "UpstreamSample",
]


CheckOutcomeName = Literal["granted", "already_redeemed", "unverified"]


class Configure(Struct, frozen=True, tag=True):
    """Everything that a worker serves by. A worker gets it first, and again at every reload and every
    change of the lists."""

    settings: dict[str, Any]
    """The settings file as JSON values; the worker parses it into `Settings`."""
    keys: tuple[str, ...]
    counter_rows: dict[str, int]
    """The row of each room in the shared counters."""
    counted_since: float
    """When the shared counters began to count; wall time, seconds."""
    machine: str
    """This machine's name among those of the cluster."""
    clock_steps: tuple[tuple[float, float], ...]
    """Steps of the wall clock before this worker started, as in `edge/rooms/clock_steps.py`."""
    checkpoints: dict[str, dict[str, float]]
    """By room: what the gates of a restarted worker resume from."""
    factors: dict[str, float]
    """By room: the part of its capacity that it may use. A room that is missing uses all of it."""
    stock_known: dict[str, bool]
    seeds: dict[str, dict[str, str]]
    """By room and sale: the seeds of draws, hexadecimal."""
    page_files: dict[str, bytes] = {}
    """What the files contain that `rooms[].page` names, by path."""
    revoked: tuple[str, ...] = ()
    """The ids of links and of batches that operators revoked."""

    def __repr__(self) -> str:
        """Show no key: the text may end in a log."""
        return f"Configure(rooms={list(self.counter_rows)}, machine={self.machine!r})"


class BusState(Struct, frozen=True, tag=True):
    """Whether this machine hears the other machines over Redis."""

    is_up: bool


class StockKnown(Struct, frozen=True, tag=True):
    """By room: whether the shop reported its stock when the supervisor asked last."""

    by_room: dict[str, bool]


class Adapt(Struct, frozen=True, tag=True):
    """By room: the part of the configured capacity that the room may use from now on, 0..1."""

    factors: dict[str, float]


class Drain(Struct, frozen=True, tag=True):
    """Stop accepting, finish what is under way, end. A second one with `grace_s` shortens the time that is left."""

    grace_s: float | None = None
    """Seconds that requests under way may take; None for `shutdown.grace_seconds`."""
    last_word_s: float | None = None
    """Seconds in which an idle connection is still answered; None for the proxy's default."""


class RedemptionQuestion(Struct, frozen=True, tag=True):
    """May this ticket be redeemed? The supervisor asks Redis if there are other machines."""

    number: int
    """Numbers the questions of one worker process."""
    room: str
    ticket: str
    before: str
    """The moment of the redemption that this one replaces; '' if it replaces none."""
    record: str
    """What is noted if the answer is yes (`edge/rooms/redemption.py`)."""
    holds_if_unverified: bool
    """The room admits nobody while Redis cannot be asked, so nothing is noted then."""

    def answered(self, outcome: CheckOutcomeName, record: str = "") -> "RedemptionAnswer":
        """Return the answer to this question."""
        return RedemptionAnswer(self.number, self.room, self.ticket, outcome, record)


class RedemptionAnswer(Struct, frozen=True, tag=True):
    """The answer to a `RedemptionQuestion`, with its number, room and ticket."""

    number: int
    room: str
    ticket: str
    outcome: CheckOutcomeName
    record: str = ""
    """The redemption that stands in the way; '' unless the outcome is 'already_redeemed'."""


LinkOutcome = Literal["granted", "used", "unverified"]


class LinkQuestion(Struct, frozen=True, tag=True):
    """May this browser open a link? The supervisor asks Redis if there are other machines."""

    number: int
    """Numbers the questions of one worker process."""
    link: str
    holder: str
    """A keyed digest of browser and network, another one for each link."""
    uses: int
    """How many browsers may open the link."""
    expires: float

    def answered(self, outcome: LinkOutcome) -> "LinkAnswer":
        """Return the answer to this question."""
        return LinkAnswer(self.number, self.holder, outcome)


class LinkAnswer(Struct, frozen=True, tag=True):
    """The answer to a `LinkQuestion`, with its number and holder."""

    number: int
    holder: str
    outcome: LinkOutcome


class Ready(Struct, frozen=True, tag=True):
    """The worker serves by the newest settings."""


class Recorded(Struct, frozen=True, tag=True):
    """What happened to visitors since the last one."""

    base: float
    """When this was sent; wall time, seconds."""
    rooms: dict[str, list[tuple[int, int, float, float]]]
    """By room, of each event: kind, place, moment and value (`edge/record/events.py`)."""
    lost: int
    """Events that found no space since the worker started."""


class RoomReport(Struct, frozen=True):
    """What one worker knows of one room."""

    gate: dict[str, Any]
    """`controller.GateSnapshot` as JSON values; operators see it as it is."""
    fairness: dict[str, Any]
    """`controller.FairnessSnapshot`, likewise."""
    active: int
    """Active visitors that this worker admitted."""
    stock: int | None
    held: int | None
    sold_out: bool
    missing: tuple[str, ...]
    """Dependencies without which the room admits nobody: 'operator', 'redis', 'stock', 'upstream'."""
    paused: str | None
    """Why the line stands still, None if it does not."""
    checkpoint: dict[str, float]
    shadow: dict[str, float] | None = None
    """`edge.rooms.shadow_line.ShadowFigures`; None unless the room is in shadow mode."""


class UpstreamSample(Struct, frozen=True):
    """`controller.law.adaptive.Answered`: a room's requests to the upstream since the last report."""

    count: int
    slowness: float
    failed: int


class Report(Struct, frozen=True, tag=True):
    """The state of rooms at one worker. A quiet room is not in every report."""

    rooms: dict[str, RoomReport]
    upstream_is_down: bool
    """No server of the upstream is up."""
    upstream: dict[str, UpstreamSample]
    """By room, for rooms with adaptive capacity."""


ToWorker = (
    Configure
    | BusState
    | StockKnown
    | ServersState
    | Adapt
    | RedemptionAnswer
    | LinkAnswer
    | Drain
    | RoomEvent
    | NodeSummary
    | LimitsSpent
    | TicketRedeemedAgain
)
ToSupervisor = (
    Ready
    | Recorded
    | Report
    | ServerOutcomes
    | RedemptionQuestion
    | LinkQuestion
    | RoomEvent
    | NodeSummary
    | LimitsSpent
)
