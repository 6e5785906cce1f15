"""Both forms of the leaf read mutated heads, cookies and signatures alike. The long run is `tests.reliability.leaf`."""

from tests.native_leaf import leaf
from tests.reliability.leaf import compare


def test_both_forms_give_the_same_answer_for_mutated_input():
    for kind, (count, taken) in compare(leaf(), 2000, seed=7).items():
        assert taken > count / 4, f"of {kind} hardly anything was accepted: the test compares nothing"
