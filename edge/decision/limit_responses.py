"""What those are told who ask too often, or like a robot that is to be slowed down: a 403, from ready bytes."""

import math

from edge.decision.context import DecisionContext
from edge.decision.responses import Responses
from edge.messages.verdict import Answer
from edge.operations.metrics import Metrics
from edge.shield.shield import Shield, Watched, wait_s

__all__ = ["LimitResponses"]

TOO_OFTEN = "Too many requests came from you or your network in a short time. Your place in line is kept."


class LimitResponses:
    """One node's."""

    def __init__(self, answers: Responses, metrics: Metrics) -> None:
        self._answers = answers
        self._metrics = metrics
        self._ready: dict[tuple[bool, int], Answer] = {}

    def kept_out(self, facts: DecisionContext, shield: Shield | None, now: float) -> Answer | None:
        """The answer to a request that goes no further; None when it does."""
        if facts.limits and (wait := wait_s(facts.limits, now)) > 0.0:
            self._metrics.shielded.count("limited")
            return self._too_often(facts.wants_page, math.ceil(wait))
        watched = facts.watched
        if watched is None or shield is None:
            return None
        reasons = shield.suspects(watched, now)
        return self._answer_robot(watched, reasons, shield, facts, now) if reasons else None

    def _answer_robot(
        self, watched: Watched, reasons: tuple[str, ...], shield: Shield, facts: DecisionContext, now: float
    ) -> Answer | None:
        """The answer to a suspect; None when nothing is to be done but to count."""
        for reason in reasons:
            self._metrics.suspected.count_one(reason)
        if not shield.acts:
            return None
        wait = shield.suspect_waits_s(watched, now)
        if wait is None:
            self._metrics.shielded.count("robot")
            return self._answers.problem(403, wants_page=facts.wants_page)
        if wait > 0.0:
            self._metrics.shielded.count("suspected")
            return self._too_often(facts.wants_page, math.ceil(wait))
        return None

    def _too_often(self, wants_page: bool, wait_s: int) -> Answer:
        """Made once for each wait of whole seconds, of which there are about sixty: a flood gets ready bytes."""
        answer = self._ready.get((wants_page, wait_s))
        if answer is None:
            answer = self._answers.problem(403, wants_page=wants_page, detail=TOO_OFTEN, retry_after_s=wait_s)
            self._ready[wants_page, wait_s] = answer
        return answer
