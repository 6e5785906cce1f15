"""The workers of one machine with its real supervisor parts, without sockets: messages arrive at once, and in order."""

import socket
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry

from edge.messages.cluster import RoomEvent, TicketRedeemedAgain
from edge.messages.processes import RedemptionAnswer, RedemptionQuestion, ToWorker
from edge.messages.verdict import Deferred, Verdict
from edge.rooms.redemption import RedemptionClient
from edge.supervisor.link_service import LinkService
from edge.supervisor.redemption_service import RedemptionService
from edge.supervisor.redis_bus import Bus
from edge.supervisor.relay import Relay
from edge.supervisor.state_folder import StateFolder
from edge.supervisor.worker_handle import WorkerHandle
from tests.edge.decision.test_pipeline import NOW, YAML, Edge

__all__ = ["Machine", "settled"]


class _NoBus(Bus):
    """There is one machine only."""

    is_up = True

    def send(self, message: object) -> None:
        pass

    async def run(self, receive: Callable[[object], None], changed: Callable[[bool], None]) -> None:
        pass


class _Worker(WorkerHandle):
    """The supervisor's handle of a worker, and the worker itself."""

    def __init__(self, index: int, yaml: str, ask: Callable[[RedemptionQuestion, "_Worker"], None]) -> None:
        super().__init__(index, list[socket.socket]())
        self.redemption = RedemptionClient(lambda question: ask(question, self), lambda _, call: None)
        self.edge = Edge(yaml, self.redemption)
        self.edge.chance.seed(index)  # no two workers make the same ids

    def send(self, message: ToWorker) -> None:
        match message:
            case RedemptionAnswer():
                self.redemption.receive(message)
            case TicketRedeemedAgain():
                self.edge.pipeline.supersede(message.room, message.ticket, message.record)
            case RoomEvent():
                self.edge.pipeline.apply(message, self.edge.now)


class Machine:
    """Several workers. `ask` puts a request to one of them and waits for its verdict."""

    def __init__(self, yaml: str = YAML, workers: int = 2) -> None:
        self.now = NOW
        self.workers: Sequence[_Worker] = [_Worker(at, yaml, self._question) for at in range(workers)]
        service = RedemptionService(None, None, "test", CollectorRegistry())
        links = LinkService(None, None, "test", StateFolder())
        self._relay = Relay(self.workers, _NoBus(), service, links, _nothing, _nothing, _nothing)

    def _question(self, question: RedemptionQuestion, worker: _Worker) -> None:
        self._relay.receive_question(question, worker)

    def ask(self, worker: int, *args: str, **head: str) -> Verdict:
        return settled(self.workers[worker % len(self.workers)].edge.ask(*args, **head))

    def pass_time(self, seconds: float) -> None:
        for worker in self.workers:
            worker.edge.pass_time(seconds)


def settled(verdict: Verdict) -> Verdict:
    """Return the verdict that follows at once; of a parked poll the deferred one itself."""
    while isinstance(verdict, Deferred):
        said: list[Verdict] = []
        forget = verdict.ask(said.append)
        if not said:
            if forget is not None:
                forget()
            return verdict
        verdict = said[0]
    return verdict


def _nothing(_: object) -> None:
    """No other part listens."""
