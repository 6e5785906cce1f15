"""The contract of every store: Hypothesis drives a model of the shop and the real store with the same commands.

The model is written for readability and shares no code with the ledger or the Lua script. Each example opens its own
sale, so one running server serves all examples. After every step the numbers of the store equal those of the model, and
the independent checker finds nothing.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from checkout.audit import audit
from checkout.engines.engine import Engine
from checkout.values import (
    Command,
    Confirm,
    Done,
    Expire,
    Money,
    OpenSale,
    Outcome,
    Pay,
    ReadStock,
    Refused,
    Release,
    Reserve,
    Sale,
    Settle,
    State,
)

T = TypeVar("T")
COUNTER = itertools.count(1)
HOLD_MS = 1_000
LONG_MS = 600_000  # for tests with a real clock: longer than a test runs
LIVE = ("held", "paying")


class ManualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now_ms


def sale_of(total: int, per_user: int, name: str, hold_ms: int = HOLD_MS) -> Sale:
    return Sale(name, "Thing", total, 100, "EUR", 0, 0, hold_ms, per_user)


class Model:
    """The expected behaviour in simple Python. Times are from the test's clock."""

    def __init__(self, total: int, per_user: int, is_lazy: bool) -> None:
        self.total, self.per_user, self.is_lazy = total, per_user, is_lazy
        self.state: dict[str, str] = {}
        self.money: dict[str, str] = {}
        self.user: dict[str, str] = {}
        self.ends: dict[str, int] = {}
        self.keys: dict[str, tuple[str, str]] = {}

    def count(self, *states: str) -> int:
        return sum(state in states for state in self.state.values())

    def end_due(self, now: int) -> None:
        """Apply the store's own layer of expiry, if it is on."""
        if self.is_lazy:
            self.expire(self.due(now))

    def due(self, now: int) -> list[str]:
        return sorted(h for h, state in self.state.items() if state in LIVE and self.ends[h] <= now)

    def expire(self, holds: Iterable[str]) -> None:
        self.state.update(dict.fromkeys(holds, "expired"))

    def expected(self, command: Command, now: int) -> str:  # noqa: C901 - one case for each command
        """Apply the command to the model. Return `done`, `repeated`, or the reason of the refusal."""
        if not isinstance(command, Expire):
            self.end_due(now)
        match command:
            case Reserve():
                return self._reserve(command, now)
            case Pay(hold=hold, key=key, fingerprint=fingerprint):
                if key and key in self.keys:
                    if self.keys[key] != (fingerprint, hold):
                        return "key_reused"
                    return "key_running" if self.state[hold] == "paying" else "repeated"
                if self.state[hold] != "held":
                    return "paying" if self.state[hold] == "paying" else "ended"
                self.state[hold], self.money[hold] = "paying", "started"
                if key:
                    self.keys[key] = (fingerprint, hold)
            case Confirm(hold=hold):
                if self.state[hold] == "sold":
                    return "repeated"
                if self.state[hold] != "paying":
                    return "not_paying" if self.state[hold] == "held" else "ended"
                self.state[hold], self.money[hold] = "sold", "charged"
            case Release(hold=hold, end=end):
                failed = end == "payment_failed"
                if self.state[hold] == end:
                    return "repeated"
                if self.state[hold] not in LIVE:
                    return "ended"
                if self.state[hold] != ("paying" if failed else "held"):
                    return "not_paying" if failed else "paying"
                self.state[hold] = end.value
                if failed:
                    self.money[hold] = "declined"
            case Expire(hold=hold):
                if hold not in self.due(now):
                    return "not_due" if self.state[hold] in LIVE else "ended"
                self.expire([hold])
            case Settle(hold=hold, money=money):
                if self.money.get(hold) == money:
                    return "repeated"
                if self.state[hold] in LIVE or self.money.get(hold) != "started":
                    return "paying" if self.state[hold] in LIVE else "ended"
                self.money[hold] = money.value
        return "done"

    def _reserve(self, command: Reserve, now: int) -> str:
        key, wanted = command.key, command.fingerprint
        if key and key in self.keys:
            fingerprint, answer = self.keys[key]
            if fingerprint != wanted:
                return "key_reused"
            return answer.removeprefix("!") if answer.startswith("!") else "repeated"
        user_holds = [h for h, u in self.user.items() if u == command.user and self.state[h] in (*LIVE, "sold")]
        reason = "per_user" if len(user_holds) >= self.per_user else ""
        if not reason and self.count(*LIVE, "sold") == self.total:
            reason = "sold_out"
        if key:
            self.keys[key] = (wanted, f"!{reason}" if reason else command.hold)
        if reason:
            return reason
        self.state[command.hold], self.user[command.hold] = "held", command.user
        self.ends[command.hold] = now + HOLD_MS
        return "done"


COMMANDS = st.lists(
    st.tuples(
        st.sampled_from("rrrrpppcccxfesl"),
        st.integers(0, 3),
        st.sampled_from("ab"),
        st.integers(0, 9),
        st.integers(0, 4),
    ),
    min_size=1,
    max_size=6,
)


