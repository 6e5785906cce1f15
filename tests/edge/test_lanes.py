"""A room with lanes over real sockets: two workers, and each way into a lane."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from edge.cli.report.figures import figures_of
from edge.cli.report.reading import read_record, segments_in
from tests.edge.running import RunningEdge, running_edge, running_upstream, wait_until
from tests.reliability.lanes import CAPACITY, FIELD, LANE, lanes_of, play


async def shop(request: web.BaseRequest) -> web.StreamResponse:
    """Answer every request; /login says that the visitor is a member, /login/NAME that they are in this lane."""
    lanes = {"/login": LANE, "/logout": "general", "/login/unknown": "nobody", "/login/broken": "a lane; Path=/"}
    said = lanes.get(request.path)
    return web.Response(text="the shop", headers={"Stanchion-Lane": said} if said else {})


class Visitor:
    def __init__(self, edge: RunningEdge, **headers: str) -> None:
        self.edge = edge
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), headers=headers)

    async def __aenter__(self) -> "Visitor":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def get(self, path: str, **headers: str) -> tuple[int, dict[str, Any] | str]:
        accept = {"Accept": "application/json", **headers}
        async with self.session.get(self.edge.url + path, headers=accept, allow_redirects=False) as response:
            is_document = response.content_type == "application/json"
            return response.status, await (response.json() if is_document else response.text())

    async def poll_as_asked(self, document: dict[str, Any] | str) -> None:
        """Keep every appointment, from that of this document on, until cancelled."""
        while True:
            assert isinstance(document, dict)
            await asyncio.sleep(document["poll_after_seconds"])
            _, document = await self.get("/_stanchion/status?room=checkout")

    @property
    def ticket(self) -> str:
        return next((str(each.value) for each in self.session.cookie_jar if each.key == "stanchion_checkout"), "")

    @property
    def lane(self) -> str:
        return self.ticket.split(".")[2].partition("~l")[2].partition("~")[0]


async def test_shares_hold_while_both_lanes_are_full(tmp_path: Path) -> None:
    got = await play(tmp_path, members=75, others=170, settle_s=2.0, seconds=6.0)
    assert got.share == pytest.approx(0.3, abs=0.06), str(got)
    assert got.use >= 0.6, str(got)
    assert max(got.disorder(0), got.disorder(1)) <= 0.06, str(got)
    # The report says the same of each lane.
    general, named = figures_of(read_record(segments_in([tmp_path / "record"], "checkout"), "checkout")).lanes
    assert [(lane.name, lane.share, lane.came) for lane in (general, named)] == [
        ("general", 70.0, 170),
        (LANE, 30.0, 75),
    ]
    for lane, arrivals in ((named, got.arrivals[0]), (general, got.arrivals[1])):
        # The edge may have admitted visitors that did not hear of it before the end of the play.
        assert len(arrivals) <= lane.got_in <= len(arrivals) + 10
        assert lane.kendall <= 0.06


async def test_a_visitor_gets_into_a_lane_by_proxy_or_shop_and_keeps_the_arrival(tmp_path: Path) -> None:
    async with (
        running_upstream(shop) as upstream,
        running_edge(yaml.safe_dump(lanes_of(upstream, mode="hold")), tmp_path) as edge,
        Visitor(edge) as plain,
        Visitor(edge, **{FIELD: "gold"}) as member,
        Visitor(edge, **{FIELD: "silver"}) as other,
    ):
        for visitor in (plain, member, other):
            assert (await visitor.get("/checkout"))[0] == 200
        assert (plain.lane, member.lane, other.lane) == ("", LANE, "")
        # The field is needed once: the ticket carries the lane.
        member.session.headers.popall(FIELD)
        for _ in range(3):
            await member.get("/checkout")
        assert member.lane == LANE
        # The shop's word moves a visitor that waits already.
        first_seen = plain.ticket.split(".")[3]
        assert await plain.get("/login/unknown") == (200, "the shop")
        await plain.get("/checkout")
        assert plain.lane == ""
        assert await plain.get("/login/broken") == (200, "the shop")
        assert await plain.get("/login") == (200, "the shop")
        status, document = await plain.get("/_stanchion/status?room=checkout")
        assert status == 200
        assert isinstance(document, dict)
        assert document["state"] == "waiting"
        assert plain.lane == LANE
        assert plain.ticket.split(".")[3] == first_seen
        assert "stanchion-claim" in {each.key for each in plain.session.cookie_jar}
        assert await plain.get("/logout") == (200, "the shop")
        assert "stanchion-claim" not in {each.key for each in plain.session.cookie_jar}


async def test_visitors_that_poll_as_asked_are_counted_in_their_lanes(tmp_path: Path) -> None:
    """One of them changes lanes while they wait. A visitor that polls faster than asked would not be sure to count."""
    async with (
        running_upstream(shop) as upstream,
        running_edge(yaml.safe_dump(lanes_of(upstream, mode="hold")), tmp_path) as edge,
        Visitor(edge) as plain,
        Visitor(edge) as moved,
        Visitor(edge, **{FIELD: "gold"}) as member,
    ):
        crowd = (plain, moved, member)
        documents = [(await each.get("/checkout"))[1] for each in crowd]
        assert await moved.get("/login") == (200, "the shop")

        async def are_counted() -> bool:
            lanes = (await edge.status())["rooms"][0]["lanes"]
            return [lane["waiting"] for lane in lanes] == [1, 2]

        polling = [asyncio.create_task(each.poll_as_asked(told)) for each, told in zip(crowd, documents, strict=True)]
        try:
            await wait_until(are_counted, "all visitors to be counted in their lanes")
        finally:
            for each in polling:
                each.cancel()
            await asyncio.wait(polling)
        assert (plain.lane, moved.lane, member.lane) == ("", LANE, LANE)
        room = (await edge.status())["rooms"][0]
        assert [(lane["lane"], lane["share"]) for lane in room["lanes"]] == [("general", 70.0), (LANE, 30.0)]


async def test_a_claim_of_another_browser_or_an_untrusted_sender_is_no_lane(tmp_path: Path) -> None:
    async with running_upstream(shop) as upstream:
        tree = {**lanes_of(upstream, mode="hold"), "trusted_proxies": []}
        async with (
            running_edge(yaml.safe_dump(tree), tmp_path) as edge,
            Visitor(edge, **{"User-Agent": "Mozilla/5.0 (X11; Linux) Firefox/130.0"}) as first,
            Visitor(edge, **{"User-Agent": "Mozilla/5.0 (iPhone) Safari/605"}) as thief,
            Visitor(edge, **{FIELD: "gold"}) as liar,
        ):
            await liar.get("/checkout")
            assert liar.lane == ""
            await first.get("/login")
            claim = next(each for each in first.session.cookie_jar if each.key == "stanchion-claim")
            await first.get("/checkout")
            assert first.lane == LANE
            await thief.get("/checkout", Cookie=f"stanchion-claim={claim.value}")
            assert thief.lane == ""
            await liar.get("/checkout", Cookie=f"stanchion-claim={claim.value[:-4]}AAAA")
            assert liar.lane == ""


async def test_a_reload_that_opens_the_room_admits_both_lanes(tmp_path: Path) -> None:
    async with (
        running_upstream(shop) as upstream,
        running_edge(yaml.safe_dump(lanes_of(upstream, mode="hold")), tmp_path) as edge,
        Visitor(edge, **{FIELD: "gold"}) as member,
        Visitor(edge) as plain,
    ):
        await member.get("/checkout")
        await plain.get("/checkout")
        edge.file.write_text(yaml.safe_dump(lanes_of(upstream)))
        edge.send(signal.SIGHUP)

        async def both_are_in() -> bool:
            return all([(await each.get("/checkout")) == (200, "the shop") for each in (member, plain)])

        await wait_until(both_are_in, "both to be admitted")

        async def have_their_shares() -> bool:
            """While one lane waits alone, it plans with the part of the other as well."""
            lanes = (await edge.status())["rooms"][0]["lanes"]
            return [lane["admissions_per_second"] for lane in lanes] == pytest.approx([0.7 * CAPACITY, 0.3 * CAPACITY])

        await wait_until(have_their_shares, "each lane to have its share of the capacity, and no more")
