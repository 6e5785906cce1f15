"""Scheduled sales while the edge runs: those of the settings file, and those that operators add, change and take away.

    sales in force = those of the file, with an operator's entry in place of the file's sale of the same name
    room in force  = the file's, with what the sale of this moment overrides, with what operators changed of the room

Entries follow the way of `shared_control.py`: they are kept over restarts, and told to all machines.

A draw uses the newest key at the time when its sale was first seen, and remembers which one that was: the commitment
stays the same when keys are rotated. The key must stay in the list until the sale has opened. Of machines that saw a
sale with different keys, the one that saw it first is right.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from pydantic import ValidationError

from edge.messages.cluster import DrawKey, SaleEntry, SaleStates
from edge.operations.audit import audit
from edge.operations.logs import facts
from edge.rooms.sale_clock import draw_document, phase_at
from edge.settings.model import Settings
from edge.settings.room import RoomSettings
from edge.settings.sale import MOMENTS, SaleSettings, overlap
from edge.supervisor.room_control import room_named
from edge.supervisor.shared_control import FUTURE_S, ChangedMeanwhile, SharedControl, later_than
from edge.supervisor.state_folder import StateFolder
from edge.support.errors import ClientError
from waiting_room.draw import generation_of, seed_of
from waiting_room.status import timestamp

__all__ = ["NoSuchSale", "SaleControl", "SaleInFile"]

log = logging.getLogger("edge.sales")

FILE = "sales"
#: Entries of sales, and keys of draws, are forgotten this long after they were made or the sale has opened.
KEEP_S = 90 * 86_400.0
#: Sales that operators may add to a room.
MOST_SALES = 100
#: What a sale overrides of its room while it lasts.
OVERRIDES = ("admissions_per_second", "total_active_users", "message")


class NoSuchSale(ClientError):
    """The room has no sale of this name."""

    status = 404


class SaleInFile(ClientError):
    """The sale is one of the settings file, which no API changes."""

    status = 409


class SaleControl(SharedControl):
    """apply(): configure the workers again. publish(message): send it to all other machines."""

    def __init__(
        self,
        apply: Callable[[], None],
        publish: Callable[[SaleStates], None],
        folder: StateFolder,
        current: Callable[[], Settings],
    ) -> None:
        """current(): the settings as they were read."""
        super().__init__(apply, folder, FILE)
        self._publish_states = publish
        self._current = current
        self._entries: dict[tuple[str, str], SaleEntry] = {}
        self._sales: dict[tuple[str, str], SaleSettings] = {}
        """The sales of the entries that have one."""
        self._draws: dict[str, DrawKey] = {}
        self._lost: set[str] = set()
        self._merge(*_kept(folder.read(FILE)), time.time())
        self._applied = self._in_force(time.time())

    def __repr__(self) -> str:
        return f"<SaleControl {len(self._entries)} sales changed, {len(self._draws)} draws>"

    def extended(self, settings: Settings) -> Settings:
        """Return the settings with the sales in force, and with what the sale of this moment overrides."""
        now = time.time()
        rooms = tuple(_overridden(self._with_sales(room), now) for room in settings.rooms)
        return settings if rooms == settings.rooms else settings.model_copy(update={"rooms": rooms})

    def seeds(self, settings: Settings, keys: Sequence[bytes]) -> dict[str, dict[str, bytes]]:
        """Return the seeds of all draws, by room and sale. settings: with the sales in force. keys: newest first."""
        by_generation = {generation_of(key): key for key in keys}
        found: dict[str, dict[str, bytes]] = {}
        for room in settings.rooms:
            for sale in room.sales:
                if sale.order == "draw":
                    key = self._key(_draw_name(room, sale), keys[0], by_generation)
                    found.setdefault(room.name, {})[sale.name] = seed_of(key, room.name, sale.name, sale.opens_at)
        return found

    def status(self, settings: Settings, keys: Sequence[bytes], name: str) -> dict[str, Any]:
        """Return the sales of a room as JSON values. settings: as they were read. Raises NoSuchRoom."""
        room, now = self._with_sales(room_named(settings, name)), time.time()
        only = settings.model_copy(update={"rooms": (room,)})
        seeds, phase = self.seeds(only, keys).get(name, {}), phase_at(room, now)
        return {
            "room": name,
            "phase": phase.name,
            "sale": None if phase.sale is None else phase.sale.name,
            "time": timestamp(now),
            "version": self.version(name),
            "sales": [
                _shown(sale, self._source(name, sale), seeds.get(sale.name), now)
                for sale in sorted(room.sales, key=lambda sale: sale.opens_at)
            ],
        }

    def version(self, name: str) -> str:
        """Return the version of what operators said of a room's sales; it changes with every change."""
        changed = max((entry.changed for (room, _), entry in self._entries.items() if room == name), default=0.0)
        return f"{round(changed * 1e6):x}"

    def put(self, actor: str, settings: Settings, name: str, sale: SaleSettings, version: str | None = None) -> None:
        """Add a sale to a room, or replace the one of its name. Raises NoSuchRoom, ChangedMeanwhile, or ClientError if
        it does not fit the other sales."""
        room = self._with_sales(room_named(settings, name))
        self._refuse_old(name, version)
        before = next((each for each in room.sales if each.name == sale.name), None)
        others = [each for each in room.sales if each.name != sale.name]
        if len(others) >= MOST_SALES:
            raise ClientError(f"room {name!r} has {MOST_SALES} sales; take one away first")
        if fault := overlap([*others, sale]):
            raise ClientError(fault)
        self._note(SaleEntry(name, sale.name, self._later(name, sale.name), sale.model_dump(mode="json"), actor))
        action = f"change sale {sale.name} of {name}" if before else f"add sale {sale.name} to {name}"
        audit(actor, action, "done", None if before is None else _audited(before), _audited(sale), room=name)

    def remove(self, actor: str, settings: Settings, name: str, sale: str, version: str | None = None) -> None:
        """Take a sale away that operators added, or their change of a sale of the settings file.

        Raises NoSuchRoom, NoSuchSale, SaleInFile, ChangedMeanwhile.
        """
        room = room_named(settings, name)
        self._refuse_old(name, version)
        before = self._sales.get((name, sale))
        if before is None:
            if any(each.name == sale for each in room.sales):
                raise SaleInFile(f"sale {sale!r} is in the settings file: remove it there and reload, or suspend it")
            raise NoSuchSale(f"room {name!r} has no sale {sale!r}")
        self._note(SaleEntry(name, sale, self._later(name, sale), None, actor))
        audit(actor, f"remove sale {sale} of {name}", "done", _audited(before), None, room=name)

    def receive(self, message: SaleStates) -> None:
        """Take in what another machine knows."""
        if self._merge(message.entries, message.draws, time.time()):
            self._heard()

    def _key(self, draw: str, newest: bytes, by_generation: Mapping[str, bytes]) -> bytes:
        """Return the key of a draw. A draw that is seen for the first time gets the newest key."""
        noted = self._draws.get(draw)
        if noted is None:
            self._draws[draw] = DrawKey(draw, generation_of(newest), time.time())
            self._keep()
            self._publish()
            return newest
        key = by_generation.get(noted.generation)
        if key is None and draw not in self._lost:
            self._lost.add(draw)
            log.error(
                "the key of a draw is not among the secret keys any more: its places are drawn anew. Put the key back"
                " and reload",
                extra=facts(draw=draw),
            )
        return newest if key is None else key

    def _with_sales(self, room: RoomSettings) -> RoomSettings:
        """Return a room with the sales in force."""
        said = {name: sale for (of, name), sale in self._sales.items() if of == room.name}
        if not said:
            return room
        kept = [sale for sale in room.sales if sale.name not in said]
        return room.model_copy(update={"sales": (*kept, *said.values())})

    def _source(self, room: str, sale: SaleSettings) -> str:
        return "operator" if (room, sale.name) in self._sales else "file"

    def _in_force(self, now: float) -> dict[str, str]:
        """Return by room the sale that overrides settings now."""
        found = {}
        for room in self._current().rooms:
            phase = phase_at(self._with_sales(room), now)
            if phase.sale is not None and phase.name in ("prequeue", "open"):
                found[room.name] = phase.sale.name
        return found

    def _refuse_old(self, name: str, version: str | None) -> None:
        if version is not None and version != self.version(name):
            raise ChangedMeanwhile(f"the sales of {name!r} are at version {self.version(name)}, not {version}")

    def _later(self, room: str, sale: str) -> float:
        before = self._entries.get((room, sale))
        return later_than(None if before is None else before.changed)

    def _note(self, entry: SaleEntry) -> None:
        self._take(entry)
        self._said()

    def _take(self, entry: SaleEntry) -> bool:
        """Let an entry count. Return False if this version does not understand it, because another one made it."""
        key = entry.room, entry.name
        try:
            sale = None if entry.sale is None else SaleSettings.model_validate(entry.sale)
        except ValidationError:
            return False
        if sale is not None and sale.name != entry.name:
            return False
        self._entries[key] = entry
        self._sales.pop(key, None)
        if sale is not None:
            self._sales[key] = sale
        return True

    def _merge(self, entries: Iterable[SaleEntry], draws: Iterable[DrawKey], now: float) -> bool:
        """Take in the later entries and the earlier keys; return whether anything changed."""
        is_news = False
        for entry in entries:
            known = self._entries.get((entry.room, entry.name))
            is_later = known is None or entry.changed > known.changed
            if is_later and now - KEEP_S < entry.changed <= now + FUTURE_S:
                is_news = self._take(entry) or is_news
        for draw in draws:
            noted = self._draws.get(draw.draw)
            if (noted is None or draw.noted < noted.noted) and draw.noted > now - KEEP_S:
                self._draws[draw.draw] = draw
                is_news = True
        return is_news

    def _content(self) -> dict[str, Any]:
        content: dict[str, Any] = msgspec.to_builtins(self._states())
        return content

    def _publish(self) -> None:
        if self._entries or self._draws:
            self._publish_states(self._states())

    def _states(self) -> SaleStates:
        return SaleStates(tuple(self._entries.values()), tuple(self._draws.values()))


