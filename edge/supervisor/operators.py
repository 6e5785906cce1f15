"""The changes of operators while the edge runs, in one place: the state of rooms, scheduled sales, and links."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from edge.messages.cluster import LinkStates, RoomStates, SaleStates
from edge.settings.model import Settings
from edge.supervisor.link_control import LinkControl
from edge.supervisor.room_control import RoomControl
from edge.supervisor.sale_control import SaleControl
from edge.supervisor.state_folder import StateFolder

__all__ = ["Operators"]


class Operators:
    """apply(): configure the workers again. publish(message): send it to all other machines. read(): the settings as
    they were read, and the secret keys, newest first."""

    def __init__(
        self,
        apply: Callable[[], None],
        publish: Callable[[RoomStates | SaleStates | LinkStates], None],
        folder: StateFolder,
        read: Callable[[], tuple[Settings, Sequence[bytes]]],
    ) -> None:
        self._read = read
        self.rooms = RoomControl(apply, publish, folder)
        self.sales = SaleControl(apply, publish, folder, lambda: read()[0])
        self.links = LinkControl(apply, publish, folder, read)

    def __repr__(self) -> str:
        return f"<Operators {self.rooms!r} {self.sales!r}>"

    def extended(self, settings: Settings) -> Settings:
        """Return the settings with what operators said in them. A change of a room counts before a sale's."""
        return self.rooms.extended(self.sales.extended(settings))

    def seeds(self, in_force: Settings) -> dict[str, dict[str, str]]:
        """Return the seeds of all draws by room and sale, hexadecimal, for the workers."""
        found = self.sales.seeds(in_force, self._read()[1])
        return {room: {sale: seed.hex() for sale, seed in seeds.items()} for room, seeds in found.items()}

    def sales_of(self, room: str) -> dict[str, Any]:
        """Return the sales of a room as JSON values. Raises NoSuchRoom."""
        return self.sales.status(*self._read(), room)

    def sale_of(self, room: str) -> tuple[dict[str, Any] | None, str]:
        """Return the sale that concerns a room now, or the next one, with its phase, as JSON values; None if there is
        none. And the version of the room's sales. Raises NoSuchRoom."""
        said = self.sales_of(room)
        for sale in said["sales"]:
            if sale["name"] == said["sale"]:
                return {"phase": said["phase"], **sale}, said["version"]
            if said["sale"] is None and sale["opens_at"] > said["time"]:
                return {"phase": "scheduled", **sale}, said["version"]
        return None, said["version"]

    def receive(self, message: RoomStates | SaleStates | LinkStates) -> None:
        """Take in what operators said at another machine."""
        if isinstance(message, RoomStates):
            self.rooms.receive(message)
        elif isinstance(message, SaleStates):
            self.sales.receive(message)
        else:
            self.links.receive(message)

    async def run(self) -> None:
        """Let changes end in time, and keep other machines informed, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.rooms.run())
            group.create_task(self.sales.run())
            group.create_task(self.links.run())
