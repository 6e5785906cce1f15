"""The audit of dependencies: a list that works without a network, and a service that may not answer."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from packaging.version import Version

from tests.audit import ROOT, allowed, ask_service, faults, installed, pinned, read_floors

FLOORS = read_floors((ROOT / "advisories.txt").read_text())


def test_no_installed_pinned_or_allowed_version_is_known_to_be_vulnerable():
    assert not faults(FLOORS, "installed", installed())
    assert not faults(FLOORS, "constraints.txt", pinned((ROOT / "constraints.txt").read_text()))
    assert not faults(FLOORS, "setup.cfg", allowed((ROOT / "setup.cfg").read_text()))


def test_every_production_dependency_is_in_the_list():
    assert {name.lower() for name, _ in allowed((ROOT / "setup.cfg").read_text())} <= FLOORS.keys()


def test_an_older_version_is_a_fault_that_names_its_advisories():
    found = faults(
        FLOORS, "here", [("Aiohttp", "3.9.1"), ("aiohttp", "3.14.4"), ("PyYAML", "5.3.1"), ("unknown", "0.1")]
    )
    assert len(found) == 2
    assert "CVE-2026-128131" in found[0]
    assert "CVE-2020-14343" in found[1]


def test_a_malformed_line_is_a_fault():
    assert read_floors("# a comment\n\na>=1.0  CVE-1\n") == {"a": (Version("1.0"), "CVE-1")}
    with pytest.raises(ValueError, match="a>1"):
        read_floors("a>1 CVE-1\n")


@contextmanager
def _service(answer: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert asked["queries"][0] == {"package": {"name": "a", "ecosystem": "PyPI"}, "version": "1"}
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_vulnerabilities_from_the_service_are_reported():
    with _service(b'{"results": [{"vulns": [{"id": "CVE-1"}, {"id": "CVE-2"}]}, {}]}') as url:
        assert ask_service([("a", "1"), ("b", "2")], url, 30.0) == ["osv.dev: a 1: CVE-1", "osv.dev: a 1: CVE-2"]


@pytest.mark.parametrize("answer", [b"", b"no JSON", b"{}", b'{"results": []}'])
def test_an_unreadable_response_counts_as_no_response(answer):
    with _service(answer) as url:
        assert ask_service([("a", "1")], url, 30.0) is None


def test_a_service_that_cannot_be_reached_yields_none():
    assert ask_service([("a", "1")], "http://127.0.0.1:9/", 30.0) is None
