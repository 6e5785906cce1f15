"""Joined nodes: what each tells the others every heartbeat, and how the capacity is divided into shares.

Pure: the shell carries the news.

Each node publishes a `Summary`: the leases that it gave near the front since the last one, the visitors that it
admitted, how many polls it sees and what its bucket holds. With the summaries of the others a node knows the front of
the whole line one heartbeat late, instead of one visitor in `nodes`.

Shares follow demand. With a traffic share w_i (polls) and a bucket level l_i, node i hands out

    c_i = C * w_i + (f_i - l_i) / TAU_S                   clamped to [0.1, 3] * C * w_i, scaled to sum C
    f_i = k_i + w_i * (sum(l) - sum(k))                   its cushion (shared_bucket.py) and its share of the rest; if
                                                          there is less than all cushions, k_i * sum(l) / sum(k)

where l_i is the level expected at the end of the present heartbeat, published level + (c_i now - C w_i) * HEARTBEAT_S
(a Smith predictor: what is already on its way is not sent twice).

So tokens flow from where no visitor takes them to where somebody waits, and the sum is always C. All nodes compute the
shares of beat b from the summaries of beat b - 1, which are the same for all, and use them for just one heartbeat: over
time the shares add up to C exactly, and at any moment to within one heartbeat's worth. A node that hears nothing for
`TTL_S` goes back to its configured share. That is safe because the configured shares of all nodes add up to C.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

HEARTBEAT_S: Final = 0.2  # shorter makes the shared front more exact and costs messages; the law is tuned for this
NEWS_S: Final = 0.4  # a heartbeat and its delay
TTL_S: Final = 6.0  # a node that is silent for longer is forgotten
SILENT_S: Final = 1.0  # a node that is silent for longer stands still: five heartbeats
TAU_S: Final = 0.8  # a gain of 1/4 a heartbeat with a delay of one: no overshoot
EVEN: Final = 0.05  # share of the capacity that is divided evenly, so that a node without polls can start
PROFILE_BEATS: Final = 5  # heartbeats between two profiles of a node's list
MAX_LEASES: Final = 8192  # most leases in one summary


@dataclass(frozen=True, slots=True)
class Summary:
    """One node's news since its last summary. Numbers, booleans and a name only: msgpack carries it (`NodeSummary`)."""

    node: str
    beat: int  # number of the heartbeat, floor(wall clock / heartbeat): the same for all nodes
    at: float  # wall clock
    polls_per_s: float
    level: float  # tokens in the bucket
    rate: float  # its share at present, tokens a second
    waiting: float
    leases: tuple[tuple[float, float, bool], ...]  # first_seen, seconds from `at` until due, is a first lease
    admitted: tuple[float, ...]  # first_seen of those admitted
    profile: tuple[float, ...] = ()  # its list in quantiles, every PROFILE_BEATS heartbeats; see far_line.py
    integral: float = 0.0  # of its law, seconds: all nodes should agree on it
    is_still: bool = False  # it has reasons of its own to admit nobody
    is_last: bool = False  # the node ends: its visitors come to the others


@dataclass(frozen=True, slots=True)
class Share:
    """The part of the capacity that one node hands out until the next heartbeat."""

    rate: float  # tokens a second; the rates of all nodes add up to the room's
    fair: float  # the same without the levelling of buckets; the bucket's depth depends on it
    due: float  # tokens that its bucket should hold, f_i


def shares(summaries: Iterable[Summary], room_rate: float, cushion: Callable[[float], float]) -> Mapping[str, Share]:
    """Return the share of each node. Rates and fair shares both add up to `room_rate`."""
    nodes = sorted(summaries, key=lambda s: s.node)
    if not nodes:
        return {}
    polls = sum(s.polls_per_s for s in nodes)
    even = EVEN if polls > 0.0 else 1.0
    base, level = {}, {}
    for s in nodes:
        weight = even / len(nodes) + ((1.0 - even) * (s.polls_per_s / polls) if polls > 0.0 else 0.0)
        base[s.node] = room_rate * weight
        level[s.node] = s.level + (s.rate - base[s.node]) * HEARTBEAT_S
    tokens = sum(level.values())
    kept = {name: cushion(rate) for name, rate in base.items()}
    cushions = sum(kept.values())
    rest = tokens - cushions
    wanted, due = {}, {}
    for name, rate in base.items():
        fair = 0.0
        if room_rate > 0.0:
            part = rate / room_rate
            fair = kept[name] + rest * part if rest >= 0.0 or not cushions else tokens * kept[name] / cushions
        due[name] = fair
        wanted[name] = min(max(rate + (fair - level[name]) / TAU_S, 0.1 * rate), 3.0 * rate)
    total = sum(wanted.values())
    scale = room_rate / total if total > 0.0 else 0.0
    return {name: Share(rate * scale, base[name], due[name]) for name, rate in wanted.items()}
