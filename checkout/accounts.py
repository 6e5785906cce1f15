"""Sign-up and log-in: a neighbour with heavy work that must never slow checkout down.

Passwords are hashed in a separate process pool with the lowest priority (`nice`). The number of waiting passwords is
bounded; above the bound the response is 503 at once. scrypt is memory-hard and part of Python's standard library. Its
parameters are those of OWASP (N = 2^15, r = 8, p = 3): 32 MiB and about 0.2 s of one core for each password.
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
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from aiohttp import web

from checkout import bodies, responses
from checkout.errors import BadRequest

BLOCK, LANES = 8, 3
NICE = 19  # the lowest priority that the system has
PR_SET_PDEATHSIG = 1
OnLogIn = Callable[[web.Request, web.Response, str], Awaitable[None]]


class HasherBusy(Exception):
    """The pool and its backlog are full."""


def hash_password(password: bytes, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=cost, r=BLOCK, p=LANES, maxmem=2**27)


def _prepare_worker() -> None:
    """Prepare a worker: lowest priority, no reaction to Ctrl-C, and an end with the shop's process, even by kill -9."""
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Hasher:
    """A bounded process pool. Its processes start with the first password."""

    def __init__(self, workers: int, backlog: int, cost: int) -> None:
        self._cost = cost
        self._limit = workers + backlog
        self._entered = 0
        self._pool = ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare_worker
        )

    async def hash(self, password: str, salt: bytes) -> bytes:
        """Hash a password. Raises `HasherBusy` at once if the pool and its backlog are full."""
        if self._entered >= self._limit:
            raise HasherBusy
        self._entered += 1
        try:
            text = password.encode("utf-8", "surrogatepass")
            return await asyncio.get_running_loop().run_in_executor(self._pool, hash_password, text, salt, self._cost)
        finally:
            self._entered -= 1

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


class Accounts:
    """Sign-up and log-in over HTTP. The accounts are in a SQLite file of their own."""

    def __init__(self, path: str, hasher: Hasher, on_log_in: OnLogIn | None = None) -> None:
        """on_log_in: called with the request, its response and the address of an account that has logged in."""
        self._on_log_in = on_log_in
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
        except HasherBusy:
            return _busy()
        added = await self._rows(
            "INSERT INTO accounts VALUES (?,?,?) ON CONFLICT DO NOTHING RETURNING 1", email, salt, digest
        )
        if not added:
            return responses.problem(
                409, "account-exists", "The account already exists", "There is already an account with this address."
            )
        return responses.document({"email": email}, 201)

    async def log_in(self, request: web.Request) -> web.Response:
        """Check a password. An unknown address costs the same hash, so the response time does not reveal addresses."""
        email, password = await _credentials(request)
        rows = await self._rows("SELECT salt, hash FROM accounts WHERE email=?", email)
        salt, digest = rows[0] if rows else (bytes(16), b"")
        try:
            computed = await self._hasher.hash(password, salt)
        except HasherBusy:
            return _busy()
        if not hmac.compare_digest(computed, digest):
            return responses.problem(401, "wrong-credentials", "Not logged in", "The address or the password is wrong.")
        response = responses.document({"email": email})
        if self._on_log_in is not None:
            await self._on_log_in(request, response, email)
        return response

    async def _rows(self, sql: str, *args: Any) -> list[Any]:
        rows: list[Any] = await self._run(lambda: self._db.execute(sql, args).fetchall())
        return rows

    async def _run(self, work: Callable[[], object]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


async def _credentials(request: web.Request) -> tuple[str, str]:
    body = await bodies.json_object(request)
    email, password = body.get("email"), body.get("password")
    if not isinstance(email, str) or not 3 <= len(email) <= 254 or "@" not in email or not email.isprintable():
        raise BadRequest("email: expected an address of 3 to 254 characters")
    if not isinstance(password, str) or not 8 <= len(password) <= 128:
        raise BadRequest("password: expected 8 to 128 characters")
    return email, password


def _busy() -> web.Response:
    response = responses.problem(
        503, "sign-up-busy", "Too busy", "Too many sign-ups and log-ins at the moment. Please try again shortly."
    )
    response.headers["Retry-After"] = "2"
    return response
