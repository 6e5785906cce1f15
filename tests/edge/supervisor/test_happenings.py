"""When something counts as having happened, and how often it is told."""

from typing import Any

from edge.supervisor.happenings import Happening, Happenings

COOL_S = 60.0


def worker(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {"node": number, "pid": 1, "ready": True, "restarts": 0, "report_age_seconds": 0.3, **changes}


def room(
    mode: str = "open", admitted: float | None = None, nodes: Any = (), sale: Any = None, **figures: Any
) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "missing": [], "sold_out": False, "adaptive": None, "admissions_per_second": 10.0, "waiting": 0, "active": 0,
        "stock": None,
    }  # fmt: skip
    shown = {"room": "checkout", "mode": mode, "reason": None, "total_active_users": None, "sale": sale}
    return {**shown, "figures": {**usual, **figures}, "admitted_per_s": admitted, "other_nodes": nodes}


class Looker:
    """Looks once a second."""

    def __init__(self) -> None:
        self.happenings = Happenings()
        self.now = 1_790_000_000.0

    def look(self, shown: dict[str, Any] | None = None, times: int = 1, **changes: Any) -> list[str]:
        found: list[Happening] = []
        for _ in range(times):
            self.now += 1.0
            found += self.happenings.look(
                self.now,
                [shown or room()],
                changes.get("workers", [worker()]),
                changes.get("redis", "unused"),
                upstream_is_down=changes.get("down", False),
                cooldown_s=changes.get("cooldown_s", COOL_S),
                formed_at=10,
            )
        return [each.event for each in found]


def test_the_first_look_tells_only_faults() -> None:
    assert Looker().look(room("hold")) == []
    assert Looker().look(down=True, redis="down") == ["upstream.down", "redis.down"]


def test_a_line_forms_and_is_cleared_once() -> None:
    looker = Looker()
    looker.look()
    assert looker.look(room(waiting=9), 5) == []
    assert looker.look(room(waiting=12), 1) == [], "one look is no line"
    assert looker.look(room(waiting=12), 10) == ["line.formed"]
    assert looker.look(room(waiting=3), 10) == [], "it is not cleared while somebody waits"
    assert looker.look(room(waiting=0), 4) == []
    assert looker.look(room(waiting=0), 10) == ["line.cleared"]


def test_modes_stock_upstream_and_redis() -> None:
    looker = Looker()
    looker.look(redis="up")
    assert looker.look(room("hold"), redis="up") == ["room.hold"]
    assert looker.look(room(), redis="up") == ["room.open"]
    assert looker.look(room(sold_out=True), redis="up") == ["stock.sold_out"]
    assert looker.look(room(), redis="down") == ["redis.down", "stock.available"]
    assert looker.look(down=True, redis="up") == ["upstream.down", "redis.up"]
    assert looker.look(redis="up") == ["upstream.up"]


def test_a_sale_opens_and_ends() -> None:
    looker = Looker()
    looker.look(room(sale={"name": "friday", "phase": "prequeue", "suspended": False}))
    assert looker.look(room(sale={"name": "friday", "phase": "open", "suspended": False}), 3) == ["sale.opened"]
    assert looker.look(room(), 3) == ["sale.ended"]


def test_nodes_of_this_machine_and_of_others() -> None:
    looker = Looker()
    assert looker.look(workers=[worker(ready=False)]) == [], "a worker that has not started yet is not lost"
    assert looker.look(workers=[worker()]) == []
    assert looker.look(workers=[worker(ready=False)]) == ["node.lost"]
    assert looker.look(workers=[worker(restarts=1)], times=2) == ["node.back"]
    assert looker.look(workers=[worker(restarts=2)], cooldown_s=0) == ["node.lost"], "it was back before the look"
    other = {"node": "b/0", "silent": False}
    looker.look(room(nodes=[other]), workers=[worker(restarts=2)], cooldown_s=0)
    silent = room(nodes=[{**other, "silent": True}])
    assert looker.look(silent, workers=[worker(restarts=2)]) == ["node.lost"]


def test_unused_capacity_while_visitors_wait() -> None:
    looker = Looker()
    looker.look(room(waiting=1000, admitted=10.0), 3)
    assert looker.look(room(waiting=1000, admitted=3.0), 3) == ["capacity.unused"]
    assert looker.look(room(waiting=1000, admitted=9.9), 3) == ["capacity.used"]


def test_what_comes_and_goes_is_told_once_in_a_cooldown_and_the_last_word_is_right() -> None:
    looker = Looker()
    looker.look()
    found: list[str] = []
    for step in range(30):
        found += looker.look(down=step % 2 == 0)
    assert found == ["upstream.down", "upstream.up"], "not at every change"
    found = looker.look(down=True, times=120)
    assert found == ["upstream.down"], "after the cool-down the state that holds is told"


def test_what_is_no_state_is_told_as_it_comes() -> None:
    looker = Looker()
    looker.happenings.tell("sale.opened", "checkout", looker.now, "The sale has opened.", sale="friday")
    looker.happenings.tell("sale.opened", "checkout", looker.now, "The sale has opened.", sale="saturday")
    assert looker.look() == ["sale.opened", "sale.opened"]
    assert looker.look() == []
