"""When a server counts as down, and when as up again: by probes, by visitors' requests, and by both."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.messages.upstream import Outcome
from edge.supervisor.server_health import MOST_DOUBLED, PATIENCE_S, SURE, Found, HealthRules, Probe, ServerHealth

RULES = HealthRules(
    has_path=False,
    interval_s=0.5,
    timeout_s=1.0,
    unhealthy_after=3,
    healthy_after=2,
    breaker_failures=20,
    breaker_s=2.0,
)
WITH_PATH = replace(RULES, has_path=True)
FAILED, ANSWERED = Outcome(failures=1, reason="answered 503"), Outcome(answered=True)
REFUSED, SILENT = Outcome(failures=1, unconnected=1, reason="connection refused"), Outcome(is_silent=True)


def probe(health: ServerHealth, *found: Found, now: float = 0.0) -> bool:
    for each in found:
        health.probed(Probe(each, "for a reason"), now)
    return health.is_up


def down(rules: HealthRules = RULES, now: float = 0.0) -> ServerHealth:
    health = ServerHealth(rules)
    assert not probe(health, *[Found.UNREACHABLE] * 3, now=now)
    return health


def test_a_server_that_nobody_suspects_is_probed_only_if_a_path_is_set() -> None:
    assert ServerHealth(RULES).next_probe_s() is None
    assert ServerHealth(WITH_PATH).next_probe_s() == 0.5


@pytest.mark.parametrize("rules", [RULES, WITH_PATH])
def test_one_failed_request_makes_the_edge_look_at_once(rules: HealthRules) -> None:
    health = ServerHealth(rules)
    health.met(FAILED, 0.0)
    assert health.next_probe_s() == 0.0
    assert health.is_suspected


def test_a_server_is_down_after_unhealthy_after_probes_that_reach_nobody() -> None:
    health = ServerHealth(RULES)
    assert probe(health, Found.UNREACHABLE, Found.UNREACHABLE)
    assert probe(health, Found.GOOD, Found.UNREACHABLE, Found.UNREACHABLE)
    assert not probe(health, Found.UNREACHABLE)
    assert health.reason == "for a reason"


def test_refused_requests_of_all_workers_count_together_with_one_probe() -> None:
    health = ServerHealth(RULES)
    for _ in range(SURE + 2):
        health.met(REFUSED, 0.0)
    assert health.is_up, "the edge has not looked yet"
    assert not probe(health, Found.UNREACHABLE)


def test_a_response_to_any_visitor_begins_the_count_anew() -> None:
    health = ServerHealth(RULES)
    for _ in range(100):
        for _ in range(19):
            health.met(FAILED, 0.0)
        health.met(ANSWERED, 0.0)
    assert health.is_up
    for _ in range(20):
        health.met(FAILED, 0.0)
    assert not health.is_up


def test_failures_after_the_response_in_one_message_count() -> None:
    health = ServerHealth(RULES)
    health.met(Outcome(failures=19), 0.0)
    health.met(Outcome(failures=19, answered=True), 0.0)
    assert health.is_up
    health.met(Outcome(failures=1), 0.0)
    assert not health.is_up


def test_probes_without_a_response_count_only_while_visitors_wait_in_vain() -> None:
    health = ServerHealth(RULES)
    assert probe(health, *[Found.SILENT] * 10)
    health.met(SILENT, 0.0)
    assert probe(health, Found.SILENT, Found.SILENT)
    health.met(ANSWERED, 0.0)
    assert probe(health, *[Found.SILENT] * 10)
    health.met(SILENT, 0.0)
    assert not probe(health, *[Found.SILENT] * 3)


@pytest.mark.parametrize("found", [Found.BAD, Found.SILENT, Found.UNREACHABLE])
def test_with_a_path_every_probe_that_is_not_good_counts(found: Found) -> None:
    health = ServerHealth(WITH_PATH)
    assert probe(health, found, found)
    health.met(ANSWERED, 0.0)
    assert not probe(health, found), "the operator said what a healthy server answers"


def test_without_a_path_an_error_of_the_home_page_takes_nobody_down() -> None:
    assert probe(ServerHealth(RULES), *[Found.BAD] * 100)


@pytest.mark.parametrize("rules", [RULES, WITH_PATH])
def test_it_comes_back_after_healthy_after_good_probes_in_a_row(rules: HealthRules) -> None:
    health = down(rules)
    assert not probe(health, Found.GOOD, Found.BAD, Found.GOOD)
    assert health.next_probe_s() == 0.125, "the second look comes soon"
    assert probe(health, Found.GOOD)


@given(st.lists(st.sampled_from([FAILED, REFUSED, ANSWERED, SILENT]), max_size=60))
def test_while_it_is_down_nothing_that_visitors_meet_brings_it_back(outcomes: list[Outcome]) -> None:
    health = down()
    for outcome in outcomes:
        health.met(outcome, 1.0)
    assert not health.is_up


def test_probes_that_are_good_while_visitors_fail_do_not_shorten_the_pause_which_doubles() -> None:
    health, now, pauses = ServerHealth(RULES), 0.0, []
    for _ in range(8):
        while health.is_up:
            health.met(FAILED, now)
        went_down = now
        while not probe(health, Found.GOOD, now=now):
            now += 0.1
        pauses.append(round(now - went_down, 0))
    assert pauses == [2, 4, 8, 16, 32, 32, 32, 32]
    assert MOST_DOUBLED * RULES.breaker_s == 32


def test_after_its_return_three_failures_are_enough_until_a_visitor_is_answered() -> None:
    health = down()
    assert probe(health, Found.GOOD, Found.GOOD)
    health.met(FAILED, 1.0)
    health.met(FAILED, 1.0)
    assert health.is_up
    health.met(FAILED, 1.0)
    assert not health.is_up
    assert probe(health, Found.BAD, Found.GOOD, Found.GOOD, now=1.1), "a probe saw the outage, so there is no pause"
    health.met(ANSWERED, 1.2)
    health.met(Outcome(failures=19), 1.2)
    assert health.is_up


def test_a_home_page_that_always_fails_does_not_keep_a_shop_down_for_ever() -> None:
    """And once visitors were served in spite of it, its status is not looked at again."""
    health = down()
    assert not probe(health, Found.BAD, now=1.0)
    assert not probe(health, Found.BAD, now=1.0 + PATIENCE_S - 0.1)
    assert probe(health, Found.BAD, now=1.0 + PATIENCE_S)
    health.met(ANSWERED, 70.0)
    assert not probe(health, *[Found.UNREACHABLE] * 3, now=80.0)
    assert probe(health, Found.BAD, Found.BAD, now=81.0)


def test_a_shop_that_fails_everywhere_is_not_tried_again_at_once_after_the_patience() -> None:
    health = down()
    probe(health, Found.BAD, now=0.0)
    assert probe(health, Found.BAD, now=PATIENCE_S)
    health.met(Outcome(failures=3), PATIENCE_S + 0.1)
    assert not probe(health, *[Found.BAD] * 50, now=PATIENCE_S + 10.0)


def test_while_it_is_down_a_slow_home_page_gets_more_and_more_time() -> None:
    health = down()
    waits = []
    for _ in range(6):
        waits.append(health.wait_s)
        probe(health, Found.SILENT)
    assert waits == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert down(WITH_PATH).wait_s == 1.0


def test_news_of_another_machine_makes_it_look_and_changes_nothing_else() -> None:
    health = ServerHealth(RULES)
    health.look()
    assert health.is_up
    assert health.next_probe_s() == 0.0
    assert probe(health, Found.GOOD)
    assert health.next_probe_s() is None


def test_the_last_server_stays_up_while_it_answers_visitors_though_its_health_path_is_too_slow() -> None:
    """The shop is overloaded, or this machine is. Any other server that is slow is taken out."""
    health, silent = ServerHealth(WITH_PATH), Probe(Found.SILENT, "no response within 1 s")
    for _ in range(10):
        health.met(ANSWERED, 0.0)
        health.probed(silent, 0.0, is_last=True)
        assert health.is_suspected, "the next response is news"
    assert health.is_up
    for _ in range(2):
        health.probed(silent, 0.0, is_last=True)
    assert not health.is_up, "no visitor is answered any more"

    health = ServerHealth(WITH_PATH)
    for _ in range(3):
        health.met(ANSWERED, 0.0)
        health.probed(silent, 0.0)
    assert not health.is_up
