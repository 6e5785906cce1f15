"""The supervisor asks the shop for its stock, informs all workers, and goes on if the shop does not answer."""

import copy
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.edge.running import wait_until
from tests.edge.supervisor.test_reloading import reload
from tests.edge.whole import Edge, Upstream, Visitor, whole_edge

WATCHED = {"stock": {"path": "/stock?sale=launch", "interval_seconds": 0.1}}


class Shop(Upstream):
    """An upstream with a path for its stock. asked: how often it was asked."""

    def __init__(self, free: int, held: int) -> None:
        super().__init__()
        self.set_stock(free, held)
        self.status = 200
        self.asked = 0

    def set_stock(self, free: int, held: int) -> None:
        self.numbers = {"Stanchion-Stock": str(free), "Stanchion-Held": str(held)}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/stock":
            return await super().handle(request)
        assert request.query_string == "sale=launch"
        self.asked += 1
        return web.Response(status=self.status, headers=self.numbers)


async def states(edge: Edge) -> set[str]:
    return {(await Visitor(edge).ask())[0] for _ in range(8)}


async def wait_states(edge: Edge, expected: set[str]) -> None:
    async def all_agree() -> bool:
        return await states(edge) == expected

    await wait_until(all_agree, f"all workers answer {expected}")


async def test_a_paused_line_learns_of_a_unit_that_came_back(tmp_path: Path):
    """Nobody is inside, so no response reports it: asking does, for all workers. One unit admits one visitor."""
    shop = Shop(0, 2)
    async with whole_edge(tmp_path, shop, room=WATCHED) as edge:
        await wait_states(edge, {"sold_out"})
        visitors = [Visitor(edge) for _ in range(4)]
        shown = [await visitor.ask() for visitor in visitors]
        assert {(state, document["held"]) for state, document in shown} == {("sold_out", 2)}
        shop.set_stock(1, 1)

        async def one_is_admitted() -> bool:
            return "admitted" in [(await visitor.ask())[0] for visitor in visitors]

        await wait_until(one_is_admitted, "the unit that came back admits a visitor")
        assert [(await visitor.ask())[0] for visitor in visitors].count("admitted") == 1
        shop.set_stock(0, 0)
        await wait_states(edge, {"sold_out"})
        assert (await Visitor(edge).ask())[1]["poll_after_seconds"] is None
        room = await edge.room()
        assert (room["stock"], room["held"], room["sold_out"]) == (0, 0, True)
        assert room["stock_watch"]["fault"] is None


async def test_a_shop_that_does_not_answer_changes_nothing(tmp_path: Path):
    """The line goes on with what it knows. Status and metrics show the fault; the log names it and its end once."""
    shop = Shop(0, 3)
    async with whole_edge(tmp_path, shop, room=WATCHED) as edge:
        await wait_states(edge, {"sold_out"})
        shop.status = 500

        async def has_failed_often() -> bool:
            return (await edge.metrics()).get('stanchion_stock_failures_total{room="checkout"}', 0) >= 3

        await wait_until(has_failed_often, "asking fails")
        assert await states(edge) == {"sold_out"}
        watch: dict[str, Any] = (await edge.room())["stock_watch"]
        assert watch["fault"] == "answered 500"
        assert (await edge.metrics())['stanchion_stock_up{room="checkout"}'] == 0
        assert len(edge.said("answered 500")) == 1
        shop.status = 200

        async def is_well() -> bool:
            return bool((await edge.room())["stock_watch"]["fault"] is None)

        await wait_until(is_well, "asking works again")
        assert len(edge.said("reports its stock again")) == 1


async def test_a_reload_starts_and_ends_the_asking(tmp_path: Path):
    shop = Shop(5, 0)
    async with whole_edge(tmp_path, shop) as edge:
        assert (await edge.room())["stock_watch"] is None
        tree = copy.deepcopy(edge.tree)
        tree["rooms"][0] |= WATCHED
        edge.rewrite(tree)
        await reload(edge)

        async def is_known() -> bool:
            return bool((await edge.room())["stock"] == 5)

        await wait_until(is_known, "the stock is asked for")
        edge.rewrite(edge.tree)
        await reload(edge)
        assert (await edge.room())["stock_watch"] is None
        asked = shop.asked
        await states(edge)
        assert shop.asked <= asked + 1


async def test_an_unknown_stock_pauses_the_rooms_with_settings_that_say_so(tmp_path: Path):
    """Fail open and fail closed, side by side: no response at the start, then one, then none again.

    Visitors in line in the closed room keep their place, active ones stay, and status and metrics name what is
    missing."""
    shop = Shop(100, 0)
    shop.status = 500
    shared = {"capacity": {"admissions_per_second": 100.0}, "polling": {"min_seconds": 0.2, "max_seconds": 1.0}}
    rooms = [
        {"name": rule, "match": {"paths": [f"/{rule}*"]}, "when_stock_unknown": rule, **shared, **WATCHED}
        for rule in ("hold", "admit")
    ]
    async with whole_edge(tmp_path, shop, rooms=rooms) as edge:
        opened, closed = Visitor(edge), Visitor(edge)
        assert (await opened.ask("/admit"))[0] == "admitted"
        state, document = await closed.ask("/hold")
        assert state == "waiting"
        shop.status = 200

        async def is_in() -> bool:
            return (await closed.ask("/hold"))[0] == "admitted"

        async def wait_missing(missing: list[str]) -> None:
            metric = 'stanchion_room_missing_dependency{dependency="stock",room="%s"}'

            async def is_shown() -> bool:
                metrics = await edge.metrics()
                shown = {room["room"]: room["missing"] for room in (await edge.running.status())["rooms"]}
                counted = metrics.get(metric % "hold"), metrics.get(metric % "admit")
                return counted == (len(missing), 0) and shown == {"hold": missing, "admit": []}

            await wait_until(is_shown, f"status and metrics say that {missing} is missing")

        await wait_until(is_in, "the stock is known and the closed room opens")
        await wait_missing([])
        shop.status = 500
        await wait_missing(["stock"])
        assert {(await Visitor(edge).ask("/hold"))[0] for _ in range(6)} == {"waiting"}
        assert {(await Visitor(edge).ask("/admit"))[0] for _ in range(6)} == {"admitted"}
        assert (await closed.ask("/hold"))[0] == "admitted", "an active visitor stays"
        assert document["first_seen"]


async def test_a_shop_that_says_unknown_is_believed(tmp_path: Path):
    """`Stanchion-Stock: unknown` is no stock of 0: a closed room holds its line and is not over, also with status 200.

    Held units in the same response count for nothing."""
    shop = Shop(100, 0)
    room = {**WATCHED, "when_stock_unknown": "hold", "polling": {"min_seconds": 0.2, "max_seconds": 1.0}}
    async with whole_edge(tmp_path, shop, room=room) as edge:
        await wait_states(edge, {"admitted"})
        shop.numbers = {"Stanchion-Stock": "unknown", "Stanchion-Held": "0"}

        async def is_missing() -> bool:
            return (await edge.room())["missing"] == ["stock"]

        await wait_until(is_missing, "the stock is missing")
        waiting = Visitor(edge)
        assert (await waiting.ask())[0] == "waiting"
        found = await edge.room()
        assert (found["stock"], found["sold_out"]) == (100, False)
        assert "does not know its stock" in found["stock_watch"]["fault"]
        shop.set_stock(100, 0)

        async def is_in() -> bool:
            return (await waiting.ask())[0] == "admitted"

        await wait_until(is_in, "the shop knows its stock again")
