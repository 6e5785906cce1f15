"""Passes on what workers, the shop and other machines tell of rooms, and keeps what workers that start later must know.

    a worker's news or event ----> the other workers here, and other machines if there is a Redis
    another machine's             > all workers here
    the shop, when it was asked  '

Events (stock, sold out, commands) are remembered on a shelf for each room; news of lines are worth a heartbeat only.
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from prometheus_client import CollectorRegistry

from edge.messages.channel import Message
from edge.rooms.stock import RoomEvent, StockView
from edge.settings.model import Settings
from edge.supervisor.redemption_service import Question, RedemptionService
from edge.supervisor.redis_bus import RedisBus
from edge.supervisor.worker_handle import WorkerHandle

__all__ = ["Relay"]


class Relay:
    """machine: this one's name among those of the cluster."""

    def __init__(
        self, seats: Sequence[WorkerHandle], settings: Settings, machine: str, registry: CollectorRegistry
    ) -> None:
        self._seats = seats
        self._shelves: dict[str, StockView] = {}
        self._bus: RedisBus | None = None
        self.on_lists: Callable[[object], None] = lambda _: None
        """Told of the lists of other machines."""
        cluster = settings.cluster
        password = os.environ.get(cluster.redis_password_env) if cluster.redis_password_env else None
        self._desk = RedemptionService(cluster.redis_url, password, cluster.name, registry)
        if cluster.redis_url is not None:
            channel = f"stanchion:{cluster.name}"
            self._bus = RedisBus(
                cluster.redis_url, password, channel, machine, self._hear_machine, self._bus_changed, registry
            )

    async def run(self) -> None:
        """Stay in touch with the other machines, if there are any."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._desk.run())
            if self._bus is not None:
                group.create_task(self._bus.run())

    def shelf(self, room: str) -> StockView:
        """What is known of a room's stock."""
        return self._shelves.get(room) or StockView(room)

    def greet(self, seat: WorkerHandle) -> None:
        """Tell a worker that has just got its settings what the others know."""
        if self._bus is not None:
            seat.send("bus", up=self._bus.is_up)
        for shelf in self._shelves.values():
            seat.send("event", event=asdict(shelf.latest))

    def tell(self, message: Message, origin: WorkerHandle | None = None) -> None:
        """Tell all workers here, but the one that said it."""
        for seat in self._seats:
            if seat is not origin:
                seat.send(**message)

    def hear_worker(self, message: Message, origin: WorkerHandle) -> None:
        """A worker's `news`, `spent` or `event`."""
        if message["kind"] != "event":
            self.tell(message, origin)
        elif not self._spread(RoomEvent(**message["event"]), origin):
            return
        if self._bus is not None:
            self._bus.send(message)

    def hear_question(self, message: Message, origin: WorkerHandle) -> None:
        """A worker asks whether a place was used; the answer may come later."""
        number, room, ticket = message["number"], message["room"], message["ticket"]

        def answer(outcome: str, record: str) -> None:
            origin.send("granted", number=number, room=room, ticket=ticket, outcome=outcome, record=record)
            if outcome == "granted" and message["before"]:
                moved = {"kind": "moved", "room": room, "ticket": ticket, "record": message["record"]}
                self.tell(moved, origin)
                self.tell_machines(moved)

        self._desk.ask(Question((room, ticket), message["before"], message["record"], message["is_patient"], answer))

    def tell_machines(self, message: Message) -> None:
        """Tell the other machines, if there are any."""
        if self._bus is not None:
            self._bus.send(message)

    def hear_shop(self, event: RoomEvent) -> None:
        """The shop was asked for its stock. Workers are told, news or not: it puts right what crossed on its way."""
        self._shelves.setdefault(event.room, StockView(event.room)).update(event, time.time())
        self.tell({"kind": "event", "event": asdict(event)})

    def tell_stock(self, known: dict[str, bool]) -> None:
        """Whether the shop says its stock, by room."""
        self.tell({"kind": "stock", "known": known})

    def _spread(self, event: RoomEvent, origin: WorkerHandle | None = None) -> bool:
        """Tell the other workers what an upstream said of a room. False, and nobody is told, when it is no news."""
        is_news = self._shelves.setdefault(event.room, StockView(event.room)).update(event, time.time())
        is_news |= event.tried is not None
        if is_news:
            self.tell({"kind": "event", "event": asdict(event)}, origin)
        return is_news

    def _hear_machine(self, message: Message) -> None:
        match message["kind"]:
            case "event":
                self._spread(RoomEvent(**message["event"]))
            case "lists":
                self.on_lists(message["entries"])
            case "moved":
                self._desk.hear_move((message["room"], message["ticket"]), message["record"])
                self.tell(message)
            case "news" | "spent":
                self.tell(message)
            case _:
                pass  # of a later version

    def _bus_changed(self, up: bool) -> None:
        self.tell({"kind": "bus", "up": up})
