"""A worker in the pure form warns when it is nearly out of CPU time."""

from edge.worker.load_watch import BUSY_SHARE, QUIET_S, WINDOW_S, LoadWatch


def warnings_of(share: float, seconds: float, *, is_pure: bool = True) -> list[float]:
    """Return the times of the warnings of a worker that uses this share of a core, looked at twice a second."""
    watch = LoadWatch(is_pure=is_pure, now_s=100.0, cpu_s=7.0)
    times = [step * 0.5 for step in range(1, int(seconds * 2))]
    return [time for time in times if watch.look(100.0 + time, 7.0 + share * time) is not None]


def test_a_busy_worker_warns_once_in_ten_minutes():
    assert warnings_of(0.9, 3 * QUIET_S) == [WINDOW_S, WINDOW_S + QUIET_S, WINDOW_S + 2 * QUIET_S]


def test_an_idle_worker_and_a_compiled_one_never_warn():
    assert warnings_of(BUSY_SHARE - 0.05, QUIET_S) == []
    assert warnings_of(1.0, QUIET_S, is_pure=False) == []


def test_a_short_burst_is_no_load():
    watch = LoadWatch(is_pure=True, now_s=0.0, cpu_s=0.0)
    assert watch.look(WINDOW_S / 2, WINDOW_S / 2) is None
    assert watch.look(WINDOW_S, WINDOW_S / 2) is None


def test_the_warning_says_how_busy_the_worker_was():
    watch = LoadWatch(is_pure=True, now_s=0.0, cpu_s=0.0)
    share = watch.look(WINDOW_S, 0.75 * WINDOW_S)
    assert share is not None
    assert abs(share - 0.75) < 1e-9