def _kept(value: Mapping[str, Any] | None) -> tuple[list[SaleEntry], list[DrawKey]]:
    """Return what a file holds; what this version does not understand is left out."""
    entries, draws = [], []
    for each in _listed(value, "entries"):
        with suppress(msgspec.ValidationError):
            entries.append(msgspec.convert(each, SaleEntry))
    for each in _listed(value, "draws"):
        with suppress(msgspec.ValidationError):
            draws.append(msgspec.convert(each, DrawKey))
    return entries, draws


def _listed(value: Mapping[str, Any] | None, key: str) -> list[Any]:
    found = [] if value is None else value.get(key)
    return found if isinstance(found, list) else []


def _overridden(room: RoomSettings, now: float) -> RoomSettings:
    phase = phase_at(room, now)
    sale = phase.sale
    if sale is None or phase.name not in ("prequeue", "open"):
        return room
    said = {key: value for key in OVERRIDES if (value := getattr(sale, key)) is not None}
    message = said.pop("message", None)
    update: dict[str, Any] = {"capacity": room.capacity.model_copy(update=said)} if said else {}
    if message is not None:
        update["page"] = room.page.model_copy(update={"message": message or None})
    return room.model_copy(update=update) if update else room


def _draw_name(room: RoomSettings, sale: SaleSettings) -> str:
    return f"{room.name}/{sale.name}/{round(sale.opens_at * 1000)}"


def _shown(sale: SaleSettings, source: str, seed: bytes | None, now: float) -> dict[str, Any]:
    return {
        **sale.model_dump(mode="json"),
        **_moments(sale),
        "prequeue_at": timestamp(sale.begins_at),
        "source": source,
        "draw": None if seed is None else draw_document(sale, seed, now),
    }


def _moments(sale: SaleSettings) -> dict[str, str | None]:
    values = {key: getattr(sale, key) for key in MOMENTS}
    return {key: None if value is None else timestamp(value) for key, value in values.items()}


def _audited(sale: SaleSettings) -> dict[str, Any]:
    shown = {**sale.model_dump(mode="json"), **_moments(sale)}
    return {key: value for key, value in shown.items() if value is not None}
