"""`Entropy` gives out every byte of its source at most once, in order."""

from hypothesis import given
from hypothesis import strategies as st

from edge.support.entropy import Entropy


@given(st.lists(st.integers(0, 16), max_size=200))
def test_no_byte_is_given_out_twice(counts: list[int]) -> None:
    fetched: list[bytes] = []

    def source(count: int) -> bytes:
        fetched.append(b"".join((1000 * len(fetched) + at).to_bytes(2) for at in range(count // 2)))
        return fetched[-1]

    take = Entropy(source, block=64)
    taken = [take(count) for count in counts]
    assert [len(each) for each in taken] == counts
    left = b"".join(fetched)
    for each in taken:
        at = left.index(each)
        left = left[at + len(each) :]
