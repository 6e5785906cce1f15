"""The shield: what is checked before the room. Is this address denied, does it ask too often, is it a robot?

    denied     on the deny list and not on the allow list               -> 403
    limits     reads, writes        by network (an IPv4 address, an IPv6 /64)
               newcomers            requests without a ticket or pass, by network
               visitors             requests with one, by its id        -> 403 with `Retry-After`
               premium              instead of the two, by the id of what the shop gave them (premium.py)
    robots     points for what only robots do (score.py)                -> counted, slowed down, or 403

The status is never 429: a waiting visitor polls as told, and a client that polls faster than any limit is not waiting.
The shield refuses before the gate is asked and before a ticket is made or signed, so a refusal costs less than what it
refuses and leaves no trace in the line. Which limits hold for a head is worked out once and remembered with the head;
what is left for each request is a look-up and some arithmetic.
"""

from dataclasses import dataclass
from functools import lru_cache, partial

from edge.messages.head import RequestHead
from edge.settings.model import AbuseSettings
from edge.shield.limiter import Limiter
from edge.shield.score import Behaviour, head_reasons, points_of
from edge.support.client_address import network_of
from edge.support.networks import NetworkSet

__all__ = ["Limits", "Shield", "ShieldCounts", "Spent", "Watched", "wait_s"]

#: The limits that a request counts for, each with its key.
Limits = tuple[tuple[Limiter, str], ...]
#: How many requests were let through, by limit and by key.
Spent = dict[str, dict[str, int]]
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


@dataclass(frozen=True, slots=True)
class ShieldCounts:
    """What a shield has counted so far. A reload hands it to the next shield."""

    limiters: dict[str, Limiter]
    behaviour: Behaviour


