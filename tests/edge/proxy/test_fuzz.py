"""A short form of the fuzzing that `make reliability` does a million times."""

from tests.reliability.fuzz import fuzz
from tests.reliability.fuzz_sockets import fuzz_sockets


def test_mutated_input_is_read_in_one_way_or_refused():
    for kind, fuzzed in fuzz(4000, seed=1).items():
        assert fuzzed.accepted > 10, f"mutations of {kind} are all refused, so nothing behind the first check is tested"
        assert fuzzed.kept > 5


async def test_mutated_bytes_over_sockets_harm_nobody():
    for kind, fuzzed in (await fuzz_sockets(700, seed=1)).items():
        assert not fuzzed.faults, (kind, len(fuzzed.faults), fuzzed.faults[:3])
        assert fuzzed.sent >= 200
        assert fuzzed.forwarded > 50, (
            f"of the mutated {kind} hardly any was accepted, so nothing behind the first check is tested"
        )
        assert fuzzed.served > 1
