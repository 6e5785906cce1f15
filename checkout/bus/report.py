"""What `checkout events` shows: each topic with its groups."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from checkout.bus.bus import Bus, DeadLetter
from checkout.bus.opening import SALES, open_bus
from checkout.errors import ConfigurationError
from checkout.notices.planner import GROUP
from checkout.settings import ShopSettings

GROUPS = ((SALES, GROUP),)


@dataclass(frozen=True, slots=True)
class GroupReport:
    """A group of a topic. last: the number of the topic's last message, 0 if it has none."""

    topic: str
    last: int
    group: str
    lag: int
    dead: int
    letters: list[DeadLetter]


async def read_events(settings: ShopSettings, *, with_letters: bool = False) -> list[GroupReport]:
    """Return the groups of the shop. Raises `BusError` and `ConfigurationError`."""
    rows = []
    async with _opened(settings) as bus:
        for topic, group in GROUPS:
            last, state = await bus.last(topic), await bus.state(topic, group)
            letters = await bus.dead_letters(topic, group) if with_letters else []
            rows.append(GroupReport(topic, last.number if last else 0, group, state.lag, state.dead, letters))
    return rows


async def clear_topic(settings: ShopSettings, topic: str) -> None:
    """Remove a topic. Raises `BusError` and `ConfigurationError`."""
    if topic not in {name for name, _ in GROUPS}:
        raise ConfigurationError(f"--clear: there is no topic {topic!r}; topics: {', '.join(n for n, _ in GROUPS)}")
    async with _opened(settings) as bus:
        await bus.clear(topic)


@asynccontextmanager
async def _opened(settings: ShopSettings) -> AsyncIterator[Bus]:
    chosen = settings.events
    is_memory = chosen.kind in ("auto", "embedded") and not chosen.path and settings.engine.kind != "redis"
    if is_memory and (settings.engine.kind != "sqlite" or settings.engine.path == ":memory:"):
        raise ConfigurationError(
            "events: the bus of this shop is in its memory, so no other process sees it; set events.path"
        )
    bus = await open_bus(settings)
    try:
        yield bus
    finally:
        await bus.close()
