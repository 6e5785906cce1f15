"""The leaky bucket: no visitor is admitted without one of its tokens. So it keeps the promise made to the shop.

    level(t) = min(capacity, level + rate * dt)      tokens; one admission takes one token
    admissions in any window w  <=  depth + rate * w

The promise holds because every admission removes a whole token, and tokens come into being nowhere else. A new rate
or depth never adds a token; it may only remove some. `adjust` moves tokens between the buckets of a room's lanes, and
puts back those of admissions that a visitor did not use (`edge/rooms/offers.py`).

`stop` and `go` bound a standstill: no time in between is credited.

The clock may do anything. Time is credited once. After a backward step nothing is credited until the clock is past
the point that was credited last, or until one bucket's worth of time has gone by, whichever is first. So a jump ahead
and back cannot mint tokens: the jump granted one bucket at most, and the freeze takes it back. A clock that is put
back for good stalls the bucket for `depth / rate` seconds only. `w` is the forward movement of the clock.
"""


class LeakyBucket:
    """Tokens arrive at `rate` per second, up to `depth`."""

    __slots__ = (
        "_capacity", "_credited_until", "_depth", "_inflow", "_is_stopped", "_level", "_rate", "overflowed",
    )  # fmt: skip

    def __init__(self, rate: float, depth: float, now: float, level: float | None = None) -> None:
        self._rate = self._inflow = rate
        self._is_stopped = False
        self._depth = self._capacity = depth
        self._level = depth if level is None else min(max(level, 0.0), depth)
        self._credited_until = now
        self.overflowed = 0.0  # tokens that arrived at a full bucket since the start: capacity that nobody used

    def __repr__(self) -> str:
        return f"<LeakyBucket {self._level:.2f}/{self._depth:.2f} at {self._rate:g}/s>"

    @property
    def rate(self) -> float:
        return self._rate

    @property
    def depth(self) -> float:
        return self._depth

    def level(self, now: float) -> float:
        """Credit the time since the last call and return the tokens at `now`."""
        elapsed = now - self._credited_until
        if elapsed > 0.0:
            self._credited_until = now
            level = self._level + self._inflow * elapsed
            if level > self._capacity:
                self.overflowed += level - self._capacity
                level = self._capacity
            self._level = level
        elif elapsed < 0.0 and self._rate * -elapsed > self._depth:
            self._credited_until = now + self._depth / self._rate
        return self._level

    def take(self, now: float, reserve: float = 0.0, borrowed: float = 0.0) -> bool:
        """Take one token if one is here, and if `reserve` tokens stay behind here and in the `borrowed` ones."""
        level = self.level(now)
        if level < 1.0 or level + borrowed < 1.0 + reserve:
            return False
        self._level = level - 1.0
        return True

    def has(self, now: float, reserve: float = 0.0, borrowed: float = 0.0) -> bool:
        """Return whether `take` would succeed."""
        level = self.level(now)
        return level >= 1.0 and level + borrowed >= 1.0 + reserve

    def adjust(self, tokens: float, now: float) -> float:
        """Pour tokens in from another bucket of the same room or, if negative, take them back. Return how many were
        moved: never more than fit, and never more than are here."""
        level = self.level(now)
        moved = min(tokens, max(0.0, self._capacity - level)) if tokens >= 0.0 else max(tokens, -level)
        self._level = level + moved
        return moved

    def fill_to(self, capacity: float, now: float) -> None:
        """Keep at most `capacity` unused tokens from now on, and never more than the depth."""
        self.level(now)
        self._capacity = min(capacity, self._depth)
        self._level = min(self._level, self._capacity)

    def stop(self, now: float) -> None:
        """Credit no time from now on."""
        self.level(now)
        self._is_stopped = True
        self._inflow = 0.0

    def go(self, now: float, most: float) -> None:
        """Credit time again from now on. Of the tokens that are here keep at most `most`."""
        self.level(now)
        self._is_stopped = False
        self._inflow = self._rate
        self._level = min(self._level, most)

    def reshape(self, rate: float, depth: float, now: float) -> None:
        """Use a new rate and depth from now on. The level stays, as far as it fits the new depth."""
        self.level(now)
        if not self._is_stopped:
            self._inflow = rate
        self._rate = rate
        self._depth = self._capacity = depth
        self._level = min(self._level, depth)
