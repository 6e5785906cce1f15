"""`checkout events` shows what is on the bus of a shop, also while the shop runs."""

import json
from pathlib import Path

import pytest

from checkout.bus.bus import Message
from checkout.bus.embedded import EmbeddedBus
from checkout.notices.planner import GROUP
from tests.checkout.playing import run_command, settings_file


async def test_a_dead_letter_is_shown_with_its_cause(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bus = await EmbeddedBus.open(str(tmp_path / "shop.db.events"))
    await bus.publish("sales", [Message(7, "[broken"), Message.of(9, [])])
    bad, _ = await bus.take("sales", GROUP, 10)
    await bus.bury("sales", GROUP, bad, "DecodeError: truncated")
    await bus.close()
    engine = {"path": str(tmp_path / "shop.db")}
    file = settings_file(tmp_path, engine=engine, notices={"webhook": "https://app.test/"})
    code, said = await run_command(capsys, "events", "--config", str(file), "--dead")
    assert code == 0
    assert said.splitlines() == [
        "sales: last message 9; notices: 1 left, 1 dead letters",
        "  7: DecodeError: truncated",
        "    [broken",
        "catalogue: last message 0; no group takes it",
    ]
    code, said = await run_command(capsys, "events", "--config", str(file), "--json")
    assert json.loads(said)[0]["dead"] == 1
    file = settings_file(tmp_path, engine=engine)
    assert "no group takes it" in (await run_command(capsys, "events", "--config", str(file)))[1]


@pytest.mark.parametrize("engine", [{}, {"kind": "postgres", "url": "postgresql://h/db"}])
async def test_a_bus_in_memory_is_no_other_process_business(
    engine: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error says which setting makes the bus visible."""
    code, said = await run_command(capsys, "events", "--config", str(settings_file(tmp_path, engine=engine)))
    assert (code, "events.path" in said) == (2, True)
