"""What `checkout events` shows: each topic with its groups."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from checkout.bus.bus import Bus, DeadLetter
from checkout.bus.opening import CATALOGUE, SALES, open_bus
from checkout.errors import ConfigurationError
from checkout.notices.planner import GROUP
from checkout.settings import ShopSettings

TOPICS = (SALES, CATALOGUE)


@dataclass(frozen=True, slots=True)
class GroupReport:
    """A group of a topic; an empty one if nobody takes the topic in a group.

    last: the number of the topic's last message, 0 if it has none.
    """

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
        for topic in TOPICS:
            last = await bus.last(topic)
            number = last.number if last else 0
            if topic != SALES or not settings.notices.are_sent:
                rows.append(GroupReport(topic, number, "", 0, 0, []))
                continue
            state = await bus.state(topic, GROUP)
            letters = await bus.dead_letters(topic, GROUP) if with_letters else []
            rows.append(GroupReport(topic, number, GROUP, state.lag, state.dead, letters))
    return rows


async def clear_topic(settings: ShopSettings, topic: str) -> None:
    """Remove a topic. Raises `BusError` and `ConfigurationError`."""
    if topic not in TOPICS:
        raise ConfigurationError(f"--clear: there is no topic {topic!r}; topics: {', '.join(TOPICS)}")
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
