"""Alerts, dashboards and runbooks: checked by promtool, by a real Prometheus that watches a real edge, and against
each other."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from tests.deploy.tools import need
from tests.edge.observed import Shop
from tests.edge.running import RunningEdge, one_room, running_edge, running_upstream, wait_until
from tests.ports import free_port

HERE = Path(__file__).parents[2]
DEPLOY = HERE / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text("utf-8"))
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]
RUNBOOKS = (HERE / "docs" / "runbooks.md").read_text("utf-8")
PACKAGE = "apt-get install prometheus"
#: Runbook entries without an alert: another entry leads to it.
WITHOUT_ALERT = {"the-shop-does-not-know-its-stock"}


def anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def expressions() -> list[tuple[str, str]]:
    """Return every expression of the dashboards and the rules, with the place that it stands in."""
    found = [
        (f"rules.yaml: {rule.get('alert') or rule['record']}", rule["expr"])
        for group in RULES["groups"]
        for rule in group["rules"]
    ]
    for file in sorted((DEPLOY / "grafana").glob("*.json")):
        for panel in json.loads(file.read_text("utf-8"))["panels"]:
            place = f"{file.name}: {panel['title']}"
            found += [(place, target["expr"].replace("$room", ".*")) for target in panel["targets"]]
    return found


def test_every_alert_has_a_runbook_entry_and_every_entry_names_its_alerts():
    entries = {anchor(title) for title in re.findall(r"^## (.+)$", RUNBOOKS, re.M)}
    table = re.findall(r"^\|.*\]\(#([\w-]+)\) \|(.*)\|$", RUNBOOKS, re.M)
    named = {entry: set(re.findall(r"`(\w+)`", alerts)) for entry, alerts in table}
    linked: dict[str, set[str]] = {entry: set() for entry in entries}
    for alert in ALERTS:
        path, _, entry = alert["annotations"]["runbook"].partition("#")
        assert path == "docs/runbooks.md"
        assert entry in entries, alert["alert"]
        linked[entry].add(alert["alert"])
    assert named == linked
    assert {entry for entry, alerts in linked.items() if not alerts} == WITHOUT_ALERT


def test_every_alert_says_what_is_wrong_and_how_urgent_it_is():
    names = [alert["alert"] for alert in ALERTS]
    assert len(names) == len(set(names)) == 25
    for alert in ALERTS:
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert alert["annotations"]["summary"].endswith("."), alert["alert"]


def test_the_rules_pass_promtool_and_their_own_tests():
    """Each alert fires when it should, and none fires on a quiet day or a night without a visitor."""
    promtool = need("promtool", PACKAGE)
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "rules_test.yaml"]):
        ended = subprocess.run(
            [promtool, *command], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False, timeout=120
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_alert_is_tested_to_be_quiet_and_to_fire():
    tests = yaml.safe_load((DEPLOY / "prometheus" / "rules_test.yaml").read_text("utf-8"))["tests"]
    [everything] = [test for test in tests if test["name"] == "everything fails"]
    assert everything["promql_expr_test"][0]["exp_samples"][0]["value"] == len(ALERTS)
    quiet = {each["alertname"] for each in tests[0]["alert_rule_test"]}
    assert quiet == {alert["alert"] for alert in ALERTS}


def test_prometheus_accepts_its_settings(tmp_path: Path):
    promtool = need("promtool", PACKAGE)
    text = (DEPLOY / "prometheus" / "prometheus.yaml").read_text("utf-8")
    (tmp_path / "token").write_text("x")
    (tmp_path / "prometheus.yaml").write_text(text.replace("/etc/prometheus/admin-token", str(tmp_path / "token")))
    (tmp_path / "rules.yaml").write_text((DEPLOY / "prometheus" / "rules.yaml").read_text("utf-8"))
    ended = subprocess.run(
        [promtool, "check", "config", str(tmp_path / "prometheus.yaml")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_alertmanager_accepts_its_example():
    amtool = need("amtool", "apt-get install prometheus-alertmanager")
    ended = subprocess.run(
        [amtool, "check-config", str(DEPLOY / "prometheus" / "alertmanager.yaml")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_dashboards_are_those_that_the_program_writes():
    made = subprocess.run(
        [sys.executable, "-c", "import json, make; print(json.dumps(make.files()))"],
        cwd=DEPLOY / "grafana", capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    for name, text in json.loads(made.stdout).items():
        assert (DEPLOY / "grafana" / name).read_text("utf-8") == text, "run python deploy/grafana/make.py"


@pytest.mark.parametrize("name", ["operator", "engineer"])
def test_the_panels_of_a_dashboard_do_not_overlap(name: str):
    panels = json.loads((DEPLOY / "grafana" / f"{name}.json").read_text("utf-8"))["panels"]
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not own & cells, panel["title"]
        assert max(x for x, _ in own) < 24
        cells |= own
    assert len({panel["id"] for panel in panels}) == len(panels)


@asynccontextmanager
async def prometheus(edge: RunningEdge, folder: Path) -> AsyncIterator[str]:
    """Run a Prometheus that reads an edge every second by the project's rules; yield its address."""
    program, port = need("prometheus", PACKAGE), free_port()
    (folder / "rules.yaml").write_text((DEPLOY / "prometheus" / "rules.yaml").read_text("utf-8"))
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {"job_name": "stanchion", "static_configs": [{"targets": [edge.admin.removeprefix("http://")]}]}
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings))
    process = await asyncio.create_subprocess_exec(
        *(program, f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"),
        f"--web.listen-address=127.0.0.1:{port}",
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


def observed_settings(upstream: str) -> str:
    """Return settings with which every panel has something to show: the edge asks the shop whether it is well."""
    tree = yaml.safe_load(one_room(upstream, capacity={"admissions_per_second": 2, "adaptive": {"enabled": True}}))
    tree["upstream"]["health"] = {"path": "/", "interval_seconds": 1}
    return yaml.safe_dump(tree)


#: Metrics that this edge does not have: one machine hears no other.
ELSEWHERE = ("stanchion_redis_",)
TRIES = 40


async def test_every_expression_is_answered_by_a_prometheus_that_watches_an_edge(tmp_path: Path):
    """No expression is refused, and every panel of what this edge has shows something."""
    need("prometheus", PACKAGE)
    shop = Shop()

    async def answer_all(request: web.BaseRequest) -> web.Response:
        """Answer the edge's question whether the shop is well, which has no ticket, and visitors."""
        return web.Response(text="well") if request.path == "/" else await shop.handle(request)

    async with (
        running_upstream(answer_all) as upstream,
        running_edge(observed_settings(upstream), tmp_path) as edge,
        prometheus(edge, tmp_path) as address,
        aiohttp.ClientSession() as session,
    ):

        async def ask(expression: str) -> dict[str, Any]:
            async with session.get(f"{address}/api/v1/query", params={"query": expression}) as answer:
                found: dict[str, Any] = await answer.json()
                return found

        async def knows_the_edge() -> bool:
            for _ in range(3):
                async with session.get(f"{edge.url}/checkout", headers={"Accept": "application/json"}):
                    pass
            try:
                polls = await ask("sum(rate(stanchion_polls_total[1m])) > 0 and sum(stanchion_waiting_visitors) > 0")
            except aiohttp.ClientError:
                return False
            return bool(polls["data"]["result"])

        await wait_until(knows_the_edge, "Prometheus has read the edge twice")

        async def look() -> tuple[list[Any], list[tuple[str, str]]]:
            """Return the expressions that Prometheus refuses, and the panels that show nothing."""
            refused, empty = list[Any](), list[tuple[str, str]]()
            for place, expression in expressions():
                answer = await ask(expression)
                if answer["status"] != "success":
                    refused.append((place, answer))
                # An alert is empty while all is well. A panel is not.
                elif not (answer["data"]["result"] or any(name in expression for name in ELSEWHERE)):
                    empty += [(place, expression)] if ".json: " in place else []
            return refused, empty

        refused, empty = await look()
        for _ in range(TRIES):  # a rate needs two readings of each of its counters, also of those that came later
            if refused or not empty:
                break
            await wait_until(knows_the_edge, "Prometheus has read the edge again")
            await asyncio.sleep(0.5)
            refused, empty = await look()
    assert refused == []
    assert empty == []


def test_every_metric_and_label_in_an_expression_exists():
    """Names and labels are those of docs/operating.md, which another test holds to the code."""
    table = re.findall(r"^\| `(stanchion_\w+)` \|([^|]*)\|", (HERE / "docs" / "operating.md").read_text("utf-8"), re.M)
    labels = {name: set(re.findall(r"`(\w+)`", text)) for name, text in table}
    for place, expression in expressions():
        for name, selector in re.findall(r"(?<![:\w])(stanchion_\w+)(\{[^}]*\})?", expression):
            base = re.sub(r"_(bucket|count|sum)$", "", name)
            known = labels.get(name, labels.get(base))
            assert known is not None, f"{place}: there is no metric {name}"
            used = set(re.findall(r"(\w+)[=!]", selector)) - {"instance", "job", "le"}
            assert used <= known, f"{place}: {name} has no label {used - known}"
