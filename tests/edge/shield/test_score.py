"""The bot score on a labelled population, and its parts."""

from collections import Counter
from random import Random

from edge.shield.score import SPAN_S, Behaviour, head_reasons, points_of
from tests.edge.shield.population import ROBOTS, people, robots

SUSPECT_AT = 60
SEED = 7


def suspected(visitors, behaviour: Behaviour) -> dict[str, tuple[str, set[str]]]:
    """Return kind and reasons, by name, of the visitors that reach the threshold at any moment."""
    requests = sorted(
        ((time, at == 0, visitor) for visitor in visitors for at, time in enumerate(visitor.times)),
        key=lambda each: each[0],
    )
    lasting: dict[str, tuple[str, ...]] = {}
    found: dict[str, tuple[str, set[str]]] = {}
    for time, is_first, visitor in requests:
        if is_first:
            lasting[visitor.name] = head_reasons(visitor.head, has_ticket=False)
            behaviour.note_newcomer(visitor.network, time)
        reasons = lasting[visitor.name] + behaviour.reasons(visitor.name, visitor.network, time)
        if points_of(reasons) >= SUSPECT_AT:
            found.setdefault(visitor.name, (visitor.kind, set()))[1].update(reasons)
    return found


def test_the_score_finds_robots_and_spares_people():
    """At least 95 % of each kind of robot, at most 1 % of people."""
    chance = Random(SEED)
    crowd = [*people(20_000, chance), *robots(200, chance)]
    found = Counter(kind for kind, _ in suspected(crowd, Behaviour(shortest_s=1.0)).values())
    shares = {kind: found[kind] / 200 for kind in ROBOTS}
    print(f"found {shares}, people {found['person'] / 20_000:.2%}")
    assert min(shares.values()) >= 0.95, shares
    assert found["person"] / 20_000 <= 0.01


def test_every_suspect_has_a_reason():
    chance = Random(SEED)
    for kind, reasons in suspected(list(robots(40, chance)), Behaviour(shortest_s=1.0)).values():
        assert reasons, kind


def test_a_clock_that_is_set_back_makes_nobody_a_robot():
    behaviour = Behaviour(shortest_s=1.0)
    for at in range(20):
        behaviour.reasons("a", "home", 10_000.0 + at * 4.1 + at % 3)
    assert [behaviour.reasons("a", "home", 6400.0 + at * 4.1 + at % 3) for at in range(20)] == [()] * 20


def test_the_memory_of_behaviour_is_bounded():
    behaviour = Behaviour(1.0, most=1000)
    for at in range(100_000):
        behaviour.reasons(str(at), str(at), at / 100)
        behaviour.note_newcomer(str(at), at / 100)
    assert len(behaviour) <= 2000


def test_a_network_is_crowded_by_the_tickets_of_the_present_and_the_last_span():
    behaviour = Behaviour(shortest_s=1.0)
    for at in range(20):
        behaviour.note_newcomer("office", at)
    assert behaviour.reasons("a", "office", 30.0) == ()
    for at in range(20):
        behaviour.note_newcomer("office", SPAN_S + at)
    assert behaviour.reasons("b", "office", SPAN_S + 30.0) == ("crowded",)
    assert behaviour.reasons("b", "home", SPAN_S + 30.0) == ()
    behaviour.note_newcomer("home", 2 * SPAN_S + 1.0)
    assert behaviour.reasons("c", "office", 2 * SPAN_S + 2.0) == ()


def test_one_weak_sign_makes_no_suspect():
    behaviour = Behaviour(shortest_s=1.0)
    for at in range(50):
        even = behaviour.reasons("an even connection", "home", at * 4.0)
        behind = behaviour.reasons("a tab in the background", "home", at * 60.0)
    assert even == ("regular",)
    assert behind == ()
    assert points_of(even) < SUSPECT_AT
