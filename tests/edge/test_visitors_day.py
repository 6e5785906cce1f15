"""A visitor's day on a real edge of two workers: they leave, they move to a phone, they say that they are there."""

import re
from html import unescape
from pathlib import Path
from typing import Any

import aiohttp

from tests.edge.running import wait_until
from tests.edge.whole import Edge, Visitor, whole_edge

HTML = {"Accept": "text/html"}
SLOW: dict[str, Any] = {"capacity": {"admissions_per_second": 0.001, "burst_seconds": 1.0, "burst_floor": 1.0}}


class Browser:
    """Has cookies and a connection for every request, so that any worker may answer. It follows no redirection."""

    def __init__(self, edge: Edge, agent: str = "Mozilla/5.0 (X11; Linux) Firefox/130.0") -> None:
        self.edge = edge
        self.cookies: dict[str, str] = {}
        self.agent = agent

    async def ask(self, target: str, method: str = "GET", **fields: str) -> tuple[int, str, str]:
        """Return the status code, the `Location` or the state, and the body."""
        url, own = self.edge.running.url, "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = HTML | {"User-Agent": self.agent, "Connection": "close"} | ({"Cookie": own} if own else {}) | fields
        if method == "POST":
            sent |= {"Referer": f"{url}/checkout?item=7", "Origin": url} | fields
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(method, url + target, headers=sent, data=b"", allow_redirects=False) as answer,
        ):
            body = await answer.text()
            for line in answer.headers.getall("Set-Cookie", []):
                name, _, value = line.partition(";")[0].partition("=")
                self.cookies[name] = value
            return answer.status, answer.headers.get("Location") or answer.headers.get("Stanchion-State", ""), body


async def fill(edge: Edge) -> None:
    """Let visitors come until some wait at both workers."""
    waiting = 0
    while waiting < 8:
        waiting += (await Visitor(edge).ask())[0] == "waiting"


def view(body: str) -> str:
    found = re.search(r'data-view="(\w+)"', body)
    return found[1] if found else body


async def test_a_visitor_leaves_and_moves_over_real_connections(tmp_path: Path) -> None:
    async with whole_edge(tmp_path, workers=2, room=SLOW) as edge:
        await fill(edge)
        waits = Browser(edge)
        assert view((await waits.ask("/checkout?item=7"))[2]) == "waiting"
        code, _, page = await waits.ask("/_stanchion/transfer?room=checkout", "POST")
        link = unescape(re.findall(r'<a href="https?://[^/]+(/_stanchion/move[^"]+)"', page)[0])
        assert code == 200
        phone = Browser(edge, "Mozilla/5.0 (iPhone) Safari/605.1")
        assert (await phone.ask(link))[0] == 200
        assert phone.cookies == {}
        assert (await phone.ask(link, "POST"))[:2] == (303, "/checkout?item=7")
        for _ in range(4):
            assert view((await phone.ask("/checkout?item=7"))[2]) == "waiting"
            assert view((await waits.ask("/checkout?item=7"))[2]) == "moved"
        thief = Browser(edge, "Mozilla/5.0 (Windows) Edg/130.0")
        assert (await thief.ask(link, "POST"))[0] == 410
        assert (await phone.ask("/_stanchion/leave?room=checkout", "POST", Origin="https://evil.example"))[0] == 403
        assert (await phone.ask("/_stanchion/leave?room=checkout", "POST"))[0] == 200
        assert (await phone.ask("/_stanchion/leave?room=checkout&sure=1", "POST"))[:2] == (303, "/checkout?item=7")
        for _ in range(4):
            assert view((await phone.ask("/checkout?item=7"))[2]) == "left"
        await phone.ask("/_stanchion/join?room=checkout", "POST")
        assert view((await phone.ask("/checkout?item=7"))[2]) == "waiting"


async def test_a_visitor_takes_their_turn_over_real_connections(tmp_path: Path) -> None:
    room = {"capacity": {"admissions_per_second": 2.0}, "session": {"presence_seconds": 10.0}}
    async with whole_edge(tmp_path, workers=2, room=room) as edge:
        await fill(edge)
        waits = Browser(edge)

        async def has_turn() -> bool:
            return view((await waits.ask("/checkout?item=7"))[2]) == "turn"

        async def is_inside() -> bool:
            await waits.ask("/_stanchion/here?room=checkout", "POST")
            return (await waits.ask("/checkout?item=7"))[2] == "the shop"

        await wait_until(has_turn, "it is the visitor's turn")
        await wait_until(is_inside, "a click lets the visitor in")
