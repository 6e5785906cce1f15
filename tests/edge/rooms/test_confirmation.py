"""The count of active visitors agrees with a list of them, whichever worker admits, meets and ends them."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from controller import CELLS
from edge.rooms.confirmation import Confirmations
from edge.rooms.stock import StockView
from edge.rooms.vacancies import TriedTickets, Vacancies
from edge.support.shared_counters import TABLE_CELLS
from waiting_room.ticket import Pass

SESSION_S, CONFIRM_S = 600.0, 15.0
NOW = 1_795_000_000.0
WORKERS = 3


def workers(confirm_s: float | None = CONFIRM_S) -> list[Vacancies]:
    """Return what the workers of one machine count with."""
    rows, cells = [[0] * CELLS for _ in range(WORKERS)], [0] * TABLE_CELLS
    return [
        Vacancies(
            StockView("checkout"),
            TriedTickets(),
            session_s=SESSION_S,
            claim_s=20.0,
            limit=100,
            rows=rows,
            claim_rows=[[0] * CELLS for _ in range(WORKERS)],
            own_row=number,
            counted_since=0.0,
            machines=1,
            confirmations=Confirmations(cells),
            confirm_s=confirm_s,
        )
        for number in range(WORKERS)
    ]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("admit", "show", "end", "robot")),
        st.integers(0, WORKERS - 1),
        st.integers(0, 20),
        st.sampled_from((0.0, 1.0, 8.0, 16.0, 40.0)),
    ),
    max_size=60,
)


@given(STEPS)
def test_the_count_agrees_with_a_list(steps):
    """Admit at one worker, show at others, several times, early and late, and end."""
    machine, now = workers(), NOW
    passes: list[Pass] = []
    counted_until: dict[str, float] = {}
    ended: set[str] = set()
    for step, worker, at, after in steps:
        now += after
        node = machine[worker]
        if step in ("admit", "robot"):
            ident = f"{len(passes):04}" + "x" * 18
            given_pass = Pass(ident, "checkout", now, now, node.expiry(now), is_unshown=True)
            node.take(now)
            node.expect(given_pass, now, is_robot=step == "robot")
            passes.append(given_pass)
            counted_until[ident] = now if step == "robot" else now + CONFIRM_S
        elif passes:
            shown = passes[at % len(passes)]
            if shown.id in ended or now >= shown.expires - SESSION_S / 64:
                continue
            if step == "show":
                node.show(shown, now)
                counted_until[shown.id] = shown.expires
            else:
                has_shown = counted_until[shown.id] == shown.expires
                node.end_session(replace(shown, is_unshown=not has_shown), now)
                ended.add(shown.id)
    wanted = sum(until > now and ident not in ended for ident, until in counted_until.items())
    near = sum(
        abs(until - now) <= 2 * SESSION_S / 64 and until - now > -20
        for until in counted_until.values()
        if until > NOW + 500
    )
    assert abs(sum(node.active(now) for node in machine) - wanted) <= near


def test_without_a_time_every_admission_counts_to_its_end():
    node = workers(confirm_s=None)[0]
    visitor_pass = Pass("a" * 22, "checkout", NOW, NOW, node.expiry(NOW))
    node.take(NOW)
    node.expect(visitor_pass, NOW, is_robot=False)
    assert node.active(NOW + 300.0) == 1


def test_a_pass_of_another_machine_counts_where_it_is_shown():
    """The machine that gave it stops counting it, and the one that meets the visitor begins."""
    here, there = workers()[0], workers()[0]
    visitor_pass = Pass("a" * 22, "checkout", NOW, NOW, here.expiry(NOW), is_unshown=True)
    here.take(NOW)
    here.expect(visitor_pass, NOW, is_robot=False)
    there.show(visitor_pass, NOW + 5.0)
    assert (here.active(NOW + 20.0), there.active(NOW + 20.0)) == (0, 1)


def test_what_is_remembered_is_bounded():
    node = workers()[0]
    for number in range(40_000):
        node.take(NOW)
        node.expect(Pass(f"{number:022}", "checkout", NOW, NOW, node.expiry(NOW), is_unshown=True), NOW, is_robot=False)
    assert node.active(NOW) == 40_000
    assert node.active(NOW + 16.0) == 40_000 - 32_768
