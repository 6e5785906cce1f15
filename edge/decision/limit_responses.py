"""Limit responses: a visitor that exceeds a limit or behaves like a robot gets a 403, from prepared bytes."""

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
        self._prepared: dict[tuple[str, int], Answer] = {}

    def refuse(self, context: DecisionContext, now: float) -> Answer | None:
        """Count the request; return the answer if it exceeds a limit or comes from a robot, otherwise None."""
        limits = context.limits
        if context.premium_until and now >= context.premium_until:
            limits = context.later_limits
        if limits and (wait := wait_s(limits, now)) > 0.0:
            self._metrics.shielded.count("limited")
            return self._too_often(context, math.ceil(wait))
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
            return self._responses.problem(403, wants_page=context.wants_page, language=self._language(context))
        if wait > 0.0:
            self._metrics.shielded.count("suspected")
            return self._too_often(context, math.ceil(wait))
        return None

    def _too_often(self, context: DecisionContext, wait_s: int) -> Answer:
        """Return the answer for a wait of whole seconds. A flood gets prepared bytes: about sixty a language."""
        language = self._language(context) if context.wants_page else ""
        answer = self._prepared.get((language, wait_s))
        if answer is None:
            answer = self._responses.problem(
                403, wants_page=context.wants_page, detail=TOO_OFTEN, retry_after_s=wait_s, language=language
            )
            self._prepared[language, wait_s] = answer
        return answer

    def _language(self, context: DecisionContext) -> str:
        return self._responses.language(context.head.accept_language, context.head.cookie)
