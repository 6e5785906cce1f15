"""The lanes of a room: each has a share of the capacity, and what one lane does not use goes to the others.

Each lane has a gate of its own: its own line, threshold, law and bucket. So the order within a lane is as in a room of
its own. The gates never look at each other. One divider moves tokens between their buckets, once a control step:

    inflow      lane i's bucket gets s_i * C tokens a second, its share of the room's capacity C
    spill       a token that arrives at a full bucket goes to the lanes in which visitors wait, by their shares
    forecast    x_j = the spill that lane j is expected to get, tokens a second: a mean over SMOOTH_S of
                s_i * C - (admissions a second in lane i), summed over the lanes i in which nobody waits
    plan        gate j plans with s_j * C + x_j, so that its ETAs and its law know the real flow
    settle      what the plan has credited beyond the real spill is taken back, and what it lacks is poured in

    lane A  empty      ----- spill 30/s ----.
    lane B  waits      share 70/s --------->(+)---> bucket of B: 100/s

Why the promise to the shop holds: tokens come into being at s_i * C in each lane only, these add up to C, and all else
moves them. A plan that is wrong is a debt that is taken back from the bucket. The lanes together may admit at once what
all their buckets hold: the burst, and for each lane at most `burst_floor` more.

Tokens keep the shares while the rate is what limits a room. While vacancies limit it, the lanes take turns: a lane may
take the next one if its admissions of late, divided by its share, are not ahead of those of a lane that waits (as in
fair queueing, with a window of TURN_S in place of a virtual time).

Joined nodes plan with the same figures, because they count the admissions of the whole fleet, and each settles with
its own buckets. While only one lane has visitors in line, what its own bucket cannot hold is lost, as in a room
without lanes.
"""

from collections.abc import Sequence
from math import exp
from typing import Final

from controller.gate import Gate

__all__ = ["LaneDivider"]

SMOOTH_S: Final = 2.0
#: A plan is changed if it is wrong by more than this part. Each change disturbs the law a little.
LEAST_CHANGE: Final = 0.01
#: Longer steps count as this: the node stood still, and its buckets were full long before.
LONGEST_STEP_S: Final = 1.0
#: Admissions of this time count for the turns, and so many of them may be ahead.
TURN_S: Final = 20.0
AHEAD: Final = 1.0