class StoreMachine(RuleBasedStateMachine):
    """Batches of commands, passing time, claiming workers and restarts. Subclasses open their store."""

    engine: Engine
    is_lazy = True

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.loop = OnLoop()
        self.engine = self.run(self.open_engine())

    def open_engine(self) -> Awaitable[Engine]:
        """Open the store with the machine's clock. `start_again` opens it again on the same data."""
        raise NotImplementedError

    def run(self, work: Awaitable[T]) -> T:
        return self.loop(work)  # type: ignore[no-any-return]

    def teardown(self) -> None:
        self.run(self.engine.close())
        self.loop.close()

    @initialize(total=st.integers(0, 4), per_user=st.integers(1, 2))
    def open(self, total: int, per_user: int) -> None:
        self.sale = sale_of(total, per_user, f"sale{next(COUNTER)}")
        self.model = Model(total, per_user, self.is_lazy)
        self.holds: list[str] = []
        assert self.verdict(OpenSale(self.sale)) == "done"
        assert self.verdict(OpenSale(self.sale)) == "repeated"
        assert self.verdict(OpenSale(self.sale._replace(total=total + 1))) == "sale_exists"

    @rule(specs=COMMANDS)
    def apply(self, specs: list[tuple[str, int, str, int, int]]) -> None:
        commands = [command for spec in specs if (command := self.command(*spec))]
        if not commands:
            return
        expected = [self.model.expected(command, self.clock()) for command in commands]
        outcomes = self.run(self.engine.apply(commands))
        assert [_name(outcome) for outcome in outcomes] == expected, list(zip(commands, outcomes, strict=True))
        for command, outcome in zip(commands, outcomes, strict=True):
            if isinstance(command, Reserve) and isinstance(outcome, Done):
                assert outcome.hold is not None
                assert (outcome.hold.state, outcome.hold.money) == (State.HELD, Money.NONE)
                assert outcome.repeated or outcome.hold.id == command.hold
        self.holds += [c.hold for c in commands if isinstance(c, Reserve) and c.hold in self.model.state]

    def command(self, kind: str, user: int, fingerprint: str, index: int, key: int) -> Command | None:
        sale = self.sale.id
        scoped = f"{sale}/{key}" if key else ""
        if kind == "r":
            return Reserve(sale, f"user{user}", f"{sale}-h{next(COUNTER)}", scoped, fingerprint)
        if kind == "l":
            return ReadStock(sale)
        if not self.holds:
            return None
        hold = self.holds[index % len(self.holds)]
        made: dict[str, Callable[[], Command]] = {
            "p": lambda: Pay(hold, f"{scoped}/pay" if key else "", fingerprint),
            "c": lambda: Confirm(hold, f"ch_{hold}"),
            "x": lambda: Release(hold, State.CANCELLED),
            "f": lambda: Release(hold, State.PAYMENT_FAILED),
            "e": lambda: Expire(hold, "test"),
            "s": lambda: Settle(hold, Money.REFUNDED),
        }
        return made[kind]()

    @rule(ms=st.sampled_from([1, HOLD_MS - 1, HOLD_MS, HOLD_MS, 3 * HOLD_MS]))
    def pass_time(self, ms: int) -> None:
        self.clock.now_ms += ms

    @rule()
    def sweep(self) -> None:
        overdue = [hold for hold in self.run(self.engine.overdue()) if hold in self.model.state]
        assert sorted(overdue) == self.model.due(self.clock())
        self.run(self.engine.apply([Expire(hold, "sweep") for hold in overdue]))
        self.model.expire(overdue)

    @rule(is_lost=st.booleans())
    def work_queue(self, is_lost: bool) -> None:
        """A worker that dies with a claim delays the end of its holds by the lease at most."""
        claimed = self.claim("worker")
        assert claimed == self.model.due(self.clock())
        assert self.claim("other") == []
        if is_lost:
            self.clock.now_ms += HOLD_MS
            lost, claimed = claimed, self.claim("other")
            assert set(lost) <= set(claimed)
        self.run(self.engine.apply([Expire(hold, "queue") for hold in claimed]))
        self.model.expire(claimed)

    def claim(self, owner: str) -> list[str]:
        claimed = self.run(self.engine.claim(owner, HOLD_MS, 1000))
        return sorted(hold for hold in claimed if hold in self.model.state)

    @rule()
    def start_again(self) -> None:
        self.run(self.engine.close())
        self.engine = self.run(self.open_engine())

    @invariant()
    def numbers_equal_the_model(self) -> None:
        outcome = self.run(self.engine.apply([ReadStock(self.sale.id)]))[0]
        self.model.end_due(self.clock())
        held, sold = self.model.count(*LIVE), self.model.count("sold")
        assert outcome.stock[:3] == (self.model.total - held - sold, held, sold)

    @invariant()
    def checker_finds_nothing(self) -> None:
        evidence = self.run(self.engine.evidence(self.sale.id))
        assert evidence is not None
        assert audit(evidence) == []
        assert {h.id: h.state for h in evidence.holds} == self.model.state
        unsettled = {hold.id for hold in self.run(self.engine.unsettled()) if hold.sale == self.sale.id}
        assert unsettled == {hold for hold, money in self.model.money.items() if money == "started"}

    def verdict(self, command: Command) -> str:
        return _name(self.run(self.engine.apply([command]))[0])


def _name(outcome: Outcome) -> str:
    match outcome:
        case Refused(reason=reason):
            return reason.value
        case Done(repeated=repeated):
            return "repeated" if repeated else "done"


class OnLoop:
    """Runs the coroutines of a store on its own event loop, for the synchronous state machine."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def __call__(self, work: Awaitable[Any]) -> Any:
        async def wait() -> Any:
            return await work

        return self._runner.run(wait())

    def close(self) -> None:
        self._runner.close()


def limited(examples: int) -> settings:
    """Return the settings of a run with this number of examples."""
    checks = list(HealthCheck)
    return settings(max_examples=examples, stateful_step_count=20, deadline=None, suppress_health_check=checks)
