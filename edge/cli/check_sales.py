"""What `stanchion check` says about scheduled sales that load, but may not be what an operator means."""

import time

from edge.rooms.sale_clock import phase_at
from edge.settings.model import Settings
from edge.support.errors import SettingFault
from waiting_room.status import timestamp

__all__ = ["sale_warnings"]


def sale_warnings(settings: Settings, now: float | None = None) -> list[SettingFault]:
    """Return warnings about sales. now: wall time in seconds; the present if None."""
    found, now = [], time.time() if now is None else now
    for at, room in enumerate(settings.rooms):
        path = f"rooms[{at}].sales"
        phase = phase_at(room, now)
        if phase.name == "over":
            found.append(
                SettingFault(
                    path, f"all are over (since {timestamp(phase.since)}): the room admits nobody. Remove them"
                )
            )
        if room.sales and room.mode == "shadow":
            found.append(SettingFault(path, "no sale counts while the room is in mode 'shadow'"))
        for number, sale in enumerate(room.sales):
            if sale.order == "draw" and settings.state_folder == "off" and sale.opens_at > now:
                found.append(
                    SettingFault(
                        f"{path}[{number}].order",
                        "a draw remembers its secret key in the state folder, which is off: do not change the first of"
                        " the secret keys before the sale has opened",
                    )
                )
    return found
