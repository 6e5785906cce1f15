"""A short run of what `make reliability` does a million times."""

from tests.reliability.fuzz import fuzz


def test_mutated_input_is_read_in_one_way_or_refused():
    for kind, fuzzed in fuzz(4000, seed=1).items():
        assert fuzzed.accepted > 10, f"mutations of {kind} are all refused: nothing is tried behind the first check"
        assert fuzzed.kept > 5
