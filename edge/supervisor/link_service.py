"""The browsers that opened a link with a limit of uses: on this machine or, by Redis, on any.

    a worker asks    link, holder (a keyed digest of browser and network), how many may open it
    known holder     granted: the visitor opens the link again
    fewer than uses  granted, and noted
    else             used

    SADD stanchion:<cluster>:link:<link> <holder>, kept until the link expires      one script looks and writes

With one machine the holders are kept in the state folder, so a restart opens no link again. With Redis they are in
Redis alone. A Redis that does not answer grants nothing: an invite is for one person also while Redis is down.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Final

import redis.asyncio

from edge.messages.processes import LinkAnswer, LinkOutcome, LinkQuestion
from edge.supervisor.state_folder import StateFolder

__all__ = ["MOST_LINKS", "LinkService"]

FILE: Final = "link-holders"
#: Links that this machine remembers without Redis; beyond that the one that was opened first is forgotten.
MOST_LINKS: Final = 200_000
MOST_QUESTIONS: Final = 10_000
TIMEOUT_S: Final = 0.25
RETRY_S: Final = 1.0
KEEP_S: Final = 1.0
#: Returns 1 if the holder may open the link.
SCRIPT: Final = """
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then return 1 end
if redis.call('SCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('EXPIREAT', KEYS[1], ARGV[3])
return 1
"""

Answer = Callable[[LinkAnswer], None]


class LinkService:
    """The service of one machine. url: the Redis that all machines share; None if there is one machine only."""

    def __init__(self, url: str | None, password: str | None, cluster: str, folder: StateFolder) -> None:
        self._url = url
        self._password = password
        self._prefix = f"stanchion:{cluster}:link"
        self._folder = folder
        self._holders: OrderedDict[str, tuple[float, set[str]]] = OrderedDict()
        self._questions: deque[tuple[LinkQuestion, Answer]] = deque()
        self._has_questions = asyncio.Event()
        self._is_changed = False
        self._avoided_until = 0.0
        if url is None:
            self._restore(time.time())

    def __repr__(self) -> str:
        return f"<LinkService {len(self._holders)} links opened, {len(self._questions)} questions wait>"

    def ask(self, question: LinkQuestion, answer: Answer) -> None:
        """Call answer(...) once: now if there is one machine only, else from `run`."""
        if self._url is None:
            answer(question.answered(self._open(question)))
        elif len(self._questions) < MOST_QUESTIONS:
            self._questions.append((question, answer))
            self._has_questions.set()
        else:
            answer(question.answered("unverified"))

    async def run(self) -> None:
        """Ask Redis, or keep the holders in the state folder, until cancelled."""
        if self._url is None:
            await self._keep()
            return
        client = redis.asyncio.Redis.from_url(
            self._url, password=self._password, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )
        async with client:
            while True:
                await self._has_questions.wait()
                self._has_questions.clear()
                while self._questions:
                    question, answer = self._questions.popleft()
                    answer(question.answered(await self._ask_redis(client, question)))

    async def _ask_redis(self, client: "redis.asyncio.Redis", question: LinkQuestion) -> LinkOutcome:
        if time.monotonic() < self._avoided_until:
            return "unverified"
        key = f"{self._prefix}:{question.link}"
        try:
            may_open = await client.eval(
                SCRIPT, 1, key, question.holder, str(question.uses), str(int(question.expires))
            )
        except (redis.exceptions.RedisError, OSError, TimeoutError):
            self._avoided_until = time.monotonic() + RETRY_S
            return "unverified"
        return "granted" if may_open else "used"

    def _open(self, question: LinkQuestion) -> LinkOutcome:
        _, holders = self._holders.get(question.link, (0.0, set()))
        if question.holder in holders:
            return "granted"
        if len(holders) >= question.uses:
            return "used"
        self._holders[question.link] = question.expires, holders | {question.holder}
        if len(self._holders) > MOST_LINKS:
            self._holders.popitem(last=False)
        self._is_changed = True
        return "granted"

    async def _keep(self) -> None:
        """Write the holders once a second if there are new ones, and a last time when cancelled."""
        if self._folder.folder is None:
            return
        try:
            while True:
                await asyncio.sleep(KEEP_S)
                if self._is_changed:
                    self._is_changed = False
                    now = time.time()
                    for link in [link for link, (expires, _) in self._holders.items() if expires <= now]:
                        del self._holders[link]
                    await asyncio.to_thread(self._folder.write, FILE, self._content())
        finally:
            if self._is_changed:
                self._folder.write(FILE, self._content())

    def _content(self) -> dict[str, Any]:
        return {"links": {link: [expires, sorted(held)] for link, (expires, held) in self._holders.items()}}

    def _restore(self, now: float) -> None:
        kept = (self._folder.read(FILE) or {}).get("links")
        for link, value in kept.items() if isinstance(kept, dict) else ():
            match value:
                case [float(expires), list(held)] if expires > now and len(self._holders) < MOST_LINKS:
                    self._holders[link] = expires, {each for each in held if isinstance(each, str)}
