"""The shop's metrics: docs/shop.md names each one, and every alert asks for metrics and labels that exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.checkout.conftest import Serve, Visit
from tests.checkout.servers import NO_SYNC, postgres_server, redis_server

ROOT = Path(__file__).parents[2]


async def names_and_labels(visit: Visit) -> dict[str, set[str]]:
    async with visit.client.get("/metrics") as answer:
        families = list(text_string_to_metric_families(await answer.text()))
    found: dict[str, set[str]] = {}
    for family in families:
        suffix = "_total" if family.type == "counter" else ""
        labels = found.setdefault(f"{family.name}{suffix}", set())
        for sample in family.samples:
            labels |= sample.labels.keys()
    return found


async def test_the_page_names_every_metric_with_its_labels(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shop with every part: stock in Redis, notices by a webhook. Alerts use only what it has."""
    monkeypatch.setenv("CHECKOUT_WEBHOOK_SECRET", "a secret of the webhook")
    page = (ROOT / "docs" / "shop.md").read_text()
    table = re.findall(r"^\| ((?:`shop_\w+`(?:, )?)+) \|([^|]*)\|", page, re.M)
    described = {
        name: set(re.findall(r"`(\w+)`", labels)) for names, labels in table for name in re.findall(r"`(\w+)`", names)
    }
    with redis_server() as redis, postgres_server(*NO_SYNC) as postgres:
        engine: dict[str, Any] = {"kind": "redis", "url": redis.url, "orders_url": postgres.url}
        notices: dict[str, object] = {"webhook": "http://127.0.0.1:9/", "path": str(tmp_path / "notices.db")}
        async with serve(engine=engine, sections={"notices": notices}) as visit:
            found = await names_and_labels(visit)
    assert found.keys() == described.keys()
    assert {name: labels for name, labels in found.items() if not labels <= described[name]} == {}
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yaml").read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        for name, selector in re.findall(r"(?<!\w)(shop_\w+)(\{[^}]*\})?", rule["expr"]):
            assert set(re.findall(r"(\w+)[=!]", selector)) <= described[name], rule
