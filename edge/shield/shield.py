"""What is asked before the room: is this address kept out, has it asked too often, is it a robot.

    denied     on the deny list and not on the allow list               -> 403
    limits     reads, writes        by network (an IPv4 address, an IPv6 /64)
               newcomers            those without a ticket or pass, by network
               visitors             those with one, by its id           -> 403 with `Retry-After`
               premium              instead of the two, by the id of what the shop gave them (premium.py)
    robots     points for what only they do (score.py)                  -> counted, slowed down, or 403

It is never a 429: visitors who wait ask as they are told, and who asks faster than any limit is not waiting. A refusal
is made before the gate is asked and before a ticket is made or signed, so it costs less than what it refuses and leaves
no trace in the line. Which limits hold for a head is worked out once and remembered with it; what is left for each
request is a look-up and some arithmetic.
"""

from dataclasses import dataclass
from functools import lru_cache, partial

from edge.messages.head import RequestHead
from edge.settings.model import AbuseSettings
from edge.shield.limiter import Limiter
from edge.shield.score import Behaviour, head_reasons, points_of
from edge.support.client_address import network_of
from edge.support.networks import NetworkSet

__all__ = ["Limits", "Shield", "Spent", "Watched", "wait_s"]

Limits = tuple[tuple[Limiter, str], ...]
Spent = dict[str, dict[str, int]]
"""By limit and by key: how many requests were let through."""
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


class Shield:
    """One node's. was: the one before a reload, whose counts go on. shares: other nodes are told what is spent here.

    asked_s: the shortest distance between two polls that a room asks for, seconds.
    """

    def __init__(
        self, settings: AbuseSettings, was: "Shield | None" = None, *, asked_s: float = 1.0, shares: bool = False
    ) -> None:
        self._allowed = NetworkSet(settings.allow)
        self._denied = NetworkSet(settings.deny)
        #: An address comes again with every head of its visitors; to read it takes longer than all else here.
        self._standing = lru_cache(maxsize=4096)(partial(_standing, self._allowed, self._denied))
        before = {} if was is None else was._limiters

        def limiter(name: str, per_minute: float | None) -> Limiter | None:
            """The one that counts already, when its limit is the same."""
            known = before.get(name)
            if known is None or known.per_minute != per_minute:
                known = None if per_minute is None else Limiter(per_minute)
            if known is not None:
                known.share(shares=shares)
                self._limiters[name] = known
            return known

        self._limiters: dict[str, Limiter] = {}
        self._bots = settings.bots
        self.suspect_threshold = settings.bots.suspect_threshold
        self._watches = settings.bots.action != "ignore"
        self.acts = settings.bots.action in ("limit", "refuse")
        """Whether suspects are treated otherwise than others, or only counted."""
        self._behaviour: Behaviour = Behaviour(asked_s) if was is None else was._behaviour
        self._suspects = Limiter(settings.bots.suspected_per_minute)
        self._reads = limiter("reads", settings.reads_per_minute)
        self._writes = limiter("writes", settings.writes_per_minute)
        self._newcomers = limiter("newcomers", settings.newcomers_per_minute)
        self._visitors = limiter("visitors", settings.visitor_per_minute)
        self._premium = limiter("premium", settings.premium_per_minute)
        self.premium_s = None if self._premium is None else settings.premium_seconds
        """How long visitors stay premium, None when nobody is."""

    @property
    def is_off(self) -> bool:
        return not self._denied and not self._limiters and not self._watches

    def spent(self) -> Spent:
        """What was let through here since the last time, for the other nodes."""
        return {name: spent for name, limiter in self._limiters.items() if (spent := limiter.collect())}

    def charge(self, spent: Spent, now: float) -> None:
        """What was let through at another node."""
        for name, keys in spent.items():
            limiter = self._limiters.get(name)
            if limiter is not None:
                for key, count in keys.items():
                    limiter.charge(key, count, now)

    def refuses(self, head: RequestHead) -> bool:
        """Whether this address is kept out."""
        return self._standing(head.client_ip).is_denied

    def limits(self, head: RequestHead, ident: str | None, *, is_room: bool, claim: str | None = None) -> Limits:
        """What such a request counts for. ident: the id of an authentic ticket or pass; is_room: a room covers it.
        claim: the id of what makes a visitor premium.
        """
        if not self._limiters or (standing := self._standing(head.client_ip)).is_allowed:
            return ()
        network = standing.network
        wanted = [(self._reads if head.method in SAFE else self._writes, network)]
        if claim is not None:
            wanted.append((self._premium, claim))
        elif ident is not None:
            wanted.append((self._visitors, ident))
        elif is_room:
            wanted.append((self._newcomers, network))
        return tuple((limiter, key) for limiter, key in wanted if limiter is not None)

    def watched(self, head: RequestHead, ident: str | None, like: "Watched | None" = None) -> "Watched | None":
        """What there is to watch in a request to a room; None when there is nothing.

        like: of a head that differs in its cookies and its sender only, so that it gives away the same.
        """
        if not self._watches or (standing := self._standing(head.client_ip)).is_allowed:
            return None
        if like is not None and (like.ident is None) == (ident is None):
            return Watched(ident, standing.network, like.reasons, like.points, like.is_suspect)
        reasons = head_reasons(head, has_ticket=ident is not None)
        points = points_of(reasons)
        return Watched(ident, standing.network, reasons, points, points >= self.suspect_threshold)

    def suspects(self, watched: "Watched", now: float) -> tuple[str, ...]:
        """Why this request looks like a robot's; () when it does not, or not enough."""
        if watched.ident is None:
            self._behaviour.met(watched.network, now)
        elif seen := self._behaviour.saw(watched.ident, watched.network, now):
            is_suspect = watched.points + points_of(seen) >= self.suspect_threshold
            return watched.reasons + seen if is_suspect else ()
        return watched.reasons if watched.is_suspect else ()

    def points(self, watched: "Watched | None") -> int:
        """How much like a robot's a request looks, by itself."""
        if watched is None:
            return 0
        crowded = ("crowded",) if self._behaviour.is_crowded(watched.network) else ()
        return points_of(watched.reasons + crowded)

    def suspect_waits_s(self, watched: "Watched", now: float) -> float | None:
        """How long a suspect is to wait while the shield acts: 0 not at all, None for ever."""
        if self._bots.action == "refuse":
            return None
        return self._suspects.take(watched.ident or watched.network, now)


@dataclass(frozen=True, slots=True)
class Standing:
    """What an address is to the lists, and what network its requests count for."""

    is_allowed: bool
    is_denied: bool
    network: str


def _standing(allowed: NetworkSet, denied: NetworkSet, address: str) -> Standing:
    is_allowed = address in allowed
    return Standing(is_allowed, address in denied and not is_allowed, network_of(address))


@dataclass(slots=True, init=False)  # never changed, yet not `frozen`; `__init__` by hand: docs/performance.md
class Watched:
    """Of a request to a room: whose it is, and what its head alone gives away."""

    ident: str | None
    network: str
    reasons: tuple[str, ...]
    points: int
    is_suspect: bool
    """Whether that is enough by itself."""

    def __init__(
        self, ident: str | None, network: str, reasons: tuple[str, ...], points: int, is_suspect: bool
    ) -> None:
        self.ident = ident
        self.network = network
        self.reasons = reasons
        self.points = points
        self.is_suspect = is_suspect


def wait_s(limits: Limits, now: float) -> float:
    """Count a request under each of its limits; returns 0 when all of them allow it, else how long to wait."""
    longest = 0.0
    for limiter, key in limits:
        longest = max(longest, limiter.take(key, now))
    return longest
