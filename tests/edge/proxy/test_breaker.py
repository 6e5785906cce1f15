"""The circuit breaker: closed, open, half open."""

from edge.proxy.breaker import Breaker
from edge.settings.model import UpstreamSettings

SETTINGS = UpstreamSettings(url="http://a", breaker_failures=3, breaker_seconds=2.0)


def opened() -> Breaker:
    breaker = Breaker(SETTINGS)
    for _ in range(3):
        assert breaker.allows(0.0)
        breaker.failed(0.0)
    return breaker


def test_it_opens_after_breaker_failures_in_a_row_only():
    breaker = Breaker(SETTINGS)
    for _ in range(10):
        breaker.failed(0.0)
        breaker.failed(0.0)
        breaker.answered()
    assert breaker.allows(0.0)
    assert not opened().allows(0.0)
    assert opened().retry_after_s(0.5) == 2


def test_after_the_pause_one_request_at_a_time_tries():
    breaker = opened()
    assert not breaker.allows(1.9)
    assert [breaker.allows(2.1) for _ in range(3)] == [True, False, False]
    breaker.answered()
    assert [breaker.allows(2.2) for _ in range(3)] == [True, True, True]


def test_each_trial_that_fails_doubles_the_pause_up_to_a_bound():
    breaker, now, pauses = opened(), 0.0, []
    for _ in range(8):
        began = now
        while not breaker.allows(now):
            now += 0.25
        pauses.append(now - began)
        breaker.failed(now)
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 32.0, 32.0, 32.0]


def test_failures_of_requests_sent_before_the_pause_are_not_trials():
    breaker = opened()
    for _ in range(100):
        breaker.failed(1.0)
    assert breaker.allows(2.0)


def test_a_trial_that_never_ends_does_not_block_the_next_one():
    breaker = opened()
    assert breaker.allows(2.0)
    assert breaker.allows(2.0 + 5.0 + 60.0 + 0.1)


def test_without_breaker_failures_it_never_opens():
    breaker = Breaker(SETTINGS.model_copy(update={"breaker_failures": None}))
    for _ in range(1000):
        breaker.failed(0.0)
    assert breaker.allows(0.0)
