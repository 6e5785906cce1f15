"""The test bank: a gateway that behaves as the card number says, like the test cards of real gateways.

    decline…   the card is declined
    silent…    no answer, and nothing is charged
    lost…      charged, but the answer never arrives
    late…      no answer; charged `late_s` later, and the shop gets a notification then
    twice…     charged, answered, and answered again by a notification
    other      charged

The journal is append-only. With a path it is a file that outlives the process: separate evidence for the checker.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from checkout.evidence import Movement, read_movements
from checkout.gateway import Charged, Declined, Intent, NoAnswer, Verdict

Notify = Callable[[str, Verdict], Awaitable[object]]


class Bank:
    """A gateway in memory. notify: called with verdicts that no answer carried. wait: the clock, a sleep in seconds."""

    def __init__(
        self,
        seconds: float = 0.0,
        *,
        late_s: float = 0.0,
        journal: Path | None = None,
        wait: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._seconds = seconds
        self._late_s = late_s
        self._wait = wait
        self._verdicts: dict[str, Verdict] = {}
        self._intents: dict[str, Intent] = {}
        self._file = None if journal is None else journal.open("a", buffering=1)
        self.movements = [] if journal is None else read_movements(journal)
        self.notify: Notify | None = None
        for move in self.movements:
            self._verdicts[move.intent] = Charged(move.charge) if move.kind == "charge" else Declined("refunded")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    async def charge(self, intent: Intent) -> Verdict:
        await self._wait(self._seconds)
        if intent.card.startswith("silent"):
            raise NoAnswer("silent")
        if intent.card.startswith("late"):
            self._intents[intent.id] = intent
            raise NoAnswer("late")
        verdict = self._take(intent)
        if intent.card.startswith("lost"):
            raise NoAnswer("lost")
        if intent.card.startswith("twice") and self.notify is not None:
            await self.notify(intent.id, verdict)
        return verdict

    async def lookup(self, intent_id: str) -> Verdict | None:
        return self._verdicts.get(intent_id)

    async def refund(self, intent_id: str) -> None:
        verdict = self._verdicts.get(intent_id)
        if isinstance(verdict, Charged):
            charge = next(move for move in self.movements if move.intent == intent_id)
            self._write(charge._replace(kind="refund"))
        if not isinstance(verdict, Declined):
            self._verdicts[intent_id] = Declined("refunded")

    async def finish_late(self) -> None:
        """Charge the `late…` intents that were not refunded meanwhile, and notify the shop."""
        intents, self._intents = self._intents, {}
        if intents:
            await self._wait(self._late_s)
        for intent in intents.values():
            verdict = self._take(intent)
            if self.notify is not None:
                await self.notify(intent.id, verdict)

    def _take(self, intent: Intent) -> Verdict:
        if intent.id not in self._verdicts:
            if intent.card.startswith("decline"):
                self._verdicts[intent.id] = Declined("card declined")
            else:
                charge = f"ch_{intent.id}"
                self._write(Movement(intent.id, intent.order, "charge", charge, intent.amount_cents))
                self._verdicts[intent.id] = Charged(charge)
        return self._verdicts[intent.id]

    def _write(self, move: Movement) -> None:
        self.movements.append(move)
        if self._file is not None:
            self._file.write(json.dumps(move) + "\n")
