"""A worker's look at its own load: is it nearly out of CPU time although it runs in the pure form?

A worker is one thread, so it has one second of CPU time a second at most. Near that limit responses wait for each
other. The compiled form does the same work in about half the time, so an operator of the pure form should know of it.
"""

__all__ = ["LoadWatch"]

#: A look covers this time, seconds: longer than one burst, shorter than one sale.
WINDOW_S = 20.0
#: The share of a core from which a worker is under load.
BUSY_SHARE = 0.6
#: The shortest time between two warnings, seconds.
QUIET_S = 600.0


class LoadWatch:
    """Says when to warn. is_pure: whether this worker runs in the pure form; only then it warns."""

    def __init__(self, *, is_pure: bool, now_s: float, cpu_s: float) -> None:
        self._is_pure = is_pure
        self._since_s, self._cpu_s = now_s, cpu_s
        self._next_warning_s = now_s

    def look(self, now_s: float, cpu_s: float) -> float | None:
        """Return the share of a core that was used since the last look if a warning is due, else None.

        now_s: monotonic time. cpu_s: CPU time of this process so far. Call it at least twice within WINDOW_S.
        """
        elapsed_s = now_s - self._since_s
        if not self._is_pure or elapsed_s < WINDOW_S:
            return None
        share = (cpu_s - self._cpu_s) / elapsed_s
        self._since_s, self._cpu_s = now_s, cpu_s
        if share < BUSY_SHARE or now_s < self._next_warning_s:
            return None
        self._next_warning_s = now_s + QUIET_S
        return share
