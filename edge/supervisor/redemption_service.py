"""The supervisor's end of grants: which places were used on this machine, and, asked of Redis, on any.

    SET stanchion:<cluster>:used:<room>:<ticket> <record>, unless there is one     kept for KEPT_S

One script looks and writes, so of any number of machines one is granted. The machine's own memory is asked first, in
order, and its answer is final: what another worker was granted needs no Redis. All of it is soft state: a Redis that
was wiped grants a place once more to whoever still has its ticket; one that is gone says nothing, and what is done then
is the settings' choice (`rooms[].when_redis_down`).
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

import redis.asyncio
from prometheus_client import CollectorRegistry, Histogram

__all__ = ["Question", "RedemptionService"]

#: How long Redis remembers a use: at 50 admissions a second 180,000 keys, some 35 MB.
KEPT_S = 3600
#: RedeemedTickets that the machine itself remembers: 22 minutes of 50 a second.
MOST = 65_536
#: A Redis that takes longer is taken for gone, and not asked again for a moment: the visitor's request waits meanwhile.
TIMEOUT_S = 0.25
RETRY_S = 1.0
#: Questions that go to Redis in one go.
AT_ONCE = 256
#: Returns what is there, unless there is nothing, or the use that this one takes the place of.
SCRIPT = """
local was = redis.call('GET', KEYS[1])
if was and string.match(was, '^[^.]*') ~= ARGV[1] then return was end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return false
"""

Key = tuple[str, str]
"""Room and ticket."""


@dataclass(frozen=True, slots=True)
class Question:
    key: Key
    before: str
    """The moment of the use that this one takes the place of, '' for none."""
    record: str
    is_patient: bool
    """Nobody is let in when Redis says nothing; else they are, and this machine remembers it."""
    answer: Callable[[str, str], None]
    """answer(outcome, record): 'granted', 'used' or 'alone'."""


class RedemptionService:
    """One machine's. url: the Redis that machines have in common; None when there is but one machine."""

    def __init__(self, url: str | None, password: str | None, cluster: str, registry: CollectorRegistry) -> None:
        self._url = url
        self._password = password
        self._prefix = f"stanchion:{cluster}:used"
        self._used: OrderedDict[Key, str] = OrderedDict()
        self._questions: deque[Question] = deque()
        self._came = asyncio.Event()
        self._shunned_until = 0.0
        self._seconds = Histogram(
            "stanchion_redemption_check_seconds",
            "Time that Redis takes to answer one batch of redemption checks.",
            registry=registry,
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25),
        )

    def ask(self, question: Question) -> None:
        """Answered at once, or by `run`."""
        if self._url is not None:
            self._questions.append(question)
            self._came.set()
            return
        was = self._known(question)
        if was is None:
            self._note(question.key, question.record)
        question.answer("granted" if was is None else "used", was or "")

    def hear_move(self, key: Key, record: str) -> None:
        """At another machine a place was used again."""
        if key in self._used:
            self._note(key, record)

    async def run(self) -> None:
        """Ask Redis, if there is one, until cancelled."""
        if self._url is None:
            return
        client = redis.asyncio.Redis.from_url(
            self._url, password=self._password, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )
        async with client:
            while True:
                await self._came.wait()
                self._came.clear()
                while self._questions:
                    await self._ask_redis(client, self._batch())

    def _known(self, question: Question) -> str | None:
        """The use that stands in the way, as far as this machine knows."""
        was = self._used.get(question.key)
        return None if was is None or was.partition(".")[0] == question.before else was

    def _note(self, key: Key, record: str) -> None:
        self._used[key] = record
        if len(self._used) > MOST:
            self._used.popitem(last=False)

    def _batch(self) -> list[Question]:
        """What there is to ask, in order, up to a second question about one place: that one depends on the first."""
        batch: list[Question] = []
        keys: set[Key] = set()
        while self._questions and len(batch) < AT_ONCE and self._questions[0].key not in keys:
            batch.append(self._questions.popleft())
            keys.add(batch[-1].key)
        return batch

    async def _ask_redis(self, client: "redis.asyncio.Redis", batch: list[Question]) -> None:
        asked = []
        for question in batch:
            was = self._known(question)
            if was is None:
                asked.append(question)
            else:
                question.answer("used", was)
        said = await self._evaluate(client, asked) if asked else []
        if said is None:
            for question in asked:
                if not question.is_patient:
                    self._note(question.key, question.record)
                question.answer("alone", "")
            return
        for question, found in zip(asked, said, strict=True):
            record = "" if found is None else found.decode()
            self._note(question.key, record or question.record)
            question.answer("used" if record else "granted", record)

    async def _evaluate(self, client: "redis.asyncio.Redis", asked: list[Question]) -> list[bytes | None] | None:
        """What Redis says of each: the use that stands in the way, or None. None in all: it says nothing."""
        began = time.monotonic()
        if began < self._shunned_until:
            return None
        try:
            async with client.pipeline(transaction=False) as pipe:
                for each in asked:
                    pipe.eval(SCRIPT, 1, ":".join((self._prefix, *each.key)), each.before, each.record, KEPT_S)
                said: list[bytes | None] = await pipe.execute()
        except (redis.exceptions.RedisError, OSError, TimeoutError):
            self._shunned_until = time.monotonic() + RETRY_S
            return None
        self._seconds.observe(time.monotonic() - began)
        return said
