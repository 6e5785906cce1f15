"""Shared lists: machines agree in the end, in whatever order they hear of changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.shield.shared_lists import LISTS, MOST, SharedLists
from edge.support.errors import ClientError

NOW = 1_000.0
CHANGES = st.tuples(
    st.integers(0, 2),  # which machine
    st.sampled_from(["192.0.2.1", "192.0.2.0/24", "2001:db8::/32"]),
    st.sampled_from(LISTS),
    st.integers(0, 5000).map(lambda hundredths: hundredths / 100),  # changes within a millisecond have no order
)


def settled(machines: list[SharedLists], now: float, order: list[tuple[int, int]]) -> None:
    for teller, hearer in [*order, (0, 1), (1, 2), (2, 0), (0, 1), (1, 2)]:
        machines[hearer].merge(machines[teller].entries_json(), now)


@given(st.lists(CHANGES, max_size=12), st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=12))
def test_all_machines_agree_on_the_last_change_of_each_network(changes, order):
    machines = [SharedLists() for _ in range(3)]
    last: dict[str, tuple[float, str]] = {}
    for at, network, which, moment in sorted(changes, key=lambda each: each[3]):
        machines[at].change(network, which, NOW + 1000.0, NOW + moment)
        if network not in last or moment > last[network][0]:
            last[network] = moment, which
    settled(machines, NOW + 50.0, order)
    assert machines[0].entries() == machines[1].entries() == machines[2].entries()
    if len({moment for *_, moment in changes}) == len(changes):
        for which in ("deny", "allow"):
            assert set(machines[0].on(which)) == {
                name if "/" in name else f"{name}/32" for name, (_, on) in last.items() if on == which
            }


def test_a_removed_entry_is_not_brought_back():
    here, there = SharedLists(), SharedLists()
    assert here.change("192.0.2.1", "deny", NOW + 3600, NOW) == "none"
    there.merge(here.entries_json(), NOW)
    assert here.change("192.0.2.1", "none", NOW + 60, NOW + 1) == "deny"
    assert not here.merge(there.entries_json(), NOW + 2)
    assert not here.drop_expired(NOW + 100)
    assert not here.merge(there.entries_json(), NOW + 100)
    assert here.on("deny") == ()
    assert there.merge(here.entries_json(), NOW + 100)
    assert there.on("deny") == ()


def test_entries_expire_and_expired_ones_are_not_taken_in():
    here, there = SharedLists(), SharedLists()
    here.change("192.0.2.1", "deny", NOW + 10, NOW)
    assert not here.drop_expired(NOW + 9)
    assert not there.merge(here.entries_json(), NOW + 10)
    assert here.drop_expired(NOW + 10)
    assert len(here) == len(there) == 0


@pytest.mark.parametrize("network", ["", "x", "192.0.2.1/24", "300.1.1.1", "192.0.2.1\n", "::g"])
def test_a_text_that_is_not_a_network_is_refused(network):
    with pytest.raises(ClientError, match=r"network|IPv4|IPv6|host bits"):
        SharedLists().change(network, "deny", NOW + 1, NOW)


@pytest.mark.parametrize(
    "told",
    [
        [["192.0.2.1", "deny", NOW + 9, NOW + 9999]],
        [["192.0.2.1", "other", NOW + 9, NOW]],
        [["192.0.2.1", "deny", "soon", NOW]],
        [["nowhere", "deny", NOW + 9, NOW]],
        [["192.0.2.1"], None, 7, "text"],
    ],
)
def test_malformed_entries_of_another_machine_are_ignored(told):
    lists = SharedLists()
    assert not lists.merge(told, NOW)
    assert len(lists) == 0


def test_the_number_of_entries_is_bounded():
    lists, full = SharedLists(), SharedLists()
    for at in range(MOST):
        full.change(f"10.0.{at // 256}.{at % 256}", "deny", NOW + 10, NOW)
    with pytest.raises(ClientError, match=str(MOST)):
        full.change("192.0.2.1", "deny", NOW + 10, NOW)
    lists.change("192.0.2.1", "deny", NOW + 10, NOW)
    lists.merge(full.entries_json(), NOW)
    assert len(lists) == MOST
    assert lists.on("deny")[-1] == "192.0.2.1/32"
