"""Changes of a room while it runs: its mode, capacity and message. Made at one machine, in force on all.

A change follows the way of `shared_control.py`: a room that is held stays held after a crash.

    mode     first visitors                 those in line                     those inside
    open     get a place                    are admitted in order             stay
    hold     get a place                    wait, and keep their order        stay
    drain    are told that it is closed     are admitted in order             stay
    closed   are told that it is closed     keep their place, and are told    stay until their pass ends
    shadow   pass                           pass                              stay; the room counts the waits

A change lasts until the operator takes it back (`reset`) or until its `until`; then the settings file decides again.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from edge.messages.cluster import RoomState, RoomStates
from edge.operations.audit import audit
from edge.settings.model import Settings
from edge.settings.room import RoomSettings
from edge.supervisor.shared_control import FUTURE_S, ChangedMeanwhile, SharedControl, later_than
from edge.supervisor.state_folder import StateFolder
from edge.support.errors import ClientError
from waiting_room.status import timestamp

__all__ = ["CHANGEABLE", "NoSuchRoom", "RoomControl", "room_named"]

#: What operators can change of a room.
CHANGEABLE = ("mode", "admissions_per_second", "total_active_users", "message")
FILE = "rooms"


class NoSuchRoom(ClientError):
    """No room of the settings has this name."""

    status = 404


class RoomControl(SharedControl):
    """apply(): configure the workers again. publish(message): send it to all other machines."""

    def __init__(self, apply: Callable[[], None], publish: Callable[[RoomStates], None], folder: StateFolder) -> None:
        super().__init__(apply, folder, FILE)
        self._publish_states = publish
        self._states: dict[str, RoomState] = {}
        self._merge(_kept(folder.read(FILE)), time.time())
        self._applied = self._in_force(time.time())

    def __repr__(self) -> str:
        return f"<RoomControl {len(self._states)} rooms changed>"

    def extended(self, settings: Settings) -> Settings:
        """Return the settings with the changes of the operators in them."""
        current = self._in_force(time.time())
        if not current:
            return settings
        return settings.model_copy(update={"rooms": tuple(_changed(room, current) for room in settings.rooms)})

    def status(self, settings: Settings, name: str) -> dict[str, Any]:
        """Return the state of one room as JSON values. Raises NoSuchRoom."""
        room = room_named(settings, name)
        state = self._in_force(time.time()).get(name)
        shown = room if state is None else _changed(room, {name: state})
        return {
            "room": name,
            "mode": shown.mode,
            "admissions_per_second": shown.capacity.admissions_per_second,
            "total_active_users": shown.capacity.total_active_users,
            "message": shown.page.message,
            "until": None if state is None else state.until,
            "reason": None if state is None else state.reason,
            "changed": [] if state is None else [key for key in CHANGEABLE if getattr(state, key) is not None],
            "changed_at": None if state is None else state.changed,
            "changed_by": None if state is None else state.actor,
            "version": self.version(name),
        }

    def version(self, name: str) -> str:
        """Return the version of a room's state; it changes with every change."""
        state = self._states.get(name)
        ended = state is not None and name not in self._in_force(time.time())
        return "0" if state is None else f"{round(state.changed * 1e6):x}{'e' * ended}"

    def change(
        self,
        actor: str,
        settings: Settings,
        name: str,
        change: Mapping[str, Any],
        version: str | None = None,
    ) -> dict[str, Any]:
        """Change one room on all machines; return its new state.

        change: keys of CHANGEABLE, `until` (wall time, seconds) and `reason`; None leaves a key to the settings file.
        What is not in it stays. version: the change is refused unless the room is at this version.

        Raises NoSuchRoom, ChangedMeanwhile, or ClientError if the change makes no sense.
        """
        room_named(settings, name)
        if version is not None and version != self.version(name):
            raise ChangedMeanwhile(f"room {name!r} is at version {self.version(name)}, not {version}; read it again")
        now = time.time()
        until = change.get("until")
        if until is not None and until <= now:
            raise ClientError("until: must be in the future")
        before = self.status(settings, name)
        state = self._in_force(now).get(name) or RoomState(name, 0.0)
        later = later_than(self._states[name].changed if name in self._states else None)
        fresh = msgspec.structs.replace(state, **change, changed=later, actor=actor)
        if not any(getattr(fresh, key) is not None for key in CHANGEABLE):
            fresh = RoomState(name, later, actor=actor, reason=fresh.reason)
        self._states[name] = fresh
        self._said()
        after = self.status(settings, name)
        audit(actor, f"change room {name}", "done", _audited(before), _audited(after), room=name)
        return after

    def reset(self, actor: str, settings: Settings, name: str, version: str | None = None) -> dict[str, Any]:
        """Let the settings file decide again about one room; return its state. Raises as `change` does."""
        return self.change(actor, settings, name, dict.fromkeys((*CHANGEABLE, "until", "reason")), version)

    def receive(self, message: RoomStates) -> None:
        """Take in the states that another machine knows."""
        if self._merge(message.states, time.time()):
            self._heard()

    def _in_force(self, now: float) -> dict[str, RoomState]:
        """Return the states that count now, by room."""
        return {
            name: state
            for name, state in self._states.items()
            if any(getattr(state, key) is not None for key in CHANGEABLE) and (state.until is None or now < state.until)
        }

    def _merge(self, states: Iterable[RoomState], now: float) -> bool:
        """Keep the later one of two states of a room; return whether anything changed."""
        is_news = False
        for state in states:
            known = self._states.get(state.room)
            if (known is None or state.changed > known.changed) and state.changed <= now + FUTURE_S:
                self._states[state.room] = state
                is_news = True
        return is_news

    def _turned(self, now: float) -> None:
        for name in self._applied.keys() - self._in_force(now).keys():
            audit("schedule", f"change room {name}", "ended: its time is over", room=name)

    def _content(self) -> dict[str, Any]:
        return {"states": [msgspec.to_builtins(state) for state in self._states.values()]}

    def _publish(self) -> None:
        if self._states:
            self._publish_states(RoomStates(tuple(self._states.values())))


def _kept(value: Mapping[str, Any] | None) -> list[RoomState]:
    """Return the states of a file; those that this version does not understand are left out."""
    found = []
    entries = [] if value is None else value.get("states")
    for entry in entries if isinstance(entries, list) else []:
        with suppress(msgspec.ValidationError):
            found.append(msgspec.convert(entry, RoomState))
    return found


def _audited(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the audit trail shows of a state."""
    until = state["until"]
    shown = {key: state[key] for key in (*CHANGEABLE, "reason")}
    return {**shown, "until": None if until is None else timestamp(until)}


def room_named(settings: Settings, name: str) -> RoomSettings:
    for room in settings.rooms:
        if room.name == name:
            return room
    raise NoSuchRoom(f"there is no room {name!r}; the rooms are {', '.join(room.name for room in settings.rooms)}")


def _changed(room: RoomSettings, states: Mapping[str, RoomState]) -> RoomSettings:
    state = states.get(room.name)
    if state is None:
        return room
    capacity = {
        key: getattr(state, key)
        for key in ("admissions_per_second", "total_active_users")
        if getattr(state, key) is not None
    }
    update: dict[str, Any] = {"capacity": room.capacity.model_copy(update=capacity)}
    if state.mode is not None:
        update["mode"] = state.mode
    if state.message is not None:
        update["page"] = room.page.model_copy(update={"message": state.message or None})
    return room.model_copy(update=update)
