"""Two generations: the last `most` keys are present, and at most twice as many."""

from hypothesis import given
from hypothesis import strategies as st

from edge.support.two_generations import TwoGenerations

MOST = 8


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=200))
def test_the_last_keys_are_present_with_their_latest_value(steps: list[tuple[int, bool]]) -> None:
    """Keys that were put or found. A value that was replaced never comes back."""
    memory: TwoGenerations[int, int] = TwoGenerations(MOST)
    latest: dict[int, int] = {}
    used: list[int] = []
    for value, (key, puts) in enumerate(steps):
        if puts:
            memory.put(key, value)
            latest[key] = value
            used.append(key)
            continue
        found = memory.get(key)
        assert found is None or found == latest[key]
        if key in used[-MOST:]:
            assert found is not None
        if found is not None:
            used.append(key)
    assert len(memory) <= 2 * MOST


def test_a_key_that_is_neither_put_nor_found_is_forgotten_after_two_generations() -> None:
    memory: TwoGenerations[int, str] = TwoGenerations(MOST)
    for key in range(2 * MOST + 1):
        memory.put(key, "x")
    assert memory.get(0) is None
    assert memory.get(2 * MOST) == "x"
