"""A node's question whether a browser may open a link is settled once, by its own answer."""

from collections.abc import Callable

from edge.messages.processes import LinkOutcome, LinkQuestion
from edge.rooms.link_client import LinkClient
from waiting_room.links import BY_INVITE, Link

LINK = Link(BY_INVITE, "checkout", "members", "kT3v9qXzAbC1dEf2", 1, 1_795_000_000.0)


class Played:
    """A client, and what it sends, plans and is told."""

    def __init__(self) -> None:
        self.sent: list[LinkQuestion] = []
        self.planned: list[Callable[[], object]] = []
        self.told: list[LinkOutcome] = []
        self.client = LinkClient(self.sent.append, lambda _, call: self.planned.append(call))

    def ask(self, holder: str) -> LinkQuestion:
        self.client.ask(LINK, holder, self.told.append)
        return self.sent[-1]


def test_an_answer_to_an_earlier_worker_settles_no_question_of_this_one() -> None:
    earlier, asked = Played(), Played()
    late = earlier.ask("of another browser").answered("granted")
    question = asked.ask("of this browser")
    assert late.number == question.number
    asked.client.receive(late)
    assert asked.told == []
    asked.client.receive(question.answered("used"))
    asked.client.receive(question.answered("granted"))
    asked.planned[0]()
    assert asked.told == ["used"]


def test_without_an_answer_in_time_a_question_stays_unverified() -> None:
    asked = Played()
    question = asked.ask("of this browser")
    asked.planned[0]()
    asked.client.receive(question.answered("granted"))
    assert asked.told == ["unverified"]
