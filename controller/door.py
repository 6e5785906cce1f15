"""The door of one room on one node: a gate together with the polls that are parked at it.

    poll     decide one poll                                              -> Admit, Wait or Park
    park     keep a poll that may be parked, with what answers it later   -> a number
    settle   decide a parked poll when it is answered                     -> Admit or Wait
    hang_up  the visitor closed the connection of a parked poll
    answer_one   the connection of a parked poll cannot wait any longer
    tick     one control step: the gate moves, then parked polls are answered

The life of a parked poll:

    poll -> Park -> park -> ... -> tick, or answer_older before a younger visitor's poll -> answer(now) -> settle
                             '---> hang_up

Of all visitors that are present, parked or polling, the oldest is admitted first. To keep that rule between two control
steps, call `answer_older` before each `poll`. It is a call of its own because it may admit the very visitor that polls,
on another connection: after it the caller has to look whether their ticket was redeemed.

The edge and the simulator (`controller/simulation/world.py`) both drive parking through this class.
"""

from collections.abc import Callable
from math import inf
from typing import TypeAlias

from controller.gate import Gate
from controller.polling.parked_polls import ParkedPolls
from controller.verdicts import Admit, Park, Wait

__all__ = ["Door", "DoorVerdict"]

DoorVerdict: TypeAlias = Admit | Wait | Park


class Door:
    """A gate and its parked polls. A place is the visitor's `first_seen`; times are wall clock, in seconds."""

    __slots__ = ("_has_vacancy", "gate", "parked")

    def __init__(self, gate: Gate, has_vacancy: Callable[[float], bool] | None = None) -> None:
        """has_vacancy(now): whether the room has a vacancy for a parked visitor; None if nothing limits it."""
        self.gate = gate
        self._has_vacancy = has_vacancy
        self.parked = ParkedPolls()

    def __repr__(self) -> str:
        return f"<Door {self.parked!r} {self.gate!r}>"

    @property
    def parked_count(self) -> int:
        return len(self.parked)

    def poll(
        self,
        place: float,
        now: float,
        u: float,
        vacancies: int | None = None,
        *,
        may_park: bool = True,
        is_page: bool = False,
    ) -> DoorVerdict:
        """Decide one poll. `Park` is a `Wait` that may be parked instead, by a call of `park`; nothing is parked yet.

        u: uniform in [0, 1). vacancies: None if nothing limits them. is_page: the poll loads a page, so the visitor
        sees nothing until it is answered.
        """
        gate = self.gate
        verdict = gate.decide(place, now, u, vacancies)
        if (
            may_park
            and isinstance(verdict, Wait)
            and gate.may_park(place, verdict, is_page)
            and not self.parked.is_full
        ):
            return Park(verdict, now)
        return verdict

    def park(self, place: float, park: Park, answer: Callable[[float], object]) -> int:
        """Park a poll for which `poll` returned `park`. Return the number for `hang_up`.

        answer(now) is called once, later: it calls `settle` and sends the response. It is not called after `hang_up`.
        """
        until = self.gate.park(place, park.since)
        return self.parked.park(place, park.since, until, answer)

    def settle(self, place: float, now: float, u: float, parked_s: float, vacancies: int | None = None) -> Admit | Wait:
        """Decide a poll that was parked for `parked_s` seconds. It was counted when it arrived."""
        return self.gate.settle(place, now, u, parked_s, vacancies)

    def hang_up(self, place: float, number: int) -> None:
        """Drop a parked poll after its visitor closed the connection. The gate expects the visitor no longer."""
        if self.parked.remove(number):
            self.gate.abandon(place)

    def answer_older(self, place: float, now: float) -> None:
        """Answer parked visitors that are admitted before `place` if a token is free. Call it before each `poll`."""
        if self.parked.is_due:
            self._answer(now, place)

    def tick(self, now: float) -> None:
        """Make one control step: move the gate, then answer parked visitors it admits and polls that are due."""
        self.gate.tick(now)
        if self.parked:
            self._answer(now, inf)

    def answer_one(self, number: int, now: float) -> None:
        """Answer one parked poll now, because its connection cannot wait any longer."""
        self.parked.answer_one(number, now)

    def answer_all(self, now: float) -> None:
        """Answer every parked poll now: the gate or the settings are being replaced."""
        self.parked.answer_all(now)

    def _answer(self, now: float, up_to: float) -> None:
        self.parked.answer(now, self.gate.threshold, self._would_admit, up_to)

    def _would_admit(self, place: float, now: float) -> bool:
        return self.gate.would_admit(place, now) and (self._has_vacancy is None or self._has_vacancy(now))
