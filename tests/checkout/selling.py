"""What the tests of stores that lie have in common: sell units, and ask the audit."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from checkout.cli import main
from checkout.values import Confirm, Done, Pay, Reserve


async def sell(engine: Any, first: int, count: int, sale: str = "launch") -> None:
    """Sell units to new users."""
    for number in range(first, first + count):
        hold = f"h{number}"
        commands = [Reserve(sale, f"u{number}", hold, f"k{number}", "f"), Pay(hold), Confirm(hold, f"ch{number}")]
        assert all(isinstance(outcome, Done) for outcome in await engine.apply(commands))


async def audit_rules(engine: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Return the rules of what `checkout audit` finds with these settings."""
    file = tmp_path / "audited.yaml"
    file.write_text(yaml.safe_dump({"engine": engine}))
    capsys.readouterr()
    code = await asyncio.to_thread(main, ["audit", "launch", "--config", str(file), "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert code == bool(rows)
    return {row["rule"] for row in rows}
