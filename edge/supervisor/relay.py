"""Passes messages on between workers, the shop and other machines, and keeps what workers that start later must know.

    RoomEvent, NodeSummary, LimitsSpent of a worker ---> the other workers here, and other machines over the bus
    ServersState of the UpstreamWatch -----------------> all workers here
    RoomEvent, NodeSummary, LimitsSpent, TicketRedeemedAgain
        of another machine ----------------------------> all workers here
    the shop's stock, when it was asked ---------------> all workers here
    RedemptionQuestion of a worker --------------------> RedemptionService --> RedemptionAnswer to that worker

Room events (stock, sold out, commands) are kept in one stock view for each room. A summary is not kept: after a
heartbeat it is worth nothing.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import assert_never

from edge.messages.cluster import (
    ClusterMessage,
    LimitsSpent,
    LinkStates,
    Lists,
    NodeSummary,
    RoomEvent,
    RoomStates,
    SaleStates,
    TicketRedeemedAgain,
    is_given_up,
)
from edge.messages.processes import BusState, LinkQuestion, RedemptionAnswer, RedemptionQuestion, StockKnown, ToWorker
from edge.messages.upstream import ServerNews
from edge.rooms.stock import StockView
from edge.supervisor.link_service import LinkService
from edge.supervisor.other_nodes import OtherNodes
from edge.supervisor.redemption_service import RedemptionService
from edge.supervisor.redis_bus import Bus
from edge.supervisor.worker_handle import WorkerHandle

__all__ = ["Relay"]


class Relay:
    """receive_lists, receive_rooms, receive_news: called with what other machines say: their lists, their room
    states, sales and revoked links, and what they see of the upstream."""

    def __init__(
        self,
        handles: Sequence[WorkerHandle],
        bus: Bus,
        redemption: RedemptionService,
        links: LinkService,
        receive_lists: Callable[[Lists], None],
        receive_rooms: Callable[[RoomStates | SaleStates | LinkStates], None],
        receive_news: Callable[[ServerNews], None],
    ) -> None:
        self._handles = handles
        self._bus = bus
        self._redemption = redemption
        self._links = links
        self._receive_lists = receive_lists
        self._receive_rooms = receive_rooms
        self._receive_news = receive_news
        self._stock: dict[str, StockView] = {}
        self.other_nodes = OtherNodes()

    def __repr__(self) -> str:
        return f"<Relay to {len(self._handles)} workers over {self._bus!r}>"

    async def run(self) -> None:
        """Stay in touch with the other machines, if there are any, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._redemption.run())
            group.create_task(self._links.run())
            group.create_task(self._bus.run(self._receive_machine, self._receive_bus_state))

    @property
    def hears_machines(self) -> bool:
        """Whether this machine hears the others."""
        return self._bus.is_up

    def stock(self, room: str) -> StockView:
        """Return what is known of a room's stock."""
        return self._stock.get(room) or StockView(room)

    def send_state(self, handle: WorkerHandle) -> None:
        """Send what the others know to a worker that has just got its settings."""
        handle.send(BusState(self._bus.is_up))
        for stock in self._stock.values():
            handle.send(stock.latest)

    def publish(self, message: ToWorker, origin: WorkerHandle | None = None) -> None:
        """Send a message to all workers here except the one that it came from."""
        for handle in self._handles:
            if handle is not origin:
                handle.send(message)

    def receive_worker(self, message: RoomEvent | NodeSummary | LimitsSpent, origin: WorkerHandle) -> None:
        """Pass on a message that concerns all nodes."""
        if not isinstance(message, RoomEvent):
            self.publish(message, origin)
        elif not self._publish_event(message, origin):
            return
        self._bus.send(message)

    def receive_question(self, question: RedemptionQuestion | LinkQuestion, origin: WorkerHandle) -> None:
        """Answer a worker that asks whether a ticket may be redeemed, or a link be opened, now or later."""
        if isinstance(question, LinkQuestion):
            self._links.ask(question, origin.send)
            return

        def answer(said: RedemptionAnswer) -> None:
            origin.send(said)
            is_noted = said.outcome == "unverified" and not question.holds_if_unverified
            is_news = bool(question.before) or is_given_up(question.record)
            if is_news and (said.outcome == "granted" or (is_noted and is_given_up(question.record))):
                redeemed_again = TicketRedeemedAgain(question.room, question.ticket, question.record)
                self.publish(redeemed_again, origin)
                self._bus.send(redeemed_again)

        self._redemption.ask(question, answer)

    def receive_shop(self, event: RoomEvent) -> None:
        """Pass on the stock that the shop reported when it was asked.

        Workers get it even if nothing changed: it corrects events that crossed on their way.
        """
        self._stock.setdefault(event.room, StockView(event.room)).update(event, time.time())
        self.publish(event)

    def publish_stock_known(self, by_room: dict[str, bool]) -> None:
        """Tell all workers whether the shop reports its stock."""
        self.publish(StockKnown(by_room))

    def _publish_event(self, event: RoomEvent, origin: WorkerHandle | None = None) -> bool:
        """Publish what an upstream said of a room if it is news; return whether it is."""
        is_news = self._stock.setdefault(event.room, StockView(event.room)).update(event, time.time())
        is_news |= event.tried is not None or event.ended is not None
        if is_news:
            self.publish(event, origin)
        return is_news

    def _receive_machine(self, message: ClusterMessage) -> None:
        match message:
            case RoomEvent():
                self._publish_event(message)
            case Lists():
                self._receive_lists(message)
            case RoomStates() | SaleStates() | LinkStates():
                self._receive_rooms(message)
            case ServerNews():
                self._receive_news(message)
            case TicketRedeemedAgain():
                self._redemption.receive_redeemed_again(message.room, message.ticket, message.record)
                self.publish(message)
            case NodeSummary():
                self.other_nodes.receive(message)
                self.publish(message)
            case LimitsSpent():
                self.publish(message)
            case _:
                assert_never(message)

    def _receive_bus_state(self, is_up: bool) -> None:
        self.publish(BusState(is_up))
