"""An admission: it is counted, recorded and traced, and the visitor is let in."""

from edge.decision.context import DecisionContext
from edge.decision.visitor_responses import VisitorResponses
from edge.messages.verdict import Answer, Forward
from edge.operations.metrics import Metrics
from edge.record.events import ADMITTED
from edge.rooms.room import Room
from edge.settings.lanes import GENERAL
from waiting_room.ticket import Pass

__all__ = ["Admissions"]


class Admissions:
    """One node's."""

    def __init__(self, responses: VisitorResponses, metrics: Metrics) -> None:
        self._responses = responses
        self._metrics = metrics

    def admit(self, context: DecisionContext, room: Room, given: Pass, place: int, now: float) -> Forward | Answer:
        """Let a visitor in with a pass that they have just been given, or with an offered pass after their click."""
        metrics = self._metrics
        metrics.admissions.count(room.name)
        if room.lanes is not None:
            metrics.lane_admissions.count(room.name, room.lane or GENERAL)
        if room.recorder is not None:
            room.recorder.note(ADMITTED, place, now, room.lane)
        metrics.wait_seconds.labels(room.name).observe(max(0.0, now - given.first_seen))
        if room.tracer is not None:
            room.tracer.admitted(room.name, given.id, given.first_seen, now)
        return self.enter(context, room, given, now, fresh=given, is_first=True)

    def enter(
        self, context: DecisionContext, room: Room, shown: Pass, now: float, *, fresh: Pass | None, is_first: bool
    ) -> Forward | Answer:
        """Forward the request of an admitted visitor, or answer their poll. is_first: none was forwarded before."""
        verdict = self._responses.enter(context, room, shown, now, fresh=fresh)
        if is_first and room.tracer is not None and isinstance(verdict, Forward):
            room.tracer.follow(verdict, room.name, shown.id)
        return verdict
