"""Polls get their status document by a shorter way than other requests. The document is the same."""

import pytest

from edge.messages.cluster import RoomEvent
from edge.messages.verdict import Answer
from tests.edge.decision.test_pipeline import Edge, cookie_of, header

ROOM = "checkout"


@pytest.mark.parametrize(
    "event",
    [
        None,
        RoomEvent(ROOM, 12, False),
        RoomEvent(ROOM, 3, False, 9, 1),
        RoomEvent(ROOM, 0, False, 9, 1),
        RoomEvent(ROOM, 0, True, 0, 1),
    ],
)
@pytest.mark.parametrize("away", ["null", "120"])
def test_a_poll_and_a_request_of_a_program_get_the_same_document(event: RoomEvent | None, away: str) -> None:
    """Two edges with the same history, and two requests of one visitor."""
    told = []
    for target in ("/_stanchion/status?room=checkout", "/checkout"):
        edge = Edge()
        edge.pipeline.rooms.by_name[ROOM].away_s = None if away == "null" else float(away)
        edge.fill()
        for _ in range(100):
            edge.ask()
        mine = cookie_of(edge.ask())
        answers = []
        for step in range(4):
            edge.pass_time(0.5)
            if event is not None and step == 1:
                edge.pipeline.apply(event, edge.now)
            answer = edge.ask(target, mine)
            assert isinstance(answer, Answer)
            answers.append((answer.body, answer.outcome, header(answer, "Retry-After"), answer.headers))
        told.append(answers)
    assert told[0] == told[1]


def test_the_next_poll_shows_a_change_of_the_stock() -> None:
    """The cached parts of a room's documents are built again when the shop states another stock."""
    edge = Edge()
    edge.fill()
    for _ in range(100):
        edge.ask()
    mine = cookie_of(edge.ask())
    for free in (7, 6, 0):
        edge.pipeline.apply(RoomEvent(ROOM, free, False, 2, 10 - free), edge.now)
        answer = edge.ask("/_stanchion/status?room=checkout", mine)
        assert isinstance(answer, Answer)
        assert f'"stock": {free}, "held": 2'.encode() in answer.body
        assert answer.outcome == ("waiting" if free else "sold_out")
