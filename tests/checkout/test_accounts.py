"""Accounts: passwords are hashed in another process, in bounded number, and never leak."""

import asyncio
import json
import os
import urllib.request
from collections import Counter

import psutil
import pytest

from checkout.accounts import NICE, Hasher, HasherBusy, hash_password
from tests.checkout.conftest import Serve, serving

ADA = {"email": "ada@example.org", "password": "correct horse"}


async def test_sign_up_and_log_in(serve: Serve) -> None:
    """An account is created once, and only its password logs in. No response contains a password."""
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


async def test_sign_ups_over_the_backlog_are_refused(serve: Serve) -> None:
    """One password is hashed and one waits. The others get a 503 at once, and checkout is not affected."""
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


async def test_hashing_runs_in_a_process_with_low_priority() -> None:
    """The pool is a process with a higher `nice` value. A full pool refuses without waiting."""
    hasher = Hasher(1, 0, 32768)
    try:
        loop = asyncio.get_running_loop()
        pid, nice = await loop.run_in_executor(hasher._pool, _pid_and_nice)
        assert pid != os.getpid()
        assert nice == min(19, os.nice(0) + NICE)
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(hasher.hash("password", b"salt" * 4))
            await asyncio.sleep(0)
            with pytest.raises(HasherBusy):
                await hasher.hash("password", b"salt" * 4)
        assert first.result() == hash_password(b"password", b"salt" * 4, 32768)
    finally:
        hasher.close()


def _pid_and_nice() -> tuple[int, int]:
    return os.getpid(), os.nice(0)


def test_hashing_processes_end_with_a_killed_shop() -> None:
    """kill -9 of the shop also ends its pool."""
    with serving() as (process, url):
        request = urllib.request.Request(url + "/api/accounts", json.dumps(ADA).encode())
        with urllib.request.urlopen(request, timeout=90) as answer:
            assert answer.status == 201
        workers = psutil.Process(process.pid).children(recursive=True)
        assert workers
        process.kill()
        process.wait()
        assert psutil.wait_procs(workers, timeout=10)[1] == []
