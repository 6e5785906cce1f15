"""Real servers for tests: Redis 7, PostgreSQL 15 and NATS from Debian, on free ports, with their own folders.

They end with the block. A service of the machine is never used. PostgreSQL refuses to run as root, so as root it runs
as `nobody`.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from redis import Redis
from redis.exceptions import RedisError

from tests.ports import free_port

#: Options for tests that kill at most processes: data in the page cache survives the death of a process.
NO_SYNC = ("fsync=off", "full_page_writes=off")
POSTGRES = Path("/usr/lib/postgresql/15/bin")
START_TRIES = 400


def cpu_s(pid: int) -> float:
    """Return the processor seconds of a process, of its live children, and of the children that it has waited for."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(sum(process.cpu_times()[:4]) for process in processes)


class RedisServer:
    """A Redis, by default with AOF, that can be killed and started again on the same data."""

    def __init__(self, *options: str) -> None:
        self.folder = tempfile.mkdtemp(prefix="shop-redis-")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder, "--save", ""]
        options += self._options or ("--appendonly", "yes", "--appendfsync", "always")
        self._process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        client = Redis.from_url(self.url)
        for _ in range(START_TRIES):
            with contextlib.suppress(RedisError):
                if client.ping():
                    break
            with contextlib.suppress(subprocess.TimeoutExpired):
                raise RuntimeError(f"redis ended with {self._process.wait(0.025)}")
        client.close()

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def cut(self, percent: float) -> int:
        """Cut a part of the append-only file from its end, as a torn disk does. The server must not run."""
        [file] = Path(self.folder, "appendonlydir").glob("*.incr.aof")
        size = file.stat().st_size
        lost = round(size * percent / 100)
        os.truncate(file, size - lost)
        return lost

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder)


class PostgresServer:
    """A PostgreSQL that can be killed with all its processes, and started again on the same data."""

    def __init__(self, *options: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="shop-pg-"))
        self.port = free_port()
        self.url = f"postgresql://shop@127.0.0.1:{self.port}/postgres"
        self._options = options
        self._user = pwd.getpwnam("nobody") if os.getuid() == 0 else None
        if self._user:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-A", "trust", "-U", "shop", "--no-sync", "-D", str(self.folder / "data")).wait()

    def _run(self, program: str, *args: str) -> "subprocess.Popen[bytes]":
        user = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []} if self._user else {}
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [POSTGRES / program, *args],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **user,  # type: ignore[call-overload]
            )

    def start(self) -> None:
        options = ["-D", str(self.folder / "data"), "-p", str(self.port), "-h", "127.0.0.1", "-k", ""]
        for option in ("max_wal_size=4GB", "autovacuum=off", *self._options):
            options += ["-c", option]
        self._process = self._run("postgres", *options)
        for _ in range(START_TRIES):
            if self._run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)).wait() == 0:
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.025)
                raise RuntimeError((self.folder / "log").read_text())

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def kill(self) -> None:
        """Kill every process of this server at the same time."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)  # first, so that it makes no further process
            children = psutil.Process(self._process.pid).children()
            for process in children:
                process.send_signal(signal.SIGSTOP)
            for process in (*children, self._process):
                process.kill()
            self._process.wait()
            psutil.wait_procs(children)  # the next server refuses to start while one of them has the shared memory
            self._process = None
            (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def save(self, name: str = "saved") -> None:
        """Keep a copy of the data. The server must not run."""
        self._copy("data", name)

    def restore(self, name: str = "saved") -> None:
        """Put the copy of the data in place of the data, as an operator restores a backup. The server must not run."""
        self._copy(name, "data")

    def _copy(self, source: str, target: str) -> None:
        shutil.rmtree(self.folder / target, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.folder / source), str(self.folder / target)], check=True)

    def remove(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
        shutil.rmtree(self.folder)


class NatsServer:
    """A NATS with JetStream that can be killed and started again on the same data."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="shop-nats-")
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["nats-server", "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", self.folder]
        with Path(self.folder, "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        for _ in range(START_TRIES):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                if probe.recv(4) == b"INFO":
                    return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.025)
                raise RuntimeError(Path(self.folder, "log").read_text())

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder)


@contextmanager
def nats_server() -> Iterator[NatsServer]:
    server = NatsServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    server = RedisServer(*options)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextmanager
def postgres_server(*options: str) -> Iterator[PostgresServer]:
    server = PostgresServer(*options)
    try:
        server.start()
        yield server
    finally:
        server.remove()
