"""`checkout preflight` says go only if everything that it looked at is right, and else why not."""

import asyncio
import json
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from checkout.bank import Bank
from checkout.bank_client import bank_app
from checkout.cli import main
from checkout.preflight.check import Verdict, go, is_go, no_go, note, skipping
from checkout.preflight.command import NAMES
from checkout.preflight.shop import ALERTS
from tests.checkout.conftest import Serve
from tests.checkout.notices.mail import mail_server
from tests.checkout.playing import buy, preflight, run_command, settings_file, until_metric
from tests.checkout.servers import NO_SYNC, postgres_server, redis_server
from tests.checkout.shop_processes import serving_app
from tests.ports import free_port

AT_ONCE = ("--repl-diskless-sync-delay", "0")  # a replica need not wait for others
ROOT = Path(__file__).parents[2]


def test_one_no_go_is_enough_and_skip_takes_it_away() -> None:
    checks = [go("stock", ""), note("replicas", ""), no_go("alerts", "not looked at")]
    assert not is_go(checks)
    assert is_go(skipping(checks, ["alerts"]))
    assert not is_go(skipping(checks, ["stock"]))
    assert [check.verdict for check in skipping(checks, ["alerts"])][-1] is Verdict.SKIPPED


def test_the_alerts_are_those_of_the_rules() -> None:
    """The checklist asks Prometheus for exactly the alerts of the shop that the project ships."""
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yaml").read_text())
    names = {rule.get("alert", "") for group in rules["groups"] for rule in group["rules"]}
    assert {name for name in names if name.startswith("Shop")} == ALERTS


def prometheus_app(names: set[str], firing: str = "", seen: int = 1) -> web.Application:
    """The two addresses of Prometheus' API that the checklist reads."""

    async def rules(_request: web.Request) -> web.Response:
        rows = [{"name": name, "state": "firing" if name == firing else "inactive"} for name in names]
        return web.json_response({"data": {"groups": [{"rules": rows}]}})

    async def query(_request: web.Request) -> web.Response:
        return web.json_response({"data": {"result": [{}] * seen}})

    app = web.Application()
    app.router.add_get("/api/v1/rules", rules)
    app.router.add_get("/api/v1/query", query)
    return app


async def test_a_shop_that_is_ready_gets_a_go(serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything is looked at, nothing is skipped: a shop on a file with a bank, a mail server and Prometheus."""
    engine: dict[str, object] = {"path": str(tmp_path / "shop.db")}
    async with (
        serve(stock=5, engine=engine) as visit,
        serving_app(bank_app(Bank())) as bank,
        serving_app(prometheus_app(set(ALERTS))) as prometheus,
        mail_server() as (_, mail),
    ):
        await until_metric(visit.client, "shop_relay_behind", 0, topic="sales")
        notices = {"smtp": mail, "smtp_from": "shop@example.com", "smtp_security": "none"}
        file = settings_file(tmp_path, engine=engine, payment={"url": bank}, notices=notices)
        places = ("--url", visit.shop.url, "--prometheus", prometheus)
        code, verdicts, why = await preflight(capsys, file, *places, skip="")
        assert (code, why) == (0, "")
        assert verdicts.keys() == set(NAMES)
        assert "no-go" not in set.union(*verdicts.values())
        assert verdicts["alerts"] == verdicts["payment"] == verdicts["notices"] == {"go"}
        code, out = await run_command(capsys, "preflight", "launch", "--config", str(file), *places)
        assert (code, out.splitlines()[-1]) == (0, "launch: go")
        assert await buy(visit.client, "ada") == 201
        code, verdicts, _ = await preflight(capsys, file, *places)
        assert (code, verdicts["stock"]) == (0, {"go", "note"})


async def test_what_was_not_looked_at_is_a_no_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A checklist never says go about what it has not seen."""
    file = settings_file(tmp_path, engine={"path": str(tmp_path / "shop.db")})
    code, out = await run_command(capsys, "preflight", "launch", "--config", str(file))
    assert code == 1
    for text in ("no such file", "--url", "--prometheus", "test bank", "journal"):
        assert text in out
    assert "NO-GO" in out.splitlines()[-1]
    code, out = await run_command(capsys, "preflight", "launch", "--config", str(file), "--skip", "luck")
    assert (code, "no check luck" in out) == (2, True)


async def test_faults_of_alerts_bank_and_mail_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing alert, an alert that fires, a shop that Prometheus does not read, servers that do not answer."""
    nowhere = f"127.0.0.1:{free_port()}"
    notices = {"smtp": nowhere, "smtp_from": "shop@example.com"}
    file = settings_file(tmp_path, payment={"url": f"http://{nowhere}"}, notices=notices)
    async with serving_app(prometheus_app(ALERTS - {"ShopOversold"}, "ShopStoreDown", 0)) as prometheus:
        code, verdicts, why = await preflight(
            capsys, file, "--prometheus", prometheus, "--url", f"http://{nowhere}", skip=""
        )
    assert code == 1
    assert verdicts["alerts"] == verdicts["payment"] == verdicts["notices"] == verdicts["caches"] == {"no-go"}
    for text in ("missing alerts: ShopOversold", "these alerts fire: ShopStoreDown", "does not read a shop", nowhere):
        assert text in why


async def test_unsafe_servers_are_no_gos(serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A Redis that evicts, a PostgreSQL that does not sync, and one that is a replica. Replicas are counted."""
    with (
        redis_server(
            "--appendonly", "yes", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", *AT_ONCE
        ) as redis,
        postgres_server(*NO_SYNC) as postgres,
    ):
        engine: dict[str, Any] = {"kind": "redis", "url": redis.url, "orders_url": postgres.url}
        file = settings_file(tmp_path, engine=engine)
        async with serve(stock=5, engine=engine) as visit:
            code, verdicts, why = await preflight(capsys, file, "--url", visit.shop.url)
            assert (code, verdicts["stores"], verdicts["replicas"]) == (1, {"no-go"}, {"note"})
            assert "noeviction" in why
            assert "fsync is off" in why
            assert verdicts["clocks"] == {"go"}
            with redis_server("--replicaof", "127.0.0.1", str(redis.port)) as replica:

                async def follows() -> bool:
                    return (await preflight(capsys, file))[1]["replicas"] == {"go", "note"}

                async with asyncio.timeout(60):
                    while not await follows():
                        await asyncio.sleep(0.1)
                other = settings_file(tmp_path, engine={**engine, "url": replica.url})
                assert "is a replica" in (await preflight(capsys, other))[2]


async def test_a_wrong_clock_is_a_no_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a clock that is an hour ahead a shop would open its sale an hour early."""

    async def available(_request: web.Request) -> web.Response:
        date = formatdate(time.time() + 3600, usegmt=True)
        return web.json_response({}, headers={"Date": date})

    async def measured(_request: web.Request) -> web.Response:
        return web.Response(text="shop_bus_up 1\n")

    app = web.Application()
    app.router.add_get("/api/sales/launch/availability", available)
    app.router.add_get("/metrics", measured)
    async with serving_app(app) as url:
        _, verdicts, why = await preflight(capsys, settings_file(tmp_path), "--url", url)
    assert verdicts["clocks"] == {"no-go"}
    assert "differ by 3" in why


def test_json_names_every_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = settings_file(tmp_path)
    assert main(["preflight", "launch", "--config", str(file), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert {check["name"] for check in document["checks"]} <= set(NAMES)
    assert document["sale"] == "launch"
