"""Limit responses: a visitor who exceeds a limit or behaves like a robot gets a 403, from prepared bytes."""

import math

from edge.decision.context import DecisionContext
from edge.decision.responses import Responses
from edge.messages.verdict import Answer
from edge.operations.metrics import Metrics
from edge.shield.shield import Shield, Watched, wait_s

__all__ = ["LimitResponses"]

TOO_OFTEN = "Too many requests came from you or your network in a short time. Your place in line is kept."


class LimitResponses:
    """One node's. shield: None if nobody is limited or watched."""

    def __init__(self, responses: Responses, metrics: Metrics, shield: Shield | None) -> None:
        self._responses = responses
        self._metrics = metrics
        self._shield = shield
        self._prepared: dict[tuple[bool, int], Answer] = {}

    def refuse(self, context: DecisionContext, now: float) -> Answer | None:
        """Count the request; return the answer if it exceeds a limit or comes from a robot, otherwise None."""
        limits = context.limits
        if context.premium_until and now >= context.premium_until:
            limits = context.later_limits
        if limits and (wait := wait_s(limits, now)) > 0.0:
            self._metrics.shielded.count("limited")
            return self._too_often(context.wants_page, math.ceil(wait))
        watched, shield = context.watched, self._shield
        if watched is None or shield is None:
            return None
        reasons = shield.suspects(watched, now)
        return self._answer_robot(watched, reasons, shield, context, now) if reasons else None

    def _answer_robot(
        self, watched: Watched, reasons: tuple[str, ...], shield: Shield, context: DecisionContext, now: float
    ) -> Answer | None:
        """Return the answer to a suspect, or None if suspects are only counted."""
        for reason in reasons:
            self._metrics.suspected.count_one(reason)
        if not shield.acts:
            return None
        wait = shield.suspect_waits_s(watched, now)
        if wait is None:
            self._metrics.shielded.count("robot")
            return self._responses.problem(403, wants_page=context.wants_page)
        if wait > 0.0:
            self._metrics.shielded.count("suspected")
            return self._too_often(context.wants_page, math.ceil(wait))
        return None

    def _too_often(self, wants_page: bool, wait_s: int) -> Answer:
        """Return the answer for a wait of whole seconds. There are about sixty; a flood gets prepared bytes."""
        answer = self._prepared.get((wants_page, wait_s))
        if answer is None:
            answer = self._responses.problem(403, wants_page=wants_page, detail=TOO_OFTEN, retry_after_s=wait_s)
            self._prepared[wants_page, wait_s] = answer
        return answer
