"""The supervisor's side of redemption checks: which tickets were redeemed on this machine, or, by Redis, on any.

    SET stanchion:<cluster>:used:<room>:<ticket> <record>, unless it is set     kept for KEPT_S

One script looks and writes, so of any number of machines one is granted. The machine's own memory is asked first, in
order, and its answer is final: what another worker was granted needs no Redis. All of it is soft state: a Redis that
was wiped grants a ticket once more to a visitor that still has it. If Redis does not answer, or has kept what is no
record, the outcome is 'unverified' and the settings decide what follows (`rooms[].when_redis_down`).
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable

import redis.asyncio
from prometheus_client import CollectorRegistry, Histogram

from edge.messages.cluster import is_given_up, is_record
from edge.messages.processes import RedemptionAnswer, RedemptionQuestion

__all__ = ["KEPT_S", "MOST", "RedemptionService"]

#: Seconds that Redis remembers a redemption: at 50 admissions a second 180,000 keys, some 35 MB.
KEPT_S = 3600
#: Redemptions that the machine itself remembers: 22 minutes of 50 a second.
MOST = 65_536
#: A Redis that takes longer counts as gone, and is not asked again for RETRY_S: visitors' requests wait meanwhile.
TIMEOUT_S = 0.25
RETRY_S = 1.0
#: Questions that go to Redis together.
AT_ONCE = 256
#: Returns the record that is set. Sets it, and returns false, if there is none or the one that this one replaces.
SCRIPT = """
local was = redis.call('GET', KEYS[1])
if was and string.match(was, '^[^.]*') ~= ARGV[1] then return was end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return false
"""

Answer = Callable[[RedemptionAnswer], None]
Key = tuple[str, str]
"""Room and ticket."""


class RedemptionService:
    """The service of one machine. url: the Redis that all machines share; None if there is one machine only."""

    def __init__(self, url: str | None, password: str | None, cluster: str, registry: CollectorRegistry) -> None:
        self._url = url
        self._password = password
        self._prefix = f"stanchion:{cluster}:used"
        self._redeemed: OrderedDict[Key, str] = OrderedDict()
        self._questions: deque[tuple[RedemptionQuestion, Answer]] = deque()
        self._has_questions = asyncio.Event()
        self._avoided_until = 0.0
        self._seconds = Histogram(
            "stanchion_redemption_check_seconds",
            "Time that Redis takes to answer one batch of redemption checks.",
            registry=registry,
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25),
        )

    def __repr__(self) -> str:
        return f"<RedemptionService {len(self)} redeemed, {len(self._questions)} questions wait>"

    def __len__(self) -> int:
        """Return the number of redemptions that this machine remembers."""
        return len(self._redeemed)

    def ask(self, question: RedemptionQuestion, answer: Answer) -> None:
        """Call answer(...) once: now if there is one machine only, else from `run`."""
        if self._url is not None:
            self._questions.append((question, answer))
            self._has_questions.set()
            return
        before = self._standing(question)
        if before is None:
            self._note(_key(question), question.record)
            answer(question.answered("granted"))
        else:
            answer(question.answered("already_redeemed", before))

    def receive_redeemed_again(self, room: str, ticket: str, record: str) -> None:
        """At another machine a ticket was redeemed again, or given up."""
        if (room, ticket) in self._redeemed or is_given_up(record):
            self._note((room, ticket), record)

    async def run(self) -> None:
        """Ask Redis, if there is one, until cancelled."""
        if self._url is None:
            return
        client = redis.asyncio.Redis.from_url(
            self._url, password=self._password, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )
        async with client:
            while True:
                await self._has_questions.wait()
                self._has_questions.clear()
                while self._questions:
                    await self._ask_redis(client, self._next_batch())

    def _standing(self, question: RedemptionQuestion) -> str | None:
        """Return the record that stands in the way, as far as this machine knows."""
        record = self._redeemed.get(_key(question))
        return None if record is None or record.partition(".")[0] == question.before else record

    def _note(self, key: Key, record: str) -> None:
        self._redeemed[key] = record
        if len(self._redeemed) > MOST:
            self._redeemed.popitem(last=False)

    def _next_batch(self) -> list[tuple[RedemptionQuestion, Answer]]:
        """Take questions in order, up to a second one about the same ticket: its answer depends on the first."""
        batch: list[tuple[RedemptionQuestion, Answer]] = []
        keys: set[Key] = set()
        while self._questions and len(batch) < AT_ONCE and _key(self._questions[0][0]) not in keys:
            batch.append(self._questions.popleft())
            keys.add(_key(batch[-1][0]))
        return batch

    async def _ask_redis(self, client: "redis.asyncio.Redis", batch: list[tuple[RedemptionQuestion, Answer]]) -> None:
        open_ones = []
        for question, answer in batch:
            before = self._standing(question)
            if before is None:
                open_ones.append((question, answer))
            else:
                answer(question.answered("already_redeemed", before))
        found = await self._evaluate(client, [question for question, _ in open_ones]) if open_ones else []
        if found is None:
            found = [""] * len(open_ones)
        for (question, answer), record in zip(open_ones, found, strict=True):
            if record is None:
                self._note(_key(question), question.record)
                answer(question.answered("granted"))
            elif is_record(record):
                self._note(_key(question), record)
                answer(question.answered("already_redeemed", record))
            else:
                if not question.holds_if_unverified:
                    self._note(_key(question), question.record)
                answer(question.answered("unverified"))

    async def _evaluate(
        self, client: "redis.asyncio.Redis", questions: list[RedemptionQuestion]
    ) -> list[str | None] | None:
        """Return what Redis has kept for each question: the record that stands in the way, or None.

        Returns None in place of the list if Redis does not answer.
        """
        began = time.monotonic()
        if began < self._avoided_until:
            return None
        try:
            async with client.pipeline(transaction=False) as pipe:
                for each in questions:
                    key = ":".join((self._prefix, *_key(each)))
                    pipe.eval(SCRIPT, 1, key, each.before, each.record, KEPT_S)
                found = [None if value is None else value.decode("ascii", "replace") for value in await pipe.execute()]
        except (redis.exceptions.RedisError, OSError, TimeoutError):
            self._avoided_until = time.monotonic() + RETRY_S
            return None
        self._seconds.observe(time.monotonic() - began)
        return found


def _key(question: RedemptionQuestion) -> Key:
    return question.room, question.ticket
