"""The heavy neighbour: sign-up and log-in, whose password hashing must never slow a checkout down.

Hashing runs in a process pool of its own with the lowest priority (`nice`), and only so many may wait for it:
over the bound the answer is 503 at once. scrypt is memory-hard and in Python's own
library; the parameters are OWASP's (N = 2^15, r = 8, p = 3: 32 MiB and some 0.2 s of a core for each
password).
"""

import asyncio
import ctypes
import hashlib
import hmac
import multiprocessing
import os
import secrets
import signal
import sqlite3
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from aiohttp import web

from checkout import answers
from checkout.errors import BadRequest

BLOCK, LANES = 8, 3
NICE = 19  # the least share of a core that the system gives
PR_SET_PDEATHSIG = 1


class TooMany(Exception):
    """More passwords wait than the pool may keep waiting."""


def hashed(password: bytes, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=cost, r=BLOCK, p=LANES, maxmem=2**27)


def _begin_worker() -> None:
    """A worker yields to checkout, leaves Ctrl-C to the shop, and ends with it however that ends."""
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Hasher:
    """A bounded process pool; its processes start with the first password."""

    def __init__(self, workers: int, backlog: int, cost: int) -> None:
        self._cost = cost
        self._most = workers + backlog
        self._inside = 0
        self._pool = ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin_worker
        )

    async def hash(self, password: str, salt: bytes) -> bytes:
        """Raises `TooMany` at once when the pool and its backlog are full."""
        if self._inside >= self._most:
            raise TooMany
        self._inside += 1
        try:
            text = password.encode("utf-8", "surrogatepass")
            return await asyncio.get_running_loop().run_in_executor(self._pool, hashed, text, salt, self._cost)
        finally:
            self._inside -= 1

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


class Accounts:
    """Sign-up and log-in over HTTP, with a file of their own beside the shop's store."""

    def __init__(self, path: str, hasher: Hasher) -> None:
        self._hasher = hasher
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="accounts")
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("CREATE TABLE IF NOT EXISTS accounts (email TEXT PRIMARY KEY, salt BLOB, hash BLOB)")

    def add_to(self, app: web.Application) -> None:
        app.router.add_post("/api/accounts", self.sign_up)
        app.router.add_post("/api/sessions", self.log_in)

    async def close(self) -> None:
        self._hasher.close()
        await self._run(self._db.close)
        self._thread.shutdown()

    async def sign_up(self, request: web.Request) -> web.Response:
        email, password = await _credentials(request)
        salt = secrets.token_bytes(16)
        try:
            digest = await self._hasher.hash(password, salt)
        except TooMany:
            return _busy()
        added = await self._rows(
            "INSERT INTO accounts VALUES (?,?,?) ON CONFLICT DO NOTHING RETURNING 1", email, salt, digest
        )
        if not added:
            return answers.problem(409, "account-exists", "The account exists", "There is an account of this address.")
        return answers.document({"email": email}, 201)

    async def log_in(self, request: web.Request) -> web.Response:
        """An unknown address costs the same hash as a wrong password, so that timing tells nobody which it
        was.
        """
        email, password = await _credentials(request)
        rows = await self._rows("SELECT salt, hash FROM accounts WHERE email=?", email)
        salt, digest = rows[0] if rows else (bytes(16), b"")
        try:
            given = await self._hasher.hash(password, salt)
        except TooMany:
            return _busy()
        if not hmac.compare_digest(given, digest):
            return answers.problem(401, "wrong-credentials", "Not logged in", "The address or the password is wrong.")
        return answers.document({"email": email})

    async def _rows(self, sql: str, *args: Any) -> list[Any]:
        rows: list[Any] = await self._run(lambda: self._db.execute(sql, args).fetchall())
        return rows

    async def _run(self, work: Callable[[], object]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


async def _credentials(request: web.Request) -> tuple[str, str]:
    body = await answers.json_object(request)
    email, password = body.get("email"), body.get("password")
    if not isinstance(email, str) or not 3 <= len(email) <= 254 or "@" not in email or not email.isprintable():
        raise BadRequest("email: an address of 3 to 254 characters expected")
    if not isinstance(password, str) or not 8 <= len(password) <= 128:
        raise BadRequest("password: 8 to 128 characters expected")
    return email, password


def _busy() -> web.Response:
    response = answers.problem(503, "sign-up-busy", "Too busy", "Too many are signing up at once. Ask again shortly.")
    response.headers["Retry-After"] = "2"
    return response
