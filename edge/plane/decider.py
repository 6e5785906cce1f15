"""What the plane asks of whoever decides: the pipeline, and the tests' fakes of it. No I/O, no waiting.

What a head says (`recognise`) is asked once for a head that is remembered, what follows from it (`decide`) every time.
"""

from collections.abc import Iterable
from typing import Protocol

from edge.facts import Facts
from edge.head import RequestHead
from edge.verdict import Answer, Forward, Headers, Verdict

__all__ = ["Decider"]


class Decider(Protocol):
    """`edge.pipeline.Pipeline` says what each of these means."""

    upstream_is_down: bool
    """Told by the plane."""

    def recognise(self, head: RequestHead) -> Facts: ...

    def recognise_again(self, facts: Facts, head: RequestHead) -> Facts: ...

    def decide(self, facts: Facts, now: float, draw: float) -> Verdict: ...

    def failed(self, head: RequestHead, code: int, retry_after_s: int | None = None) -> Answer: ...

    def refused(self, code: int, detail: str, *, wants_page: bool = False) -> Answer: ...

    def observe(self, facts: Facts, forward: Forward, headers: Iterable[tuple[str, str]], now: float) -> Headers: ...
