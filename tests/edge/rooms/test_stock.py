"""The stock view: what the shop states decides how many are admitted, when the line pauses and when it is over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from controller import CELLS, Admit
from edge.messages.cluster import RoomEvent
from edge.messages.head import RequestHead
from edge.messages.verdict import Answer, Deferred, Forward, Verdict
from edge.rooms.room import Room, place_of
from edge.rooms.stock import STALE_S, StockView, news_in
from edge.rooms.table import build_rooms
from edge.settings.loading import parse_settings
from tests.edge.decision.test_pipeline import ASSETS, NOW, Edge, cookie_of, header, status
from waiting_room.page import STATUS_PATH
from waiting_room.ticket import Ticket, new_ticket

YAML = """
secret_keys_env: STANCHION_KEYS
upstream: {url: "http://127.0.0.1:9000"}
cluster: {machines: %d}
rooms:
  - name: checkout
    match: {paths: ["/checkout*"]}
    capacity: {admissions_per_second: 1000}
    stock: {claim_seconds: 10}
"""


class ShopEdge(Edge):
    """An edge with capacity for everybody, so that the stock alone decides."""

    def __init__(self, machines: int = 1) -> None:
        super().__init__(YAML % machines)

    def hear(self, *said: tuple[str, str], by: Verdict | None = None, method: str = "GET") -> None:
        """Take in a response of the shop to the admitted visitor `by`."""
        inside = by or self.inside
        assert isinstance(inside, Forward)
        facts = self.pipeline.classify(RequestHead(method, "/checkout", "shop.example", "http", "203.0.113.9"))
        self.pipeline.observe(facts, inside, said, self.now)

    def stock(self, free: int, held: int, *, by: Verdict | None = None, method: str = "GET") -> None:
        self.hear(("Stanchion-Stock", str(free)), ("Stanchion-Held", str(held)), by=by, method=method)

    def open(self, free: int, held: int) -> None:
        """Admit a visitor that tries to take a unit, so that the stock is known."""
        self.inside = self.ask()
        self.stock(free, held, method="POST")

    def come(self, count: int) -> list[Verdict]:
        """Let `count` new visitors poll, one after the other."""
        return [self.ask() for _ in range(count)]


def let_in(verdicts: list[Verdict]) -> list[Verdict]:
    return [verdict for verdict in verdicts if isinstance(verdict, Forward)]


def test_no_more_visitors_are_admitted_than_units_are_free() -> None:
    """Of three units for three visitors: the fourth waits until one of the three has tried."""
    edge = ShopEdge()
    edge.open(3, 0)
    assert len(let_in(edge.come(8))) == 3
    told = status(edge.ask())
    assert (told["state"], told["stock"], told["held"]) == ("waiting", 3, 0)


def test_a_taken_unit_ends_the_claim() -> None:
    """Unit and claim go together. A failed try frees the vacancy, looking ends no claim, and a second try ends none."""
    edge = ShopEdge()
    edge.open(2, 0)
    first, second = let_in(edge.come(4))
    edge.stock(2, 0, by=first, method="GET")
    assert not let_in(edge.come(2)), "a visitor that looks may still take a unit"
    edge.stock(1, 1, by=first, method="POST")
    edge.stock(1, 1, by=first, method="POST")
    assert not let_in(edge.come(2)), "one unit is left, and the second visitor is about to take it"
    edge.stock(1, 1, by=second, method="POST")
    assert len(let_in(edge.come(2))) == 1, "the second was declined: the unit goes to the next"


def test_a_visitor_that_only_looks_keeps_a_unit_for_the_time_of_a_claim() -> None:
    edge = ShopEdge()
    edge.open(1, 0)
    [looking] = let_in(edge.come(3))
    edge.pass_time(9)
    assert not let_in(edge.come(1))
    edge.pass_time(2)
    assert len(let_in(edge.come(1))) == 1
    edge.stock(1, 0, by=looking, method="POST")
    assert not let_in(edge.come(1)), "the claim was over before: it does not end the next one's"


def test_the_end_of_a_session_ends_its_claim() -> None:
    edge = ShopEdge()
    edge.open(1, 0)
    [leaving] = let_in(edge.come(2))
    edge.hear(("Stanchion-Command", "revoke"), by=leaving)
    assert len(let_in(edge.come(2))) == 1


def test_the_line_pauses_while_every_unit_is_held() -> None:
    """The first poll says so, the place is kept, and a released unit goes to the front of the line."""
    edge = ShopEdge()
    edge.open(0, 37)
    came = []
    for _ in range(3):
        edge.now += 0.01  # within a millisecond chance decides which visitor is first
        came.append(edge.ask())
    first, second, _ = came
    told = status(first)
    assert (told["state"], told["stock"], told["held"]) == ("sold_out", 0, 37)
    assert 0 < told["poll_after_seconds"] <= 15
    assert [status(verdict)["position"] for verdict in came] == [1, 2, 3]
    polled: list[Verdict] = []
    parked = edge.ask(f"{STATUS_PATH}?room=checkout", cookie=cookie_of(first), accept="application/json")
    assert isinstance(parked, Deferred)
    parked.ask(polled.append)
    loaded = edge.ask("/checkout", cookie=cookie_of(first), accept="text/html")
    edge.pass_time(2)
    for again in (loaded, *polled):
        assert isinstance(again, Answer)
        assert b"37" in again.body
        assert header(again, "Stanchion-State") == "sold_out"
        assert header(again, "Retry-After") is not None
    edge.pass_time(1)
    edge.stock(1, 36)
    edge.pass_time(1)
    assert isinstance(edge.ask(cookie=cookie_of(first)), Forward)
    asking = edge.ask(cookie=cookie_of(second))  # they are next, so the poll is parked; the unit is another's
    assert isinstance(asking, Deferred)
    said: list[Verdict] = []
    asking.ask(said.append)
    edge.pass_time(2)
    assert [status(verdict)["state"] for verdict in said] == ["waiting"]


def test_the_line_is_over_when_every_unit_is_paid_for() -> None:
    """Nobody is asked to poll again. A restock opens the line all the same."""
    edge = ShopEdge()
    edge.open(0, 0)
    waiting = edge.ask()
    told = status(waiting)
    assert (told["state"], told["poll_after_seconds"]) == ("sold_out", None)
    assert header(waiting, "Retry-After") is None
    edge.stock(5, 0)
    assert isinstance(edge.ask(), Forward)


def test_a_shop_that_does_not_state_held_units_is_not_followed() -> None:
    """Its stock is shown and its commands are obeyed. Sold out is never final."""
    edge = ShopEdge()
    edge.inside = edge.ask()
    edge.hear(("Stanchion-Stock", "1"))
    assert len(let_in(edge.come(5))) == 5
    edge.hear(("Stanchion-Stock", "0"))
    assert len(let_in(edge.come(5))) == 5
    edge.hear(("Stanchion-Command", "sold-out"))
    assert status(edge.ask())["poll_after_seconds"] == 15


def test_machines_divide_the_free_units_rounded_up() -> None:
    """Of five units each of two machines admits for three at most. Both admit for the last unit."""
    for free, part in ((5, 3), (1, 1), (0, 0)):
        edge = ShopEdge(machines=2)
        edge.open(free, 1)
        assert len(let_in(edge.come(8))) == part


def test_of_two_workers_one_admits_for_the_last_unit() -> None:
    """The nodes of a machine count their claims in shared memory."""
    rows = [[0] * CELLS for _ in range(2)]
    claims = [[0] * CELLS for _ in range(2)]
    settings = parse_settings(YAML % 1)
    rooms: list[Room] = []
    for own in range(2):
        table = build_rooms(settings, ASSETS, lambda _: rows, own, NOW, 0.0, claims_of=lambda _: claims)
        rooms.append(table.by_name["checkout"])
    for room in rooms:
        room.learn_stock(RoomEvent("checkout", 1, held=0), NOW)
    tickets = [new_ticket("checkout", NOW, bytes([at]) * 16) for at in range(6)]
    admitted = [isinstance(rooms[at % 2].poll(place_of(ticket), NOW, 0.5), Admit) for at, ticket in enumerate(tickets)]
    assert admitted == [True] + [False] * 5
    held = rooms[0].admit(tickets[0], NOW)
    assert rooms[1].vacancies.end_claim(held, NOW + 1)
    rooms[0].vacancies.note_tried(held.id, NOW + 1)
    assert not rooms[0].vacancies.end_claim(held, NOW + 2), "one visitor's claim ends once, whichever node hears of it"
    assert isinstance(rooms[1].poll(place_of(tickets[2]), NOW + 2, 0.5), Admit)
    assert not isinstance(rooms[0].poll(place_of(tickets[3]), NOW + 2, 0.5), Admit)


def test_a_new_claim_time_restarts_the_count_in_shared_memory() -> None:
    claims = [memoryview(bytearray(8 * CELLS)).cast("q")]
    rows = [memoryview(bytearray(8 * CELLS)).cast("q")]
    settings = parse_settings(YAML % 1)

    def built(text: str, before: object = None) -> Room:
        table = build_rooms(
            parse_settings(text),
            ASSETS,
            lambda _: rows,
            0,
            NOW,
            0.0,
            before,
            claims_of=lambda _: claims,  # type: ignore[arg-type]
        )
        tables.append(table)
        return table.by_name["checkout"]

    tables: list[object] = []
    room = built(YAML % 1)
    room.poll(place_of(Ticket("a" * 22, "checkout", NOW, NOW)), NOW, 0.5)
    assert (rows[0][0], claims[0][0]) == (1, 1)
    built((YAML % 1).replace("claim_seconds: 10", "claim_seconds: 30"), tables[-1])
    assert (rows[0][0], claims[0][0]) == (1, 0)
    changed = YAML.replace("    stock:", "    session: {duration_seconds: 60}\n    stock:") % 1
    built(changed.replace("claim_seconds: 10", "claim_seconds: 30"), tables[-1])
    assert rows[0][0] == 0
    assert settings.rooms[0].stock.claim_seconds == 10


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ([("stanchion-stock", " 7 ")], RoomEvent("checkout", 7)),
        ([("Stanchion-Stock", "0"), ("Stanchion-Held", "2")], RoomEvent("checkout", 0, False, 2)),
        ([("Stanchion-Stock", "0"), ("Stanchion-Held", "0")], RoomEvent("checkout", 0, True, 0)),
        (
            [("Stanchion-Stock", "3"), ("Stanchion-Held", "0"), ("Stanchion-Command", "Sold-Out")],
            RoomEvent("checkout", 3, True, 0),
        ),
        ([("Stanchion-Stock", "3"), ("Stanchion-Version", "9")], RoomEvent("checkout", 3, version=9)),
        ([("Stanchion-Command", "restock")], RoomEvent("checkout", sold_out=False)),
        ([("Stanchion-Held", "3")], None),
        ([("Stanchion-Stock", "-1")], None),
        ([("Stanchion-Stock", "1e3")], None),
        ([("Stanchion-Stock", "٣")], None),
        ([("Stanchion-Stock", "9" * 16)], None),
        ([("Stanchion-Command", "complete")], None),
    ],
)
def test_a_response_states_the_stock(headers: list[tuple[str, str]], said: RoomEvent | None) -> None:
    assert news_in("checkout", headers) == said


names = st.sampled_from(["Stanchion-Stock", "Stanchion-Held", "Stanchion-Version", "Stanchion-Command", "X"])


@given(st.lists(st.tuples(names, st.text(max_size=20) | st.integers().map(str))))
def test_no_header_raises(headers: list[tuple[str, str]]) -> None:
    """Whatever a shop sends becomes valid numbers or nothing."""
    event = news_in("checkout", headers)
    assert event is None or event.stock is None or event.stock >= 0
    assert event is None or event.held is None or event.stock is not None


def test_the_newer_version_wins_in_any_order() -> None:
    """A shop that starts to count anew is believed after STALE_S."""
    stock = StockView("checkout")
    newer, older = RoomEvent("checkout", 0, True, 0, version=9), RoomEvent("checkout", 1, False, 0, version=8)
    assert stock.update(newer, NOW)
    assert not stock.update(older, NOW + 1)
    assert stock.is_over
    assert not stock.update(newer, NOW + 2), "the same again is no news"
    assert not stock.update(older, NOW + 2 + STALE_S - 0.1)
    begun_anew = replace(older, stock=500, version=1)
    assert stock.update(begun_anew, NOW + 2 + STALE_S)
    assert (stock.free, stock.is_sold_out) == (500, False)
