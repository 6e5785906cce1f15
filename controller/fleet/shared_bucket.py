"""The buckets of joined nodes as one: whoever comes to a node finds a token there if the *room* has one.

Visitors come to a node by chance, so its own bucket is now too full, now empty, and who finds it empty loses a whole
shortest interval. A large reserve in every bucket would cure that and make everybody late by it, for what lies
unspent in n buckets is n times what one needs. So each bucket holds, beyond its part of the burst, a cushion k_i for
visitors who come by chance, and the *sum* of all is what the law regulates and what decides:

    P = sum(l_i) - sum(k_i)                      the room's tokens; l_i: node i's level, a heartbeat old for the others
    admit  if  l_i >= 1  and  P >= 1 (+ hold)    a token here, and one in the room
    k_i = CUSHION + CUSHION_SD * sqrt(c_i)       about three standard deviations of what comes in a heartbeat

P hovers at a reserve that grows with the root of the *room's* inflow in a heartbeat, however many nodes there are:
fifty nodes of 1/s are late by 0.5 s instead of 1.4; in a small room it is the root of a second's. `controller/fleet/summary.py`
sees to it that tokens flow to where they are taken; what a node holds beyond its part and another cushion, because
nobody asks for it there, it gives up at the same pace, and the others' buckets become deeper by as much.

What bounds it: sum(l_i) <= burst + sum(k_i), so at the very worst, if all nodes were blind for a heartbeat, sum(k_i)
more than the burst come in at once; the second rule keeps it to the burst, less MARGIN_S for what is not known yet. A
crowd that falls upon all nodes between two heartbeats is noticed by each: who hands out more than its part, or hears
that the others did, takes them to do so still. It is no chance: those who are nearly in are held, and all come at once.
A small room, whose burst is less than two times `burst_floor`, is that deep while somebody waits.
While nobody waits, and until all have heard that somebody does, a node takes from its part of the burst alone; only
after two heartbeats in which it took nothing, one token of the room, for its part may be less than one.
With a strict `burst_floor` of 1 there are no cushions.
"""

from collections.abc import Mapping
from math import inf, sqrt
from typing import Final

from controller.fleet.summary import HEARTBEAT_S, NEWS_S, TAU_S, Share, Summary
from controller.settings import GateSettings

ALONE_S: Final = 0.6  # three heartbeats: by then everybody's view is of after the line began
MARGIN_S: Final = 0.16  # of the room's rate, and at most MARGIN of the burst: what a heartbeat's staleness may cost
MARGIN: Final = 0.25
FLOORS: Final = 2  # the room's least depth while somebody waits, in `burst_floor`s
RESERVE_S: Final = 0.12
RESERVE_SD: Final = 0.5  # and so many standard deviations of what the others take before it is heard of
# Of a small room: the level comes and goes by the root of a second's admissions. Who would have less calls until there
# is always somebody to take the next token, and many are called then, of whom chance takes one.
CHANCE: Final = 0.6
CHANCE_DEPTH: Final = 1.0 / 3.0  # of the room's bucket at most, or tokens are lost
TOLD_SD: Final = 1.0  # what the others tell is a larger count, so chance is a smaller part of it,
TOLD_BEATS: Final = 2.0  # and so many heartbeats have gone by since it was true


class SharedBucket:
    """One node's view of the room's tokens."""

    __slots__ = (
        "_alone_until",
        "_cushion",
        "_is_alone",
        "_others",
        "_taken",
        "_taken_before",
        "_told",
        "borrowed",
        "depth",
        "fair",
        "room",
    )  # fmt: skip

    def __init__(self) -> None:
        self._alone_until = -inf
        self._is_alone = True
        self._cushion = 0.0
        self._others = 0.0  # tokens of the others less all cushions
        self._told = 0  # taken elsewhere, in the last heartbeat that was heard
        self._taken = self._taken_before = 0  # here, in this heartbeat and the one before
        self.room = 0.0  # the room's rate
        self.fair = 0.0  # this node's part of it, tokens a second
        self.depth = 0.0  # most tokens P can have
        self.borrowed = 0.0  # what `LeakyBucket.take` may count in: P less this node's level

    def __repr__(self) -> str:
        return f"<SharedBucket {self._others:+.1f} of {self.depth:.1f}, here {self.fair:.3g}/s>"

    def learn(
        self,
        node: str,
        shares: Mapping[str, Share],
        latest: Mapping[str, Summary],
        own: float,
        s: GateSettings,
        *,
        is_idle: bool,
    ) -> float:
        """A heartbeat's news; `latest`: of each node, `own`: this one's tokens now; `is_idle`: nobody waits.
        Returns how many tokens this node's bucket may hold until the next: its own and its part of what is free."""
        self._taken, self._taken_before = 0, self._taken
        self.room = sum(share.fair for share in shares.values())
        self.fair = shares[node].fair
        self._cushion = s.cushion_at(self.fair)
        kept = sum(s.cushion_at(share.fair) for share in shares.values())
        burst = s.idle_depth_at(self.room)
        self.depth = max(1.0, burst - min(MARGIN_S * self.room, MARGIN * burst, kept))
        if not is_idle:  # a few tokens come and go at any rate, so a small room needs more than its burst
            self.depth = max(self.depth, s.burst_floor * min(len(shares), FLOORS))
        others = sum(summary.level for name, summary in latest.items() if name != node)
        self._told = sum(len(summary.gone) for name, summary in latest.items() if name != node)
        self._others = others - kept
        free = self.depth + kept - others - own
        over = own - shares[node].due - self._cushion
        if over > 0.0 and not is_idle:  # nobody asks for them here, and the room's bucket is full of them
            own -= over * HEARTBEAT_S / TAU_S
        return max(0.0, own + free * self.part)

    @property
    def part(self) -> float:
        """This node's part of the room."""
        return self.fair / self.room if self.room > 0.0 else 0.0

    @property
    def reserve_s(self) -> float:
        """What P should be, in seconds of the room's rate."""
        reserve_s = RESERVE_S + RESERVE_SD * sqrt(NEWS_S * (1.0 - self.part) / self.room)
        return max(reserve_s, min(CHANCE / sqrt(self.room), CHANCE_DEPTH * self.depth / self.room))

    @property
    def _rush(self) -> float:
        """Tokens that the others must be taken to have handed out before they are heard of: as many for their part as
        went here beyond this one's, or as they told for the heartbeat before."""
        if self.part <= 0.0:
            return 0.0
        usual = self.fair * NEWS_S
        here = (self._taken + self._taken_before - usual) * (1.0 - self.part) / self.part
        usual = (self.room - self.fair) * HEARTBEAT_S
        there = (self._told - usual - TOLD_SD * sqrt(usual)) * TOLD_BEATS
        return max(0.0, here, there)

    @property
    def _borrowable(self) -> float:
        return max(self._others - self._rush, -self._cushion)

    def took(self) -> None:
        """A token was taken here."""
        self._taken += 1
        self.borrowed = -self._cushion if self._is_alone else self._borrowable

    def level(self, own: float) -> float:
        """P, given this node's tokens."""
        return own + self._others

    def rest(self, clock: float) -> None:
        """Nobody waits."""
        self._alone_until = clock + ALONE_S
        self._is_alone = True
        self._lend()

    def work(self, clock: float) -> None:
        """Somebody waits."""
        self._is_alone = clock <= self._alone_until
        self._lend()

    def _lend(self) -> None:
        is_own_part = self._is_alone and (self._taken or self._taken_before)
        self.borrowed = -self._cushion if is_own_part else self._borrowable
