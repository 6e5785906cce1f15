"""No target reaches a real Node, Java or PHP server as a room's path unless the edge takes it for one."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.support.path_readings import readings
from edge.support.paths import PathSet

SERVERS = Path(__file__).parent / "readers"
ROOM = PathSet(["/checkout*"])
#: Ways around a room that were reported for one server or another.
KNOWN = (
    *("//x/checkout", "///x/checkout", "////x/checkout", "/\\x/checkout", "\\\\x/checkout", "//x:80/checkout"),
    *(
        "//user@x/checkout",
        "//x\\checkout",
        "/.//x/checkout",
        "/a/..//x/checkout",
        "/%2e//x/checkout",
        "//x/%63heckout",
    ),
    *("/./checkout", "/a/../checkout", "/a/%2e%2e/checkout", "/a/.%2E/checkout", "/a\\..\\checkout", "/;/../checkout"),
    *(
        "/check%6Fut",
        "/%2563heckout",
        "/checkout%2f",
        "/checkout%5c",
        "/checkout%3fx",
        "/checkout;x=1",
        "/checkout%3bx",
    ),
    *(
        "/index.php/checkout",
        "/router.php/checkout",
        "/a.php//checkout",
        "/%2f/checkout",
        "/%5cx/checkout",
        "//%2e/checkout",
    ),
    *("//x//checkout", "//x/y/../checkout", "///checkout", "//checkout", "/\\checkout", "/x/..;/checkout"),
)
PIECES = (
    "checkout",
    "x",
    "a.b",
    "..",
    ".",
    "%2e%2e",
    "%2f",
    "%5c",
    "/",
    "//",
    "\\",
    ";",
    ";x=1",
    "%3f",
    "?",
    "%63",
    "@",
    ":80",
    "",
)
TARGETS = st.lists(st.sampled_from(PIECES), max_size=7).map(lambda pieces: "/" + "".join(pieces) + "/checkout")


def is_checkout(path: str) -> bool:
    """What a router of the shop takes for the checkout, whatever the case and slashes."""
    plain = "/" + "/".join(part for part in path.lower().split("/") if part)
    return plain == "/checkout" or plain.startswith("/checkout/")


class Reader:
    """A real server that answers with the paths it reads."""

    def __init__(self, command: list[str], port: int | None = None) -> None:
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if port is None:
            assert self.process.stdout is not None
            port = int(self.process.stdout.readline())
        self.port = port

    def paths(self, target: str) -> list[str] | None:
        """The paths it reads; None if it refuses the target."""
        request = f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode("latin-1")
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(request)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            return None
        if b"chunked" in head.lower():
            body = body.split(b"\r\n", 1)[1].rsplit(b"\r\n0\r\n", 1)[0]
        return [str(path) for path in json.loads(body)]

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture(scope="module", params=["node", "java", "php"])
def reader(request: pytest.FixtureRequest) -> Iterator[Reader]:
    """The servers that are installed."""
    name = request.param
    if shutil.which(name) is None or (name == "java" and shutil.which("javac") is None):
        pytest.skip(f"{name} is not installed")
    if name == "node":
        found = Reader(["node", str(SERVERS / "server.js")])
    elif name == "java":
        found = Reader(["java", str(SERVERS / "Server.java")])
    else:
        port = free_port()
        found = Reader(["php", "-S", f"127.0.0.1:{port}", str(SERVERS / "router.php")], port)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
    yield found
    found.stop()


def check(reader: Reader, target: str) -> None:
    read = reader.paths(target)
    if read is None or not any(is_checkout(path) for path in read):
        return
    forms = readings(target.partition("?")[0])
    assert not forms or any(ROOM.covers(form) for form in forms), (target, read, forms)


@pytest.mark.parametrize("target", KNOWN)
def test_no_known_spelling_walks_around_the_room(reader: Reader, target: str) -> None:
    check(reader, target)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(target=TARGETS)
def test_no_spelling_walks_around_the_room(reader: Reader, target: str) -> None:
    check(reader, target)
