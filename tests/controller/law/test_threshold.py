"""The law: samples in, numbers of visitors out."""

from controller.fleet.joined import TUNING as JOINED
from controller.law.sample import Call, LawSample, Supply
from controller.law.threshold import ThresholdLaw
from controller.line.alone import TUNING as ALONE

FULL = Supply(level=10.0, capacity=10.0, rate=10.0, flow=10.0, target_s=0.2, room_rate=10.0, room_depth=10.0)


def step(law: ThresholdLaw, supply: Supply = FULL, refused: int = 0, is_blocked: bool = False) -> Call:
    tuning = JOINED if supply is FULL else ALONE
    return law.step(LawSample(supply, refused, late_s=0.0, dt_s=0.1, is_blocked=is_blocked), tuning)


def test_after_a_stall_joined_nodes_call_at_once() -> None:
    """The room's bucket filled up while nobody could poll, so there is nothing to wait for."""
    called = {}
    for stalled_s in (0.0, 3.0):
        law = ThresholdLaw()
        for _ in range(round(stalled_s / 0.1)):
            step(law, is_blocked=True)
        called[stalled_s] = step(law).visitors
    assert called[3.0] > called[0.0] + 30.0  # BOOST_S of the flow


def test_a_blocked_step_teaches_nothing() -> None:
    law = ThresholdLaw()
    step(law)
    integral = law.integral
    for _ in range(100):
        step(law, is_blocked=True)
    assert law.integral == integral


def test_refused_visitors_lower_the_call() -> None:
    """Visitors that found the bucket empty come back within a second: they need no others to be called."""
    supply = Supply(level=2.0, capacity=10.0, rate=10.0, flow=10.0, target_s=0.06, room_rate=10.0, room_depth=10.0)
    assert step(ThresholdLaw(), supply, refused=10).visitors < step(ThresholdLaw(), supply).visitors
