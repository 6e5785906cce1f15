"""Upstream health: each request counts once, by its whole time; one that hangs counts while it hangs."""

from controller import MOST_SLOW, Answered
from edge.rooms.upstream_health import UpstreamHealth


def test_each_response_counts_once_by_its_time():
    health = UpstreamHealth(target_s=0.5)
    health.asked("a", 0.0)
    health.asked("b", 0.0)
    health.answered("a", 0.25, is_failure=False)
    health.ended("a")
    health.answered("b", 0.5, is_failure=True)
    assert health.take(1.0) == Answered(2, 1.5, 1)
    assert health.take(1.0) == Answered()


def test_an_overdue_request_counts_in_every_reading():
    health = UpstreamHealth(target_s=0.5)
    health.asked("old", 0.0)
    health.asked("young", 0.9)
    assert health.take(1.0) == Answered(1, 2.0)
    assert health.take(1.2) == Answered(1, 2.4)
    health.answered("old", 100.0, is_failure=False)
    assert health.take(1.2) == Answered(1, MOST_SLOW)


def test_an_abandoned_request_is_not_counted():
    health = UpstreamHealth(target_s=0.5)
    health.asked("a", 0.0)
    health.ended("a")
    health.answered("a", 9.0, is_failure=False)
    assert health.take(9.0) == Answered()
