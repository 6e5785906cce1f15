"""What is asked before the room: is this address kept out, has it asked too often, is it a robot.

    denied     on the deny list and not on the allow list               -> 403
    limits     reads, writes        by network (an IPv4 address, an IPv6 /64)
               newcomers            those without a ticket or pass, by network
               visitors             those with one, by its id           -> 403 with `Retry-After`
    robots     points for what only they do (score.py)                  -> counted, slowed down, or 403

It is never a 429: visitors who wait ask as they are told, and who asks faster than any limit is not waiting. A refusal
is made before the gate is asked and before a ticket is made or signed, so it costs less than what it refuses and leaves
no trace in the line. Which limits hold for a head is worked out once and remembered with it; what is left for each
request is a look-up and some arithmetic.
"""

from dataclasses import dataclass

from edge.abuse.limiter import Limiter
from edge.abuse.networks import NetworkSet
from edge.abuse.score import Behaviour, head_reasons, points_of
from edge.client_address import network_of
from edge.head import RequestHead
from edge.settings import AbuseSettings

__all__ = ["Limits", "Shield", "Watched", "wait_s"]

Limits = tuple[tuple[Limiter, str], ...]
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


class Shield:
    """One node's; each node counts for itself. was: the one before a reload, whose counts go on.

    asked_s: the shortest distance between two polls that a room asks for, seconds.
    """

    def __init__(self, settings: AbuseSettings, was: "Shield | None" = None, *, asked_s: float = 1.0) -> None:
        self._allowed = NetworkSet(settings.allow)
        self._denied = NetworkSet(settings.deny)
        before = {} if was is None else was._limiters

        def limiter(name: str, per_minute: float | None) -> Limiter | None:
            """The one that counts already, when its limit is the same."""
            known = before.get(name)
            if known is None or known.per_minute != per_minute:
                known = None if per_minute is None else Limiter(per_minute)
            if known is not None:
                self._limiters[name] = known
            return known

        self._limiters: dict[str, Limiter] = {}
        self._bots = settings.bots
        self.suspect_at = settings.bots.suspect_at
        self._behaviour: Behaviour = Behaviour(asked_s) if was is None else was._behaviour
        self._suspects = Limiter(settings.bots.suspected_per_minute)
        self._reads = limiter("reads", settings.reads_per_minute)
        self._writes = limiter("writes", settings.writes_per_minute)
        self._newcomers = limiter("newcomers", settings.newcomers_per_minute)
        self._visitors = limiter("visitors", settings.visitor_per_minute)

    @property
    def is_off(self) -> bool:
        return not self._denied and not self._limiters and self._bots.action == "ignore"

    def refuses(self, head: RequestHead) -> bool:
        """Whether this address is kept out."""
        return head.client_ip in self._denied and head.client_ip not in self._allowed

    def limits(self, head: RequestHead, ident: str | None, *, is_room: bool) -> Limits:
        """What such a request counts for. ident: the id of an authentic ticket or pass; is_room: a room covers it."""
        if head.client_ip in self._allowed:
            return ()
        network = network_of(head.client_ip)
        wanted = [(self._reads if head.method in SAFE else self._writes, network)]
        if ident is not None:
            wanted.append((self._visitors, ident))
        elif is_room:
            wanted.append((self._newcomers, network))
        return tuple((limiter, key) for limiter, key in wanted if limiter is not None)

    def watched(self, head: RequestHead, ident: str | None) -> "Watched | None":
        """What there is to watch in a request to a room; None when there is nothing."""
        if self._bots.action == "ignore" or head.client_ip in self._allowed:
            return None
        return Watched(ident, network_of(head.client_ip), head_reasons(head, has_ticket=ident is not None))

    def suspects(self, watched: "Watched", now: float) -> tuple[str, ...]:
        """Why this request looks like a robot's; () when it does not, or not enough."""
        reasons, ident, network = watched.reasons, watched.ident, watched.network
        if ident is None:
            self._behaviour.met(network, now)
        else:
            reasons += self._behaviour.saw(ident, network, now)
        return reasons if reasons and points_of(reasons) >= self._bots.suspect_at else ()

    def points(self, watched: "Watched | None") -> int:
        """How much like a robot's a request looks, by itself."""
        if watched is None:
            return 0
        crowded = ("crowded",) if self._behaviour.is_crowded(watched.network) else ()
        return points_of(watched.reasons + crowded)

    def suspect_waits_s(self, watched: "Watched", now: float) -> float | None:
        """How long a suspect is to wait: 0 not at all, None for ever."""
        match self._bots.action:
            case "limit":
                return self._suspects.take(watched.ident or watched.network, now)
            case "refuse":
                return None
            case _:
                return 0.0


@dataclass(frozen=True, slots=True)
class Watched:
    """Of a request to a room: whose it is, and what its head alone gives away."""

    ident: str | None
    network: str
    reasons: tuple[str, ...]


def wait_s(limits: Limits, now: float) -> float:
    """Count a request under each of its limits; returns 0 when all of them allow it, else how long to wait."""
    longest = 0.0
    for limiter, key in limits:
        longest = max(longest, limiter.take(key, now))
    return longest
