"""Steps of a runbook: read a metric, buy, run a command, wait until something holds."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from checkout.cli import main


async def metric(client: ClientSession, name: str, **labels: str) -> float | None:
    """Return a sample of the shop's `/metrics`, or None if there is none."""
    async with client.get("/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    for family in families:
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


async def until(holds: Callable[[], Awaitable[object]], what: str) -> None:
    """Wait until a condition holds, however busy the machine is."""
    try:
        async with asyncio.timeout(60):
            while not await holds():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"never: {what}") from None


async def until_metric(client: ClientSession, name: str, value: float, **labels: str) -> None:
    async def holds() -> bool:
        return await metric(client, name, **labels) == value

    await until(holds, f"{name}{labels} == {value}")


async def buy(client: ClientSession, user: str, card: str = "ok") -> int:
    """Buy in one step with a key of the user, so that a repetition is the same purchase. Return the status."""
    headers = {"X-Stanchion-Ticket": user, "Accept": "application/json", "Idempotency-Key": user}
    async with client.post("/checkout", json={"card": card}, headers=headers) as answer:
        await answer.read()
        return answer.status


async def run_command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run `checkout ARGUMENTS`. Return its exit code and what it printed."""
    capsys.readouterr()
    code = await asyncio.to_thread(main, list(arguments))
    said = capsys.readouterr()
    return code, said.out + said.err


async def preflight(
    capsys: pytest.CaptureFixture[str], file: Path, *more: str, skip: str = "payment,alerts"
) -> tuple[int, dict[str, set[str]], str]:
    """Run `checkout preflight launch --json`. Return its exit code, the verdicts by name, and the texts of no-gos."""
    code, out = await run_command(capsys, "preflight", "launch", "--config", str(file), "--skip", skip, "--json", *more)
    document = json.loads(out)
    assert document["go"] == (code == 0)
    verdicts: dict[str, set[str]] = {}
    for check in document["checks"]:
        verdicts.setdefault(check["name"], set()).add(check["verdict"])
    return code, verdicts, "\n".join(check["text"] for check in document["checks"] if check["verdict"] == "no-go")


def settings_file(folder: Path, **sections: Any) -> Path:
    file = folder / "preflight.yaml"
    file.write_text(yaml.safe_dump(sections))
    return file
