"""Open the bus that the settings name, and the topics of the shop.

sales       every event of the audit trail, numbered like the trail; a relay in each shop publishes it
catalogue   every change of a product (`catalogue/opening.py`)
"""

import msgspec

from checkout.bus.bus import Bus, Message
from checkout.bus.embedded import EmbeddedBus
from checkout.bus.relay import Source
from checkout.engines.engine import Engine
from checkout.errors import ConfigurationError
from checkout.settings import ShopSettings
from checkout.values import Event

SALES = "sales"
CATALOGUE = "catalogue"
EVENTS = msgspec.json.Decoder(Event)


async def open_bus(settings: ShopSettings) -> Bus:
    """Open the bus. A driver is imported only if the settings choose it. Raises `BusError`."""
    chosen, engine = settings.events, settings.engine
    lease_s = chosen.lease_seconds
    if chosen.kind == "redis" or (chosen.kind == "auto" and engine.kind == "redis"):
        from checkout.bus.redis import RedisBus

        return RedisBus(chosen.url or engine.url, lease_s=lease_s)
    if chosen.kind == "nats":
        try:
            from checkout.bus.nats import NatsBus
        except ImportError as error:
            raise ConfigurationError("events.kind: nats needs the client: pip install 'stanchion[nats]'") from error
        return await NatsBus.open(chosen.url, lease_s=lease_s)
    path = chosen.path
    if not path:
        is_file = engine.kind == "sqlite" and engine.path != ":memory:"
        path = f"{engine.path}.events" if is_file else ":memory:"
    return await EmbeddedBus.open(path, lease_s=lease_s)


def trail(engine: Engine) -> Source:
    """Return the source of the topic `sales`: the events of the trail that can never be undone."""
    forwarded = getattr(engine, "forwarded", None)

    async def read(after: int, limit: int) -> list[Message]:
        last = await forwarded() if forwarded else None
        events = await engine.events("", after, limit)
        return [Message.of(event.seq, event) for event in events if last is None or event.seq <= last]

    return read


def event_of(message: Message) -> Event:
    """Return the event of a message of the topic `sales`. Raises `msgspec.MsgspecError` if it holds none."""
    return EVENTS.decode(message.text)