class LaneDivider:
    """Of one room on one node. shares: of each lane, above 0; they add up to 1. rate: C, the whole room's."""

    def __init__(self, shares: Sequence[float], rate: float) -> None:
        if not shares or min(shares) <= 0.0 or abs(sum(shares) - 1.0) > 1e-6:
            raise ValueError(f"the shares of lanes must be above 0 and add up to 1, got {list(shares)}")
        self.shares = tuple(shares)
        self.rate = rate
        self._spilt = [0.0] * len(shares)  # of each bucket, as of the last step
        self._seen = [0] * len(shares)  # admissions, as of the last step
        self._demand = [0.0] * len(shares)  # admissions a second
        self._owed = [0.0] * len(shares)  # tokens that a lane is still to get or, below 0, to give back
        self._taken = [0.0] * len(shares)  # admissions of late, for the turns
        self._waiting = [False] * len(shares)
        self._is_first = True

    def __repr__(self) -> str:
        demand = ", ".join(f"{each:.1f}" for each in self._demand)
        return f"<LaneDivider of {self.rate:g}/s, admitted {demand}>"

    def follow(self, before: "LaneDivider") -> None:
        """Go on where another divider of the same gates stopped, because the settings were read again."""
        if before.shares == self.shares:
            self._spilt, self._seen, self._demand = before._spilt, before._seen, before._demand
            self._owed, self._taken, self._waiting = before._owed, before._taken, before._waiting
            self._is_first = before._is_first

    def divide(self, gates: Sequence[Gate], now: Sequence[float], dt: float) -> None:
        """Take one step of `dt` seconds. gates: of all lanes, in the order of the shares. now: the time of each.

        Call it after the control step of each gate. The gates must be told of another capacity before (`reconfigure`).
        """
        dt = min(max(dt, 0.0), LONGEST_STEP_S)
        if self.rate <= 0.0 or dt <= 0.0 or any(gate.is_frozen for gate in gates):
            self._look(gates, now)
            return
        if self._is_first:
            self._is_first = False
            self._look(gates, now)
        waiting = [gate.has_line for gate in gates]
        self._measure(gates, dt)
        self._take_turns(waiting)
        expected = [0.0] * len(gates)  # spill that each lane will get, tokens a second
        owed = self._owed
        for at, gate in enumerate(gates):
            nominal = self.shares[at] * self.rate
            unused = 0.0 if waiting[at] else max(0.0, nominal - self._demand[at])
            gate.bucket.level(now[at])
            spill = max(0.0, gate.bucket.overflowed - self._spilt[at])
            self._spilt[at] = gate.bucket.overflowed
            receivers = [other for other in range(len(gates)) if waiting[other] and other != at]
            weight = sum([self.shares[other] for other in receivers])
            for other in receivers:
                part = self.shares[other] / weight
                expected[other] += unused * part
                owed[other] += spill * part
            if receivers:
                gate.bucket.overflowed -= spill  # it was not lost
                self._spilt[at] = gate.bucket.overflowed
        for at, gate in enumerate(gates):
            self._settle(at, gate, expected[at], now[at], dt)

    def has_turn(self, at: int) -> bool:
        """Return whether a lane may take the next vacancy, if vacancies are scarce."""
        taken, shares = self._taken, self.shares
        most = (taken[at] - AHEAD) / shares[at]
        return not any(self._waiting[other] and taken[other] / shares[other] < most for other in range(len(shares)))

    def took(self, at: int) -> None:
        """Count an admission at once, and not when its control step comes."""
        self._taken[at] += 1.0

    def _take_turns(self, waiting: list[bool]) -> None:
        """Note in which lanes visitors wait. One that begins to wait has no claim on the time before."""
        taken, shares = self._taken, self.shares
        others = [taken[at] / shares[at] for at, has_line in enumerate(waiting) if has_line and self._waiting[at]]
        for at, has_line in enumerate(waiting):
            if has_line and not self._waiting[at] and others:
                taken[at] = max(taken[at], min(others) * shares[at])
        self._waiting = waiting

    def _settle(self, at: int, gate: Gate, expected: float, now: float, dt: float) -> None:
        """Bring one lane's bucket and plan up to date."""
        nominal, planned = self.shares[at] * self.rate, gate.settings.room_rate
        owed = self._owed[at] - gate.bucket.rate * (1.0 - nominal / planned) * dt
        moved = gate.bucket.adjust(owed, now)
        self._owed[at] = min(0.0, owed - moved)  # a debt stays; what the bucket cannot hold is lost
        wanted = nominal + expected
        if abs(wanted - planned) > LEAST_CHANGE * wanted or (expected == 0.0 and planned != nominal):
            gate.plan_with(wanted, now)

    def _measure(self, gates: Sequence[Gate], dt: float) -> None:
        """Count the admissions of each lane. The first ones set the mean, later ones move it."""
        kept = exp(-dt / SMOOTH_S)
        for at, gate in enumerate(gates):
            total = gate.admitted_total
            rate = max(0, total - self._seen[at]) / dt
            self._seen[at] = total
            self._demand[at] = min(self.rate, kept * self._demand[at] + (1.0 - kept) * rate)
            self._taken[at] *= exp(-dt / TURN_S)

    def _look(self, gates: Sequence[Gate], now: Sequence[float]) -> None:
        """Forget what happened until now: while a line stands still, nothing is lent."""
        for at, gate in enumerate(gates):
            gate.bucket.level(now[at])
            self._spilt[at] = gate.bucket.overflowed
            self._seen[at] = gate.admitted_total
            self._owed[at] = min(0.0, self._owed[at])
