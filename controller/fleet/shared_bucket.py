"""The buckets of joined nodes as one: a visitor finds a token at any node if the *room* has one.

Visitors come to a node by chance, so its own bucket is now too full, now empty, and a visitor that finds it empty loses
a whole shortest interval. A large stock in every bucket would cure that and make every visitor late by it, because
what lies unspent in n buckets is n times what one needs. So each bucket holds, beyond its share of the burst, a cushion
k_i for visitors that come by chance, and the *sum* of all is what the law regulates and what decides:

    P = sum(l_i) - sum(k_i)                      the room's tokens; l_i: node i's level, a heartbeat old for the others
    admit  if  l_i >= 1  and  P >= 1 (+ reserve) a token here, and one in the room
    k_i = CUSHION + CUSHION_SD * sqrt(c_i)       about three standard deviations of what comes in a heartbeat

P hovers at a target that grows with the root of the *room's* inflow in a heartbeat, however many nodes there are:
fifty nodes of 1/s are late by 0.5 s instead of 1.4. In a small room it is the root of a second's. The shares
(`controller/fleet/summary.py`) make tokens flow to where they are taken. What a node holds beyond its share and another
cushion, because no visitor takes it there, it gives up at the same pace, and the others' buckets become deeper by as
much.

What bounds it: sum(l_i) <= burst + sum(k_i), so at worst, if all nodes were blind for a heartbeat, sum(k_i) more than
the burst are admitted at once. The second rule keeps it to the burst, less MARGIN_S for what is not known yet. Each
node notices a crowd that falls upon all nodes between two heartbeats: a node that hands out more than its share, or
hears that the others did, assumes that they still do. That is no chance: visitors near the front are parked, and all
are called at once. A small room, with a burst of less than two times `burst_floor`, is that deep while somebody waits.

While nobody waits, and until all nodes have heard that somebody does, a node takes from its share of the burst alone.
Only after two heartbeats in which it took nothing it takes one token of the room, because its share may be less than
one. With a strict `burst_floor` of 1 there are no cushions.
"""

from collections.abc import Mapping
from math import inf, sqrt
from typing import Final

from controller.fleet.summary import HEARTBEAT_S, NEWS_S, TAU_S, Share, Summary
from controller.settings import GateSettings

APART_S: Final = 0.6  # three heartbeats: by then the view of every node is of after the line began
MARGIN_S: Final = 0.16  # of the room's rate, and at most MARGIN of the burst: what a heartbeat's staleness may cost
MARGIN: Final = 0.25
FLOORS: Final = 2  # the room's least depth while somebody waits, in `burst_floor`s
TARGET_S: Final = 0.12
TARGET_SD: Final = 0.5  # and this many standard deviations of what the others take before it is heard of
# Of a small room: the level varies by the root of a second's admissions. A law with a smaller target calls until there
# is always a visitor to take the next token. Many are called then, and chance takes one of them.
CHANCE: Final = 0.6
CHANCE_DEPTH: Final = 1.0 / 3.0  # of the room's bucket at most, or tokens are lost
HEARD_SD: Final = 1.0  # what is heard of the others is a larger count, so chance is a smaller part of it
HEARD_BEATS: Final = 2.0  # heartbeats that have gone by since it was true


class SharedBucket:
    """One node's view of the room's tokens."""

    __slots__ = (
        "_apart_until",
        "_cushion",
        "_heard",
        "_is_apart",
        "_others",
        "_taken",
        "_taken_before",
        "borrowed",
        "depth",
        "fair",
        "room",
    )  # fmt: skip

    def __init__(self) -> None:
        self._apart_until = -inf
        self._is_apart = True
        self._cushion = 0.0
        self._others = 0.0  # the other nodes' tokens less all cushions
        self._heard = 0  # tokens taken elsewhere, in the last heartbeat that was heard
        self._taken = self._taken_before = 0  # tokens taken here, in this heartbeat and the one before
        self.room = 0.0  # the room's rate
        self.fair = 0.0  # this node's share of it, tokens a second
        self.depth = 0.0  # most tokens that P can have
        self.borrowed = 0.0  # tokens that `LeakyBucket.take` may count in: P less this node's level

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
        """Learn a heartbeat's news, and return how many tokens this node's bucket may hold until the next one.

        latest: the last summary of each node. own: this node's tokens now. is_idle: nobody waits. The bucket may hold
        its own tokens and its share of what is free.
        """
        self._taken, self._taken_before = 0, self._taken
        self.room = sum(share.fair for share in shares.values())
        self.fair = shares[node].fair
        self._cushion = s.cushion_at(self.fair)
        kept = sum(s.cushion_at(share.fair) for share in shares.values())
        burst = s.idle_depth_at(self.room)
        self.depth = max(1.0, burst - min(MARGIN_S * self.room, MARGIN * burst, kept))
        if not is_idle:  # the level varies by a few tokens at any rate, so a small room needs more
            self.depth = max(self.depth, s.burst_floor * min(len(shares), FLOORS))
        others = sum(summary.level for name, summary in latest.items() if name != node)
        self._heard = sum(len(summary.admitted) for name, summary in latest.items() if name != node)
        self._others = others - kept
        free = self.depth + kept - others - own
        over = own - shares[node].due - self._cushion
        if over > 0.0 and not is_idle:  # no visitor takes them here, and the room's bucket is full of them
            own -= over * HEARTBEAT_S / TAU_S
        return max(0.0, own + free * self.part)

    @property
    def part(self) -> float:
        """This node's share of the room's capacity, 0 to 1."""
        return self.fair / self.room if self.room > 0.0 else 0.0

    @property
    def target_s(self) -> float:
        """What P should be, in seconds of the room's rate."""
        target_s = TARGET_S + TARGET_SD * sqrt(NEWS_S * (1.0 - self.part) / self.room)
        return max(target_s, min(CHANCE / sqrt(self.room), CHANCE_DEPTH * self.depth / self.room))

    @property
    def _unheard(self) -> float:
        """Tokens that the others must be assumed to have handed out before it is heard of.

        For their share as many as were taken here beyond this node's share, or as many as they told of the heartbeat
        before, whichever is more.
        """
        if self.part <= 0.0:
            return 0.0
        usual = self.fair * NEWS_S
        here = (self._taken + self._taken_before - usual) * (1.0 - self.part) / self.part
        usual = (self.room - self.fair) * HEARTBEAT_S
        there = (self._heard - usual - HEARD_SD * sqrt(usual)) * HEARD_BEATS
        return max(0.0, here, there)

    @property
    def _borrowable(self) -> float:
        return max(self._others - self._unheard, -self._cushion)

    def took(self) -> None:
        """Count a token taken here."""
        self._taken += 1
        self.borrowed = -self._cushion if self._is_apart else self._borrowable

    def level(self, own: float) -> float:
        """Return P. own: this node's tokens."""
        return own + self._others

    def rest(self, clock: float) -> None:
        """Nobody waits: take from this node's share of the burst alone."""
        self._apart_until = clock + APART_S
        self._is_apart = True
        self._borrow()

    def work(self, clock: float) -> None:
        """Somebody waits: take from the room's tokens, once every node has heard of it."""
        self._is_apart = clock <= self._apart_until
        self._borrow()

    def _borrow(self) -> None:
        is_own_share = self._is_apart and (self._taken or self._taken_before)
        self.borrowed = -self._cushion if is_own_share else self._borrowable
