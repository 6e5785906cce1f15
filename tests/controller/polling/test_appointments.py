"""Appointments of newcomers."""

import pytest

from controller import GateSettings
from controller.polling.appointments import exact_appointment, first_appointment


def test_a_newcomer_near_the_front_is_asked_back_once() -> None:
    """In two steps the second would be a shortest interval, and too late."""
    s = GateSettings(admissions_per_second=10.0)
    for eta_s, expected_s in ((0.4, 1.0), (1.7, 1.7), (1.9, 1.9)):
        after_s = exact_appointment(eta_s, s.poll_min_s, s.poll_max_s)
        assert first_appointment(s, eta_s, after_s, is_probed=True, u=0.5, is_spread=False) == expected_s
    after_s = exact_appointment(20.0, s.poll_min_s, s.poll_max_s)
    assert first_appointment(s, 20.0, after_s, is_probed=True, u=0.5, is_spread=False) == 10.0


def test_the_first_of_a_new_line_are_back_before_the_bucket_overflows() -> None:
    """Chance keeps the visitors behind them apart, and all visitors of joined nodes, which hear of each other late."""
    s = GateSettings(admissions_per_second=10.0)
    for eta_s, u, is_spread, expected_s in (
        (0.1, 0.9, False, 1.0),
        (1.0, 0.9, False, 1.0),
        (1.5, 0.8, False, 1.2),
        (8.0, 0.8, False, 1.4),
        (0.1, 0.8, True, 1.4),
    ):
        after_s = first_appointment(s, eta_s, 1.0, is_probed=False, u=u, is_spread=is_spread)
        assert after_s == pytest.approx(expected_s)
