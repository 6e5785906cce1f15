"""How many visitors are admitted, and when the others poll again: the gate of a room. No I/O, no clock, no chance.

Other packages import from here, and from `controller.simulation` to play a sale.
"""

from controller.door import Door, DoorVerdict
from controller.fairness import FairnessRecorder, FairnessSnapshot
from controller.fleet.summary import HEARTBEAT_S, TTL_S, Summary
from controller.gate import Gate
from controller.law.adaptive import MOST_SLOW, AdaptiveLaw, AdaptiveSettings, Answered
from controller.occupancy import CELLS, Occupancy
from controller.settings import GateSettings, SettingsError
from controller.snapshot import GateSnapshot
from controller.verdicts import Admit, Park, Verdict, Wait

__all__ = [
    "CELLS",
    "HEARTBEAT_S",
    "MOST_SLOW",
    "TTL_S",
    "AdaptiveLaw",
    "AdaptiveSettings",
    "Admit",
    "Answered",
    "Door",
    "DoorVerdict",
    "FairnessRecorder",
    "FairnessSnapshot",
    "Gate",
    "GateSettings",
    "GateSnapshot",
    "Occupancy",
    "Park",
    "SettingsError",
    "Summary",
    "Verdict",
    "Wait",
]
