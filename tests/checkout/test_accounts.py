"""Accounts: passwords are hashed beside the shop, in bounded number, and nothing of them leaks."""

import asyncio
import json
import os
import urllib.request
from collections import Counter

import psutil
import pytest

from checkout.accounts import NICE, Hasher, TooMany, hashed
from tests.checkout.conftest import Serve, serving

ADA = {"email": "ada@example.org", "password": "correct horse"}


async def test_sign_up_and_log_in(serve: Serve) -> None:
    """An account is made once; only its password opens it; an unknown address and a wrong password look
    alike.
    """
    async with serve() as visit:
        for path, body, status in (
            ("accounts", ADA, 201),
            ("accounts", ADA, 409),
            ("sessions", ADA, 200),
            ("sessions", {**ADA, "password": "wrong horse"}, 401),
            ("accounts", {**ADA, "password": "short"}, 400),
        ):
            async with visit.client.post(f"/api/{path}", json=body) as answer:
                assert answer.status == status, (path, body)
                assert ADA["password"] not in await answer.text()


async def test_more_than_may_wait_are_refused_at_once(serve: Serve) -> None:
    """One password is hashed and one waits; the others are told so, and checkout does not notice any of
    them.
    """
    async with serve(stock=5, accounts={"workers": 1, "backlog": 1, "scrypt_cost": 32768}) as visit:

        async def sign_up(number: int) -> int:
            body = {**ADA, "email": f"u{number}@example.org"}
            async with visit.client.post("/api/accounts", json=body) as answer:
                return answer.status

        async with asyncio.TaskGroup() as tasks:
            crowd = [tasks.create_task(sign_up(number)) for number in range(6)]
            async with visit.client.post("/checkout", json={}, headers={"X-Stanchion-Ticket": "t"}) as answer:
                assert answer.ok
        assert Counter(task.result() for task in crowd) == {201: 2, 503: 4}


async def test_hashing_runs_elsewhere_with_less_priority() -> None:
    """The pool is another process, nicer than this one; a full pool refuses without waiting."""
    hasher = Hasher(1, 0, 32768)
    try:
        loop = asyncio.get_running_loop()
        pid, nice = await loop.run_in_executor(hasher._pool, _who)
        assert pid != os.getpid()
        assert nice == min(19, os.nice(0) + NICE)
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(hasher.hash("password", b"salt" * 4))
            await asyncio.sleep(0)
            with pytest.raises(TooMany):
                await hasher.hash("password", b"salt" * 4)
        assert first.result() == hashed(b"password", b"salt" * 4, 32768)
    finally:
        hasher.close()


def _who() -> tuple[int, int]:
    return os.getpid(), os.nice(0)


def test_no_worker_outlives_a_killed_shop() -> None:
    """kill -9 of the shop ends its pool too."""
    with serving() as (process, url):
        request = urllib.request.Request(url + "/api/accounts", json.dumps(ADA).encode())
        with urllib.request.urlopen(request, timeout=90) as answer:
            assert answer.status == 201
        family = psutil.Process(process.pid).children(recursive=True)
        assert family
        process.kill()
        process.wait()
        assert psutil.wait_procs(family, timeout=10)[1] == []