class Shield:
    """One node's."""

    def __init__(
        self, settings: AbuseSettings, before: "Shield | None" = None, *, shortest_s: float = 1.0, shares: bool = False
    ) -> None:
        """before: the shield before a reload; its counts go on. shares: other nodes are told what is spent here.

        shortest_s: the shortest interval between two polls that a room asks for, in seconds.
        """
        self._allowed = NetworkSet(settings.allow)
        self._denied = NetworkSet(settings.deny)
        # An address comes again with every head of its visitors, and parsing it takes longer than all else here.
        self._cached_standing = lru_cache(maxsize=4096)(partial(_standing, self._allowed, self._denied))
        self._last_address, self._last = "", self._cached_standing("")
        """Of the last request: it is asked twice about each."""
        counts = ShieldCounts({}, Behaviour(shortest_s)) if before is None else before.counts()
        self._behaviour = counts.behaviour
        self._limiters: dict[str, Limiter] = {}
        self._reads = self._limiter("reads", settings.reads_per_minute, counts, shares)
        self._writes = self._limiter("writes", settings.writes_per_minute, counts, shares)
        self._newcomers = self._limiter("newcomers", settings.newcomers_per_minute, counts, shares)
        self._visitors = self._limiter("visitors", settings.visitor_per_minute, counts, shares)
        self._premium = self._limiter("premium", settings.premium_per_minute, counts, shares)
        self._suspects = Limiter(settings.bots.suspected_per_minute)
        self._bots = settings.bots
        self.suspect_threshold = settings.bots.suspect_threshold
        self._watches = settings.bots.action != "ignore"
        self.acts = settings.bots.action in ("limit", "refuse")
        """Whether suspects are treated differently, or only counted."""
        self.premium_s = None if self._premium is None else settings.premium_seconds
        """How long visitors stay premium; None if there are no premium visitors."""

    def __repr__(self) -> str:
        return f"<Shield {list(self._limiters.values())}, robots: {self._bots.action}>"

    def _limiter(self, name: str, per_minute: float | None, counts: ShieldCounts, shares: bool) -> Limiter | None:
        """Return the limiter of this name: the one that counts already, if its limit is the same."""
        limiter = counts.limiters.get(name)
        if limiter is None or limiter.per_minute != per_minute:
            limiter = None if per_minute is None else Limiter(per_minute)
        if limiter is not None:
            limiter.share(shares=shares)
            self._limiters[name] = limiter
        return limiter

    @property
    def is_off(self) -> bool:
        return not self._denied and not self._limiters and not self._watches

    def counts(self) -> ShieldCounts:
        """Return what was counted so far, for the next shield."""
        return ShieldCounts(self._limiters, self._behaviour)

    def spent(self) -> Spent:
        """Return what was let through here since the last call, for the other nodes."""
        return {name: spent for name, limiter in self._limiters.items() if (spent := limiter.collect())}

    def charge(self, spent: Spent, now: float) -> None:
        """Count what another node let through."""
        for name, keys in spent.items():
            limiter = self._limiters.get(name)
            if limiter is not None:
                for key, count in keys.items():
                    limiter.charge(key, count, now)

    def _standing(self, address: str) -> "Standing":
        if address is not self._last_address:
            self._last_address, self._last = address, self._cached_standing(address)
        return self._last

    def denies(self, head: RequestHead) -> bool:
        """Return whether the sender's address is denied."""
        return self._standing(head.client_ip).is_denied

    def limits(self, head: RequestHead, ident: str | None, *, is_room: bool, premium_id: str | None = None) -> Limits:
        """Return what a request with this head counts for.

        ident: the id of an authentic ticket or pass. is_room: a room covers the request. premium_id: the id of a
        premium token.
        """
        if not self._limiters or (standing := self._standing(head.client_ip)).is_allowed:
            return ()
        network = standing.network
        wanted = [(self._reads if head.method in SAFE else self._writes, network)]
        if premium_id is not None:
            wanted.append((self._premium, premium_id))
        elif ident is not None:
            wanted.append((self._visitors, ident))
        elif is_room:
            wanted.append((self._newcomers, network))
        return tuple((limiter, key) for limiter, key in wanted if limiter is not None)

    def watched(self, head: RequestHead, ident: str | None, like: "Watched | None" = None) -> "Watched | None":
        """Return what to watch in a request to a room, or None.

        like: of a head that differs in its cookies and its sender only, so that it gives the same reasons.
        """
        if not self._watches or (standing := self._standing(head.client_ip)).is_allowed:
            return None
        if like is not None and (like.ident is None) == (ident is None):
            return Watched(ident, standing.network, like.reasons, like.points, like.is_suspect)
        reasons = head_reasons(head, has_ticket=ident is not None)
        points = points_of(reasons)
        return Watched(ident, standing.network, reasons, points, points >= self.suspect_threshold)

    def suspects(self, watched: "Watched", now: float) -> tuple[str, ...]:
        """Take note of a request. Return the reasons to suspect a robot, () if they are too few."""
        if watched.ident is None:
            self._behaviour.note_newcomer(watched.network, now)
        elif seen := self._behaviour.reasons(watched.ident, watched.network, now):
            is_suspect = watched.points + points_of(seen) >= self.suspect_threshold
            return watched.reasons + seen if is_suspect else ()
        return watched.reasons if watched.is_suspect else ()

    def points(self, watched: "Watched | None") -> int:
        """Return the bot score of a request by itself."""
        if watched is None:
            return 0
        crowded = ("crowded",) if self._behaviour.is_crowded(watched.network) else ()
        return points_of(watched.reasons + crowded)

    def suspect_waits_s(self, watched: "Watched", now: float) -> float | None:
        """Return how long a suspect has to wait while the shield acts: 0 not at all, None for ever."""
        if self._bots.action == "refuse":
            return None
        return self._suspects.take(watched.ident or watched.network, now)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the lists say about an address, and the network that its requests count for."""

    is_allowed: bool
    is_denied: bool
    network: str


def _standing(allowed: NetworkSet, denied: NetworkSet, address: str) -> Standing:
    is_allowed = address in allowed
    return Standing(is_allowed, address in denied and not is_allowed, network_of(address))


# Not changed after it was made, yet not `frozen`; its `__init__` is written out: docs/performance.md.
@dataclass(slots=True, init=False)
class Watched:
    """Of a request to a room: its visitor, and what its head alone says about robots."""

    ident: str | None
    network: str
    reasons: tuple[str, ...]
    points: int
    is_suspect: bool
    """Whether these points alone reach the threshold."""

    def __init__(
        self, ident: str | None, network: str, reasons: tuple[str, ...], points: int, is_suspect: bool
    ) -> None:
        self.ident = ident
        self.network = network
        self.reasons = reasons
        self.points = points
        self.is_suspect = is_suspect


def wait_s(limits: Limits, now: float) -> float:
    """Count a request under each of its limits. Return 0 if all allow it, otherwise how long to wait, in seconds."""
    longest = 0.0
    for limiter, key in limits:
        longest = max(longest, limiter.take(key, now))
    return longest
