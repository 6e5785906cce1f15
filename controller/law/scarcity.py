"""Whether vacancies are scarcer than tokens: then the bucket idles, and its level teaches the law nothing.

share += (full - share) * min(1, dt / BLOCKED_S)          full: a visitor met no vacancy since the last control step
"""

from typing import Final

__all__ = ["Scarcity"]

BLOCKED_S: Final = 5.0  # time constant
SCARCE: Final = 0.2  # vacancies are the scarcer above this share of the time


class Scarcity:
    """Set `is_full` when a visitor meets no vacancy; call `tick` once a control step."""

    __slots__ = ("_share", "is_full")

    def __init__(self) -> None:
        self.is_full = False
        self._share = 0.0  # of the recent time without a vacancy

    def __repr__(self) -> str:
        return f"<Scarcity no vacancy for {self._share:.0%} of the time>"

    @property
    def is_lasting(self) -> bool:
        return self._share > SCARCE

    def tick(self, dt: float) -> bool:
        """Fold in the last `dt` seconds, and return whether the bucket idles for want of vacancies."""
        self._share += (float(self.is_full) - self._share) * min(1.0, dt / BLOCKED_S)
        is_blocked = self.is_full or self.is_lasting
        self.is_full = False
        return is_blocked
