"""The record and the report of real sales, against what independent clients observed from outside."""

import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import yaml

from controller.simulation.crowd import crowd
from controller.simulation.ideal import Capacity, fifo
from controller.simulation.measures import kendall
from edge.cli.demo.crowd import Crowd, CrowdPlan, Visit
from edge.cli.main import main
from edge.record.store import Note, read_segment, segments_of
from tests.edge.observed import BURST_S, CAPACITY, Shop
from tests.edge.running import RunningEdge, one_room, running_edge, running_upstream, wait_until
from tests.edge.whole import Visitor, whole_edge

pytestmark = pytest.mark.serial


def recorded_room(upstream: str, **record: Any) -> str:
    tree = yaml.safe_load(one_room(upstream, capacity={"admissions_per_second": CAPACITY, "burst_seconds": BURST_S}))
    return yaml.safe_dump({**tree, "record": {"folder": "record", **record}})


def observed(visits: list[Visit]) -> dict[str, float]:
    """Return the measures of a line as its clients saw it, by their own clock."""
    visits = sorted(visits, key=lambda visit: visit.arrived)
    begin = visits[0].arrived
    arrival = np.array([visit.arrived - begin for visit in visits])
    admitted = np.array([np.nan if visit.admitted is None else visit.admitted - begin for visit in visits])
    patience = np.array([np.inf if visit.left is None else visit.left - visit.arrived for visit in visits])
    ideal = fifo(crowd(arrival, patience), Capacity(((0.0, CAPACITY),), BURST_S))
    gap = np.abs(admitted - ideal)
    wait = admitted - arrival
    return {
        "came": len(visits),
        "got_in": float(np.sum(~np.isnan(admitted))),
        "kendall": kendall(arrival, admitted),
        "p99": float(np.nanpercentile(gap, 99)),
        "wait_p50": float(np.nanpercentile(wait, 50)),
        "wait_p90": float(np.nanpercentile(wait, 90)),
    }


def everything_in(record: Path) -> str:
    """Return all frames of a record as text, unpacked."""
    return "".join(repr(frame) for path in segments_of(record, "checkout") for frame in read_segment(path))


async def fetched(edge: RunningEdge, query: str) -> tuple[int, str, str]:
    url = f"{edge.admin}/v1/rooms/checkout/report?{query}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, answer.content_type, await answer.text()


async def test_the_report_agrees_with_what_the_clients_measured(tmp_path: Path) -> None:
    plan = CrowdPlan(rush=400, rush_s=4.0, total=400, impatient=0.2, patience_s=15.0, buy=False)
    shop = Shop()
    async with running_upstream(shop.handle) as upstream, running_edge(recorded_room(upstream), tmp_path) as edge:
        visits_of = Crowd(edge.url, "/checkout", plan, random.Random(7))
        await visits_of.play()
        seen = observed(visits_of.visits)
        report: dict[str, Any] = {}

        async def is_complete() -> bool:
            nonlocal report
            status, kind, text = await fetched(edge, "format=json")
            assert (status, kind) == (200, "application/json"), text
            report = json.loads(text)
            return bool(report["got_in"] == seen["got_in"])

        await wait_until(is_complete, "the record holds every admission")
        status, kind, page = await fetched(edge, "")
        assert (status, kind) == (200, "text/html")
        assert "first come, first served" in page
    print(f"outside: {seen}\nreport: Kendall {report['kendall']:.5f}, {report['displacement']}, {report['wait']}")
    assert report["came"] == seen["came"] == 400
    assert report["kendall"] == pytest.approx(seen["kendall"], rel=0.1, abs=0.002)
    assert report["displacement"]["p99"] == pytest.approx(seen["p99"], rel=0.1, abs=0.1)
    assert report["wait"]["p50"] == pytest.approx(seen["wait_p50"], rel=0.1, abs=0.1)
    assert report["wait"]["p90"] == pytest.approx(seen["wait_p90"], rel=0.1, abs=0.1)
    assert report["use"] > 0.9

    # When the edge ends, its workers tell which visitors they saw last, so it is known which ones left.
    assert main(["report", "checkout", "--record", str(tmp_path / "record"), "--json", "-o", str(tmp_path / "r")]) == 0
    last = json.loads((tmp_path / "r").read_text())
    assert (last["came"], last["got_in"], last["left"]) == (400, seen["got_in"], 400 - seen["got_in"])
    assert last["waiting"] == 0
    assert {node["came"] > 0 for node in last["nodes"]} == {True}
    assert "127.0.0.1" not in everything_in(tmp_path / "record")


async def test_what_operators_do_and_what_breaks_stands_in_the_record(tmp_path: Path) -> None:
    async with whole_edge(
        tmp_path, room={"capacity": {"admissions_per_second": 5.0}}, record={"folder": "rec"}
    ) as edge:
        visitor = Visitor(edge)
        await visitor.ask()
        async with aiohttp.ClientSession() as session:
            change = {"mode": "hold", "reason": "bank is down"}
            async with session.patch(f"{edge.running.admin}/v1/rooms/checkout", json=change) as answer:
                assert answer.status == 200
        victim, *_ = await edge.running.worker_pids()
        os.kill(victim, signal.SIGKILL)

        def notes() -> list[Note]:
            found = (frame for path in segments_of(tmp_path / "rec", "checkout") for frame in read_segment(path))
            return [frame for frame in found if isinstance(frame, Note)]

        async def is_noted() -> bool:
            said = notes()
            return any(n.kind == "audit" for n in said) and any(
                n.kind == "state" and any(restarts for _, _, restarts in n.values["nodes"]) for n in said
            )

        await wait_until(is_noted, "the change and the lost node are noted")
        [audit] = [note for note in notes() if note.kind == "audit"]
        assert audit.values["actor"] == "no token", "without the operator's address"
        assert audit.values["after"]["reason"] == "bank is down"
        held = next(note for note in notes() if note.kind == "state" and note.values["mode"] == "hold")
        assert abs(held.at_s - audit.at_s) < 0.5, "a change is noted when it happens"


async def test_without_a_record_the_report_says_so_and_a_full_disk_hurts_nobody(tmp_path: Path) -> None:
    async with whole_edge(tmp_path, record={"folder": "off"}) as edge:
        status, kind, text = await fetched(edge.running, "")
        assert (status, kind) == (404, "application/problem+json")
        assert "record.folder" in text
        status, _, text = await fetched(edge.running, "since=yesterday")
        assert status == 400
        assert "since: must be seconds" in text
    (tmp_path / "file").write_text("no folder")
    async with whole_edge(tmp_path, record={"folder": "file"}) as edge:
        assert (await Visitor(edge).ask())[0] == "admitted"

        async def is_counted() -> bool:
            return (await edge.metrics()).get('stanchion_record_dropped_total{reason="disk"}', 0) > 0

        await wait_until(is_counted, "dropped parts are counted")
        assert len(edge.said("the record cannot be written")) == 1
        assert (await Visitor(edge).ask())[0] == "admitted"
