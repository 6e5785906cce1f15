"""How far the door is open."""

from controller.fairness import FairnessRecorder, FairnessSnapshot
from controller.fleet.summary import Summary
from controller.gate import Gate
from controller.polling.parked_polls import ParkedPolls
from controller.settings import GateSettings, SettingsError
from controller.snapshot import GateSnapshot
from controller.verdicts import Admit, Closed, Verdict, Wait

__all__ = [
    "Admit",
    "Closed",
    "FairnessRecorder",
    "FairnessSnapshot",
    "Gate",
    "GateSettings",
    "GateSnapshot",
    "ParkedPolls",
    "SettingsError",
    "Summary",
    "Verdict",
    "Wait",
]
