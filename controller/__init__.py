"""How far the door is open."""

from controller.decisions import Admit, Closed, Verdict, Wait
from controller.fairness import FairnessRecorder, FairnessSnapshot
from controller.fleet import Summary
from controller.gate import Gate
from controller.held import HeldAnswers
from controller.settings import GateSettings, SettingsError
from controller.snapshot import GateSnapshot

__all__ = [
    "Admit",
    "Closed",
    "FairnessRecorder",
    "FairnessSnapshot",
    "Gate",
    "GateSettings",
    "GateSnapshot",
    "HeldAnswers",
    "SettingsError",
    "Summary",
    "Verdict",
    "Wait",
]
