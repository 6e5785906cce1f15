"""What a room keeps when the settings are reloaded."""

from collections.abc import MutableSequence

from controller import FairnessRecorder
from edge.operations.admission_tracer import AdmissionTracer
from edge.rooms.confirmation import Confirmations
from edge.rooms.offers import Offers
from edge.rooms.recorder import Recorder
from edge.rooms.redeemed_tickets import RedeemedTickets
from edge.rooms.shadow_line import ShadowLine
from edge.rooms.stock import StockView
from edge.rooms.vacancies import TriedTickets

__all__ = ["RoomHistory"]


class RoomHistory:
    """What a room keeps when the settings are reloaded, beside its gate."""

    __slots__ = (
        "_fairness",
        "confirmations",
        "is_upstream_down",
        "offers",
        "recorder",
        "redeemed",
        "shadow",
        "stock",
        "tracer",
        "tried",
    )

    def __init__(self, room: str, shown: MutableSequence[int] | None = None) -> None:
        """shown: the table of shown passes that all workers of the machine share (`confirmation.py`)."""
        self.confirmations = Confirmations(shown)
        self.is_upstream_down = False
        self.stock = StockView(room)
        self._fairness: dict[str, FairnessRecorder] = {}
        self.redeemed = RedeemedTickets()
        self.tried = TriedTickets()
        self.recorder: Recorder | None = None
        """Notes what the record is made of. None if no record is kept."""
        self.tracer: AdmissionTracer | None = None
        """Exports traces of sampled admissions, if the settings ask for them."""
        self.offers: dict[str, Offers] = {}
        """By lane, the open turns of a room that asks visitors whether they are there."""
        self.shadow: ShadowLine | None = None
        """While the room is in `mode: shadow`."""

    def fairness_of(self, lane: str) -> FairnessRecorder:
        """Return what records the order of admissions in a lane. lane: '' for the general one."""
        return self._fairness.setdefault(lane, FairnessRecorder())
