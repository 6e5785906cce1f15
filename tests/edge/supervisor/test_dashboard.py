"""Sessions of the dashboard: a token is shown once, a change needs the CSRF token, a token that is gone ends them."""

import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge.supervisor.admin_tokens import AdminTokens
from edge.supervisor.dashboard_sessions import LIFETIME_S, MOST, Sessions
from tests.edge.running import wait_until
from tests.edge.whole import Edge, whole_edge

VIEW, OPERATE = "view-token-for-tests", "operate-token-for-tests"


class Browser:
    """Keeps cookies, as a browser does."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._jar = aiohttp.CookieJar(unsafe=True)
        self.csrf = ""

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession(cookie_jar=self._jar) as session,
            session.request(method, self._edge.running.admin + path, json=body, headers=headers) as answer,
        ):
            self.headers = answer.headers
            is_json = "json" in answer.content_type
            return answer.status, await answer.json(content_type=None) if is_json else await answer.text()

    async def sign_in(self, token: str) -> int:
        status, known = await self.ask("POST", "/v1/session", {"token": token})
        self.csrf = known.get("csrf", "")
        return status


async def test_an_operator_signs_in_changes_a_room_and_signs_out(tmp_path: Path):
    (tmp_path / "tokens").write_text(f"view viewer {VIEW}\noperate ann {OPERATE}\n")
    admin = {"listen": "tcp://127.0.0.1:0", "tokens_file": "tokens"}
    async with whole_edge(tmp_path, workers=1, admin=admin) as edge:
        ann, viewer, other = Browser(edge), Browser(edge), Browser(edge)
        status, page = await ann.ask("GET", "/")
        assert (status, "Stanchion" in page) == (200, True), "the page needs no token and holds no data"
        policy = ann.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        for path in ("/v1/session", "/v1/overview", "/v1/audit", "/v1/rooms/checkout/history"):
            assert (await ann.ask("GET", path))[0] == 401
        assert await ann.sign_in("x" * 20) == 401
        assert await ann.sign_in(OPERATE) == 200
        cookie = ann.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert OPERATE not in cookie

        status, overview = await ann.ask("GET", "/v1/overview")
        assert (status, overview["role"], overview["rooms"][0]["room"]) == (200, "operate", "checkout")
        hold, path = {"mode": "hold"}, "/v1/rooms/checkout"
        assert (await ann.ask("PATCH", path, hold))[0] == 401, "a change without the CSRF token"
        assert (await ann.ask("PATCH", path, hold, **{"X-CSRF-Token": ann.csrf.swapcase()}))[0] == 401
        assert (await ann.ask("PATCH", path, hold, **{"X-CSRF-Token": ann.csrf}))[0] == 200
        assert await viewer.sign_in(VIEW) == 200
        assert (await viewer.ask("PATCH", path, hold, **{"X-CSRF-Token": viewer.csrf}))[0] == 403
        assert (await other.ask("PATCH", path, hold, **{"X-CSRF-Token": ann.csrf}))[0] == 401

        _, audit = await viewer.ask("GET", "/v1/audit")
        assert audit["entries"][-1]["actor"] == "127.0.0.1, ann"
        assert (await viewer.ask("GET", "/v1/rooms/checkout/history?minutes=5"))[0] == 200
        for wrong in ("6", "x", "-5", "5" * 9):
            assert (await viewer.ask("GET", f"/v1/rooms/checkout/history?minutes={wrong}"))[0] == 400
        assert (await viewer.ask("GET", "/v1/rooms/nothing/history"))[0] == 404

        assert (await ann.ask("DELETE", "/v1/session"))[0] == 403, "another site must not sign anybody out"
        assert (await ann.ask("DELETE", "/v1/session", **{"X-CSRF-Token": ann.csrf}))[0] == 204
        assert (await ann.ask("GET", "/v1/overview"))[0] == 401

        (tmp_path / "tokens").write_text(f"operate ann {OPERATE}\n")
        edge.running.send(signal.SIGHUP)

        async def is_out() -> bool:
            return (await viewer.ask("GET", "/v1/overview"))[0] == 401

        await wait_until(is_out, "a token that was removed ends its sessions")
        assert VIEW not in edge.running.output.decode()


class Tokens(AdminTokens):
    def __init__(self) -> None:
        super().__init__()
        self.is_needed = False


def test_a_session_ends_and_their_number_is_bounded():
    now = [0.0]
    sessions = Sessions(Tokens(), lambda: now[0])
    first = sessions.begin("any")
    assert first is not None
    now[0] = LIFETIME_S - 1
    assert sessions.find(first[0]) is not None
    now[0] += LIFETIME_S - 1
    assert sessions.find(first[0]) is not None, "each request renews it"
    now[0] += LIFETIME_S
    assert sessions.find(first[0]) is None
    begun = [sessions.begin("any") for _ in range(MOST + 10)]
    cookies = [each[0] for each in begun if each is not None]
    assert sum(sessions.find(cookie) is not None for cookie in cookies) == MOST
    assert sessions.find(cookies[-1]) is not None


@pytest.mark.parametrize("csrf", ["", "x", "\udcff", "é"])
def test_a_wrong_csrf_token_is_refused(csrf: str):
    begun = Sessions(Tokens()).begin("any")
    assert begun is not None
    assert not Sessions.is_own(begun[1], csrf)
    assert Sessions.is_own(begun[1], begun[1].csrf)
