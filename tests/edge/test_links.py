"""Invites and staff links over real sockets: two workers, the API and the command line."""

import asyncio
import contextlib
import csv
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from edge.cli.main import main
from tests.edge.running import RunningEdge, running_edge, running_upstream, wait_until
from tests.edge.test_lanes import Visitor
from tests.reliability.lanes import LANE, lanes_of

FIREFOX, SAFARI = "Mozilla/5.0 (X11; Linux) Firefox/130.0", "Mozilla/5.0 (iPhone) Safari/605"


class Shop:
    def __init__(self) -> None:
        self.heads: list[dict[str, str]] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.heads.append({**request.headers, "target": str(request.rel_url)})
        return web.Response(text="the shop")


@contextlib.asynccontextmanager
async def held_edge(
    folder: Path, shop: Shop | None = None, *, workers: int = 2, **room: Any
) -> AsyncIterator[RunningEdge]:
    """Run an edge with a room on hold, so that everybody waits unless they need not."""
    async with running_upstream((shop or Shop()).handle) as upstream:
        tree = {**lanes_of(upstream, **{"mode": "hold", **room}), "state_folder": str(folder / "state")}
        tree["workers"] = workers
        async with running_edge(yaml.safe_dump(tree), folder) as edge:
            yield edge


async def ask(edge: RunningEdge, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.request(method, edge.admin + path, json=body) as response:
        return response.status, await response.json(content_type=None)


async def make(edge: RunningEdge, kind: str = "invites", **wanted: Any) -> dict[str, Any]:
    wanted = {"lane": LANE, **wanted} if kind == "invites" else wanted
    status, made = await ask(edge, "POST", f"/v1/rooms/checkout/{kind}", wanted)
    assert status == 200, made
    return made


async def open_link(visitor: Visitor, token: str, name: str = "stanchion_invite") -> int:
    status, _ = await visitor.get(f"/checkout/x?a=1&{name}={token}&b=2")
    return status


async def wait_refused(visitor: Visitor, token: str) -> None:
    """Wait until an invite is refused, at each worker by chance."""

    async def is_refused() -> bool:
        return await open_link(visitor, token) == 410

    await wait_until(is_refused, "the invite to be refused")


async def test_an_invite_is_for_one_browser_and_puts_it_into_the_lane(tmp_path: Path) -> None:
    async with (
        held_edge(tmp_path) as edge,
        Visitor(edge, **{"User-Agent": FIREFOX}) as guest,
        Visitor(edge, **{"User-Agent": SAFARI}) as other,
    ):
        token = (await make(edge))["links"][0]["token"]
        await guest.get("/checkout")
        first_seen = guest.ticket.split(".")[3]
        url = f"{edge.url}/checkout/x?a=1&stanchion_invite={token}&b=2"
        async with guest.session.get(url, allow_redirects=False) as response:
            assert response.status == 303
            assert response.headers["Location"] == f"{edge.url}/checkout/x?a=1&b=2"
            assert response.headers["Cache-Control"] == "no-store"
        await guest.get("/checkout/x?a=1&b=2")
        assert guest.lane == LANE
        assert guest.ticket.split(".")[3] == first_seen
        assert await open_link(guest, token) == 303  # the same browser may open it again
        status, problem = await other.get(f"/checkout?stanchion_invite={token}")
        assert status == 410
        assert "another browser" in str(problem)
        await other.get("/checkout")
        assert other.lane == ""


async def test_a_preview_of_the_link_in_a_message_does_not_open_it(tmp_path: Path) -> None:
    shop = Shop()
    async with held_edge(tmp_path, shop, workers=1, mode="shadow") as edge:
        token = (await make(edge))["links"][0]["token"]
        for agent in ("WhatsApp/2.23.20", "Slackbot-LinkExpanding 1.0", "Googlebot/2.1", "facebookexternalhit/1.1"):
            async with Visitor(edge, **{"User-Agent": agent}) as program:
                assert await open_link(program, token) == 303
                assert not [each for each in program.session.cookie_jar if each.key == "stanchion-claim-checkout"]
        async with Visitor(edge, **{"User-Agent": FIREFOX}) as reader:
            url = f"{edge.url}/checkout?stanchion_invite={token}"
            async with reader.session.head(url, allow_redirects=False) as response:
                assert response.status == 303
            assert await open_link(reader, token) == 303
            assert [each for each in reader.session.cookie_jar if each.key == "stanchion-claim-checkout"]
        assert not any("stanchion_invite" in head["target"] for head in shop.heads)


async def test_of_many_browsers_at_once_only_as_many_as_the_invite_says_open_it(tmp_path: Path) -> None:
    async with held_edge(tmp_path) as edge, contextlib.AsyncExitStack() as stack:
        token = (await make(edge, uses=3))["links"][0]["token"]
        agents = [f"program-{number}/1.0" for number in range(24)]
        visitors = [await stack.enter_async_context(Visitor(edge, **{"User-Agent": agent})) for agent in agents]
        statuses = await asyncio.gather(*(open_link(visitor, token) for visitor in visitors))
        assert sorted(statuses) == [303] * 3 + [410] * 21


async def test_an_invite_that_was_opened_or_revoked_stays_so_over_a_crash(tmp_path: Path) -> None:
    async with held_edge(tmp_path, workers=1) as edge:
        opened, revoked = (await make(edge, count=2))["links"]
        token = opened["token"]
        async with Visitor(edge, **{"User-Agent": FIREFOX}) as guest:
            assert await open_link(guest, token) == 303
        kept = tmp_path / "state"

        async def is_kept() -> bool:
            return any("link-holders" in file.name for file in kept.rglob("*.json"))

        await wait_until(is_kept, "the state folder to have the holder")
        assert (await ask(edge, "DELETE", f"/v1/rooms/checkout/invites/{revoked['id']}"))[0] == 200
        edge.process.kill()
        await edge.wait_ended()
    async with held_edge(tmp_path, workers=1) as edge, Visitor(edge, **{"User-Agent": SAFARI}) as other:
        assert await open_link(other, token) == 410
        assert await open_link(other, revoked["token"]) == 410  # nobody had opened it


async def test_links_that_are_forged_expired_revoked_or_of_another_room_open_nothing(tmp_path: Path) -> None:
    async with held_edge(tmp_path) as edge, Visitor(edge, **{"User-Agent": FIREFOX}) as visitor:
        made = await make(edge, count=3, uses=0)
        first, second, third = (link["token"] for link in made["links"])
        assert await open_link(visitor, first[:-3] + "AAA") == 403
        assert await open_link(visitor, first, "stanchion_staff") == 403  # an invite is no staff link
        assert await open_link(visitor, "x" * 300) == 403
        assert await open_link(visitor, first) == 303
        await visitor.get("/checkout")
        assert visitor.lane == LANE
        status, revoked = await ask(edge, "DELETE", f"/v1/rooms/checkout/invites/{made['links'][1]['id']}")
        assert (status, revoked["revoked"]) == (200, made["links"][1]["id"])
        await wait_refused(visitor, second)
        assert await open_link(visitor, third) == 303
        assert (await ask(edge, "DELETE", f"/v1/rooms/checkout/invites/{made['batch']}"))[0] == 200
        await wait_refused(visitor, third)
        short = (await make(edge, expires_in_seconds=3.0, uses=0))["links"][0]["token"]
        assert await open_link(visitor, short) == 303
        [claim] = [each.value for each in visitor.session.cookie_jar if each.key == "stanchion-claim-checkout"]
        await wait_refused(visitor, short)
        async with Visitor(edge, **{"User-Agent": FIREFOX, "Cookie": f"stanchion-claim-checkout={claim}"}) as late:
            await late.get("/checkout")  # a client that keeps cookies for longer than it was told
            assert late.ticket
            assert late.lane == ""


async def test_a_staff_link_lets_in_without_an_admission_or_an_active_visitor(tmp_path: Path) -> None:
    shop = Shop()
    async with (
        held_edge(tmp_path, shop) as edge,
        Visitor(edge, **{"User-Agent": FIREFOX}) as staff,
        Visitor(edge, **{"User-Agent": SAFARI}) as thief,
    ):
        made = await make(edge, "staff-links", note="the camera team", url=f"{edge.url}/checkout#top")
        link = made["links"][0]
        assert link["url"] == f"{edge.url}/checkout?stanchion_staff={link['token']}#top"
        assert await open_link(staff, link["token"], "stanchion_staff") == 303
        for _ in range(3):
            assert await staff.get("/checkout/pay") == (200, "the shop")
        assert shop.heads[-1]["X-Stanchion-Ticket"] == f"staff-{link['id']}"
        assert not any("stanchion_staff" in head["target"] for head in shop.heads)
        cookie = next(each.value for each in staff.session.cookie_jar if each.key == "stanchion-staff-checkout")
        _, document = await thief.get("/checkout", Cookie=f"stanchion-staff-checkout={cookie}")
        assert isinstance(document, dict)
        assert document["state"] == "waiting"
        room = (await edge.status())["rooms"][0]
        assert (room["active"], room["admitted"]) == (0, 0)
        actions = [line["action"] for line in await edge.wait_logged("audit")]
        assert "make staff links" in actions
        await edge.wait_logged("a staff link was opened")
        assert not any(link["token"] in str(line) for line in edge.log)
        assert (await ask(edge, "DELETE", f"/v1/rooms/checkout/staff-links/{link['id']}"))[0] == 200

        async def waits() -> bool:
            return (await staff.get("/checkout"))[1] != "the shop"

        await wait_until(waits, "the staff link to be revoked")


REFUSED = [
    ("checkout/invites", {"lane": "nobody"}, 400),
    ("checkout/invites", {"lane": LANE, "count": 10_001}, 400),
    ("checkout/invites", {"lane": LANE, "uses": -1}, 400),
    ("checkout/invites", {"lane": LANE, "url": "javascript:alert(1)"}, 400),
    ("checkout/invites", {}, 400),
    ("nowhere/invites", {"lane": LANE}, 404),
    ("checkout/staff-links", {"lane": LANE}, 400),
    ("checkout/staff-links", {"expires_in_seconds": 1e9}, 400),
]


async def test_the_command_line_writes_invites_that_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with held_edge(tmp_path, workers=1) as edge, Visitor(edge, **{"User-Agent": FIREFOX}) as visitor:

        async def stanchion(*arguments: str) -> tuple[int, str, str]:
            code = await asyncio.to_thread(main, [*arguments, "--admin", edge.admin])
            said = capsys.readouterr()
            return code, said.out, said.err

        file = tmp_path / "invites.csv"
        options = ("--lane", LANE, "--count", "50", "--url", f"{edge.url}/checkout", "--csv", str(file))
        assert (await stanchion("invite", "make", "checkout", *options))[0] == 0
        assert file.stat().st_mode & 0o777 == 0o600
        rows = list(csv.DictReader(file.read_text().splitlines()))
        assert len({row["id"] for row in rows}) == 50
        async with visitor.session.get(rows[7]["url"], allow_redirects=False) as response:
            assert response.status == 303
        assert (await stanchion("invite", "revoke", "checkout", rows[0]["id"][:8]))[0] == 0
        await wait_refused(visitor, rows[7]["token"])
        code, out, _ = await stanchion("staff-link", "make", "checkout", "--valid", "2h", "--note", "press")
        assert (code, "batch" in out) == (0, True)
        code, _, err = await stanchion("invite", "make", "checkout")
        assert (code, "--lane" in err) == (2, True)
        for path, body, status in REFUSED:
            assert (await ask(edge, "POST", f"/v1/rooms/{path}", body))[0] == status, body
