"""The relay passes each message on to those that need it, and to no others."""

import socket
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from edge.messages.cluster import (
    ClusterMessage,
    LimitsSpent,
    LinkStates,
    Lists,
    NodeSummary,
    RoomEvent,
    RoomState,
    RoomStates,
    SaleStates,
    TicketRedeemedAgain,
)
from edge.messages.processes import BusState, RedemptionQuestion, StockKnown, ToWorker
from edge.messages.upstream import ServerNews
from edge.supervisor.link_service import LinkService
from edge.supervisor.redemption_service import RedemptionService
from edge.supervisor.redis_bus import Bus
from edge.supervisor.relay import Relay
from edge.supervisor.state_folder import StateFolder
from edge.supervisor.worker_handle import WorkerHandle

RECORD = "1795000000123.1795000600.1794999940123.bAAAAnBBBB"
LATER = "1795000100123.1795000700.1794999940123.bCCCCnDDDD"
SUMMARY = NodeSummary("checkout", "a/0", 1, 0.0, 0.0, 0.0, 0.0, 0.0, (), ())
SPENT = LimitsSpent({"reads": {"192.0.2.1": 3}})
REDEEMED_AGAIN = TicketRedeemedAgain("checkout", "ticket", RECORD)
LISTS = Lists((("192.0.2.0/24", "deny", 2.0, 1.0),))


class RecordingHandle(WorkerHandle):
    """A worker that keeps what it is sent."""

    def __init__(self, index: int) -> None:
        super().__init__(index, list[socket.socket]())
        self.sent: list[ToWorker] = []

    def send(self, message: ToWorker) -> None:
        self.sent.append(message)


class RecordingBus(Bus):
    """A bus that keeps what it is given, and hands on what the test says that another machine sent."""

    def __init__(self) -> None:
        self.sent: list[ClusterMessage] = []
        self.receive: Callable[[ClusterMessage], None] = lambda _: None
        self.changed: Callable[[bool], None] = lambda _: None

    @property
    def is_up(self) -> bool:
        return True

    def send(self, message: ClusterMessage) -> None:
        self.sent.append(message)

    async def run(self, receive: Callable[[ClusterMessage], None], changed: Callable[[bool], None]) -> None:
        self.receive, self.changed = receive, changed


class Machine:
    def __init__(self) -> None:
        self.bus = RecordingBus()
        self.lists: list[Lists] = []
        self.rooms: list[RoomStates | SaleStates | LinkStates] = []
        self.one, self.two = self.handles = [RecordingHandle(0), RecordingHandle(1)]
        redemption = RedemptionService(None, None, "test", CollectorRegistry())
        links = LinkService(None, None, "test", StateFolder())
        self.news: list[ServerNews] = []
        receivers = self.lists.append, self.rooms.append, self.news.append
        self.relay = Relay(self.handles, self.bus, redemption, links, *receivers)

    @property
    def sent(self) -> tuple[list[ToWorker], list[ToWorker], list[ClusterMessage]]:
        """What the first worker, the second worker and the bus got."""
        return self.one.sent, self.two.sent, self.bus.sent


@pytest.fixture
async def machine() -> Machine:
    made = Machine()
    await made.relay.run()
    return made


@pytest.mark.parametrize("message", [SUMMARY, SPENT, RoomEvent("checkout", 3)])
async def test_a_workers_message_reaches_the_other_worker_and_the_bus(
    machine: Machine, message: NodeSummary | LimitsSpent | RoomEvent
) -> None:
    machine.relay.receive_worker(message, machine.one)
    assert machine.sent == ([], [message], [message])


@pytest.mark.parametrize("message", [SUMMARY, SPENT, RoomEvent("checkout", 3), REDEEMED_AGAIN])
async def test_another_machines_message_reaches_all_workers_and_not_the_bus(
    machine: Machine, message: NodeSummary | LimitsSpent | RoomEvent | TicketRedeemedAgain
) -> None:
    machine.bus.receive(message)
    assert machine.sent == ([message], [message], [])


async def test_an_event_that_is_no_news_is_not_passed_on(machine: Machine) -> None:
    """Unless it ends a claim, which each node must know."""
    for _ in range(2):
        machine.relay.receive_worker(RoomEvent("checkout", 3), machine.one)
    assert len(machine.two.sent) == 1
    machine.relay.receive_worker(RoomEvent("checkout", 3, tried="ticket"), machine.one)
    assert len(machine.two.sent) == 2


async def test_the_shops_own_word_is_passed_on_in_any_case(machine: Machine) -> None:
    for _ in range(2):
        machine.relay.receive_shop(RoomEvent("checkout", 3))
    machine.relay.publish_stock_known({"checkout": True})
    expected = [RoomEvent("checkout", 3)] * 2 + [StockKnown({"checkout": True})]
    assert machine.sent == (expected, expected, [])
    assert machine.relay.stock("checkout").free == 3


async def test_a_worker_that_starts_later_learns_what_the_others_know(machine: Machine) -> None:
    machine.relay.receive_worker(RoomEvent("checkout", 0, True), machine.one)
    late = RecordingHandle(2)
    machine.relay.send_state(late)
    assert late.sent == [BusState(True), RoomEvent("checkout", 0, True)]


async def test_a_change_of_the_bus_reaches_all_workers(machine: Machine) -> None:
    machine.bus.changed(False)
    assert machine.sent == ([BusState(False)], [BusState(False)], [])


async def test_lists_and_rooms_of_other_machines_reach_no_worker_directly(machine: Machine) -> None:
    rooms = RoomStates((RoomState("checkout", 1.0, mode="hold"),))
    machine.bus.receive(LISTS)
    machine.bus.receive(rooms)
    machine.bus.receive(ServerNews("http://shop:9000", is_up=False))
    assert (machine.lists, machine.rooms) == ([LISTS], [rooms])
    assert machine.news == [ServerNews("http://shop:9000", is_up=False)]
    assert machine.sent == ([], [], [])


async def test_only_a_ticket_that_is_redeemed_again_is_announced(machine: Machine) -> None:
    """The worker that asked knows it by the answer."""
    first = RedemptionQuestion(1, "checkout", "ticket", "", RECORD, False)
    again = RedemptionQuestion(2, "checkout", "ticket", RECORD.partition(".")[0], LATER, False)
    machine.relay.receive_question(first, machine.one)
    assert machine.sent == ([first.answered("granted")], [], [])
    machine.relay.receive_question(again, machine.two)
    redeemed_again = TicketRedeemedAgain("checkout", "ticket", LATER)
    assert machine.sent == ([first.answered("granted"), redeemed_again], [again.answered("granted")], [redeemed_again])


GIVEN_UP = "1795000000123.0.1794999940123.left~"


async def test_a_ticket_that_was_given_up_is_announced_at_once_and_remembered_by_other_machines(
    machine: Machine,
) -> None:
    """So no worker admits it, and no machine that hears of it, although it was never redeemed before."""
    question = RedemptionQuestion(1, "checkout", "ticket", "", GIVEN_UP, False)
    machine.relay.receive_question(question, machine.one)
    announced = TicketRedeemedAgain("checkout", "ticket", GIVEN_UP)
    assert machine.sent == ([question.answered("granted")], [announced], [announced])
    other = Machine()
    await other.relay.run()
    other.bus.receive(announced)
    other.relay.receive_question(RedemptionQuestion(1, "checkout", "ticket", "", RECORD, False), other.two)
    assert other.two.sent[-1] == question.answered("already_redeemed", GIVEN_UP)
