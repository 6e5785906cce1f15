"""The servers under test and the shop behind them: processes pinned to a core, stopped by their own ids."""

import base64
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from itsdangerous import Signer

from tests.bench.heads import ACCEPT_ENCODING, KEY
from tests.certificates import certificate
from tests.ports import free_port

PEERS = Path(__file__).parent / "peers"
ROOT = Path(__file__).parents[2]
#: `make compiled` puts the form compiled by mypyc here.
COMPILED = ROOT / "build" / "compiled"
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")

EDGE = """
listen:
  - "tcp://127.0.0.1:{port}"
  - {{url: "tls://127.0.0.1:{tls_port}", {certificate}}}
admin: {{listen: "tcp://127.0.0.1:0"}}
workers: {workers}
secret_keys_env: STANCHION_KEYS
upstream: {{url: "http://127.0.0.1:{origin}"}}
log: {{level: warning, access: none}}
rooms:
{rooms}
"""
ROOM = """
  - name: {name}
    match: {{paths: ["{path}"]}}
    capacity: {{admissions_per_second: {rate}, burst_seconds: 1.0}}
    session: {{duration_seconds: 36000, renew: false}}
"""


class Server:
    """One server. CPU time and memory of its processes come from /proc."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        port: int,
        core: int | str,
        folder: Path,
        children: int,
        root: Path = ROOT,
    ) -> None:
        """core: where it runs, as taskset has it. children: number of child processes that do the work; 0: the process
        itself. root: the code of the edge."""
        self.name, self.port = name, port
        self.tls_port = 0
        """Where it serves the same over TLS; 0 if it does not."""
        self._children = children
        self._log = (folder / f"{name}.log").open("wb")
        environment = os.environ | {"STANCHION_KEYS": KEY, "BENCH_PAGE": str(folder / "page"), "PYTHONPATH": str(root)}
        self._process = subprocess.Popen(
            ["taskset", "-c", str(core), *command], stdout=self._log, stderr=self._log, env=environment, cwd=root
        )
        self._wait_ready()

    def _wait_ready(self) -> None:
        for _ in range(200):
            time.sleep(0.1)
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended: {Path(self._log.name).read_text()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                continue
            if len(self._working()) == max(1, self._children):
                return
        raise RuntimeError(f"{self.name} is not ready: {Path(self._log.name).read_text()}")

    def _working(self) -> list[int]:
        if not self._children:
            return [self._process.pid]
        of = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(pid) for pid in of.read_text().split()]

    def cpu_s(self) -> float:
        """Return the CPU time of all its processes, including a supervisor."""
        pids = {self._process.pid, *self._working()}
        return sum(sum(map(int, _stat(pid)[11:13])) for pid in pids) / TICKS

    def resident_bytes(self) -> int:
        return sum(int(_stat(pid)[21]) * PAGE_SIZE for pid in self._working())

    def peak_bytes(self) -> list[int]:
        """Return the most memory that each working process has had."""
        status = [Path(f"/proc/{pid}/status").read_text() for pid in self._working()]
        return [int(text.partition("VmHWM:")[2].split()[0]) * 1024 for text in status]

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


class Servers:
    """Starts the servers in one folder. A context manager that stops them."""

    def __init__(self, folder: Path, core: int, load_core: int, python: str = sys.executable) -> None:
        self._folder, self._core, self._load_core, self._python = folder, core, load_core, python
        self._started: list[Server] = []
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        files = folder / "files" / "checkout"
        files.mkdir(parents=True, exist_ok=True)
        (files / "100k").write_bytes(b"y" * 102_400)
        self._certificate = certificate(folder, "bench", "localhost")
        self.origin_port = free_port()

    def __enter__(self) -> "Servers":
        self._start("origin", self._nginx("origin.conf", ORIGIN=self.origin_port), self.origin_port, self._load_core, 1)
        return self

    def __exit__(self, *_: object) -> None:
        for server in reversed(self._started):
            server.stop()

    def _start(
        self, name: str, command: Sequence[str], port: int, core: int, children: int, root: Path = ROOT
    ) -> Server:
        server = Server(name, command, port, core, self._folder, children, root)
        self._started.append(server)
        return server

    def edge(
        self, *, workers: int = 1, rate: float = 0.01, rooms: int = 1, name: str = "stanchion", root: Path = ROOT
    ) -> Server:
        """Start the edge as an operator would. rooms: number of rooms, of which the last is used."""
        port, tls_port = free_port(), free_port()
        others = [ROOM.format(name=f"other-{at}", path=f"/other-{at}/*", rate=1) for at in range(rooms - 1)]
        used = ROOM.format(name="checkout", path="/checkout*", rate=rate)
        file = self._folder / f"{name}.yaml"
        text = EDGE.format(
            port=port,
            tls_port=tls_port,
            certificate=self._certificate.setting,
            workers=workers,
            origin=self.origin_port,
            rooms="".join([*others, used]),
        )
        file.write_text(text)
        command = [self._python, "-m", "edge.cli", "run", str(file)]
        server = self._start(name, command, port, self._core, workers, root)
        server.tls_port = tls_port
        # The peers send the same page, with the same compression.
        accepts = {"Accept": "text/html", "Accept-Encoding": ACCEPT_ENCODING}
        page = urllib.request.Request(f"http://127.0.0.1:{port}/checkout", headers=accepts)
        for _ in range(3):  # the first visitor may be admitted
            with urllib.request.urlopen(page) as answer:
                body = answer.read()
        (self._folder / "page").write_bytes(body)
        return server

    def nginx_lua(self) -> Server:
        port, tls_port = free_port(), free_port()
        pair = self._certificate
        command = self._nginx(
            "nginx.conf", TLS_PORT=tls_port, PORT=port, CERTIFICATE=pair.certificate, CERTIFICATE_KEY=pair.key
        )
        server = self._start("nginx+lua", command, port, self._core, 1)
        server.tls_port = tls_port
        return server

    def idle_python(self) -> Server:
        """Start a Python server that decides nothing."""
        port = free_port()
        command = [self._python, str(PEERS / "uvloop_floor.py"), str(port)]
        return self._start("uvloop, nothing to decide", command, port, self._core, 0)

    def haproxy(self) -> Server:
        port = free_port()
        file = self._fill("haproxy.cfg", PORT=port, TICKET_KEY=_key(b"stanchion.ticket.v1"),
                          PASS_KEY=_key(b"stanchion.pass.v1"), PAGE=self._folder / "page")  # fmt: skip
        return self._start("haproxy", ["haproxy", "-db", "-f", str(file)], port, self._core, 0)

    def aiohttp(self) -> Server:
        port = free_port()
        command = [self._python, str(PEERS / "aiohttp_edge.py"), str(self.origin_port), str(port)]
        return self._start("aiohttp", command, port, self._core, 0)

    def _nginx(self, conf: str, **values: object) -> list[str]:
        command = ["nginx", "-e", str(self._folder / "start.err"), "-c", str(self._fill(conf, **values))]
        return [*command, "-g", "user root;"] if os.geteuid() == 0 else command

    def _fill(self, conf: str, **values: object) -> Path:
        text = (PEERS / conf).read_text()
        values |= {"FOLDER": self._folder, "PEERS": PEERS, "KILOBYTE": "x" * 1024, "ORIGIN": self.origin_port}
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        file = self._folder / conf
        file.write_text(text)
        return file


def _key(salt: bytes) -> str:
    signer = Signer([KEY.encode()], salt=salt, key_derivation="hmac", digest_method=hashlib.sha256)
    return base64.b64encode(signer.derive_key()).decode()


def missing() -> list[str]:
    """Return the Debian packages that the bench needs and that are not installed."""
    wanted = {"nginx": "nginx", "haproxy": "haproxy", "wrk": "wrk", "taskset": "util-linux", "cc": "gcc libc6-dev"}
    lacking = [package for program, package in wanted.items() if shutil.which(program) is None]
    if not Path("/usr/lib/nginx/modules/ngx_http_lua_module.so").exists():
        lacking.append("libnginx-mod-http-lua")
    return lacking
