"""Forms that wait for their turn: taken once over all workers, bounded, and never another visitor's."""

import os
import random
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from edge.support.shared_forms import FORMS_BYTES, LARGEST_FORM, MOST_OF_A_VISITOR, SharedForms

NOW = 1_795_000_000.0
TICKET = "t" * 22


def new_forms() -> SharedForms:
    descriptor = os.memfd_create("forms")
    os.ftruncate(descriptor, FORMS_BYTES)
    return SharedForms(descriptor)


def key(number: int) -> bytes:
    return number.to_bytes(16, "little")


def test_a_form_is_taken_once():
    forms = new_forms()
    assert forms.put(key(1), TICKET, b"note=1", NOW, NOW + 60.0)
    assert forms.take(key(2), TICKET, NOW) is None
    assert forms.take(key(1), "o" * 22, NOW) is None, "the key alone is not enough"
    assert forms.take(key(1), TICKET, NOW) == b"note=1"
    assert forms.take(key(1), TICKET, NOW + 3000.0) == b"", "it is remembered that it was sent"


def test_a_form_that_was_not_sent_is_put_back():
    forms = new_forms()
    forms.put(key(1), TICKET, b"note=1", NOW, NOW + 60.0)
    content = forms.take(key(1), TICKET, NOW)
    assert content == b"note=1"
    assert forms.put(key(1), TICKET, content, NOW, NOW + 60.0)
    assert forms.take(key(1), TICKET, NOW) == b"note=1"
    assert forms.take(key(1), TICKET, NOW) == b""


def test_a_form_that_is_put_twice_is_kept_once():
    forms = new_forms()
    for content in (b"note=1", b"note=2"):
        assert forms.put(key(1), TICKET, content, NOW, NOW + 60.0)
    assert forms.take(key(1), TICKET, NOW) == b"note=2"
    assert forms.take(key(1), TICKET, NOW) == b"", "the older one is not sent after it"


def test_a_form_ends_in_time():
    forms = new_forms()
    forms.put(key(1), TICKET, b"x", NOW, NOW + 60.0)
    assert forms.take(key(1), TICKET, NOW + 60.0) is None


def test_a_visitor_has_few_forms_and_pushes_nobody_out():
    forms = new_forms()
    kept = [forms.put(key(n), TICKET, b"x" * 100, NOW, NOW + 60.0) for n in range(9)]
    assert kept == [True] * MOST_OF_A_VISITOR + [False] * (9 - MOST_OF_A_VISITOR)
    for n in range(MOST_OF_A_VISITOR):
        assert forms.take(key(n), TICKET, NOW) == b"x" * 100


def test_memory_is_bounded_and_what_is_kept_stays_whole():
    """Twenty thousand visitors send forms of every size: some are kept, and each of those is whole."""
    forms, chance, kept = new_forms(), random.Random(5), {}
    for n in range(20_000):
        ticket = f"{n:022}"
        content = chance.randbytes(chance.choice((10, 1000, 4000, 30_000, LARGEST_FORM)))
        if forms.put(key(n), ticket, content, NOW, NOW + 60.0):
            kept[n] = content
    assert 1500 < len(kept) < 2200
    for n, content in kept.items():
        assert forms.take(key(n), f"{n:022}", NOW) == content
    assert not forms.put(key(0), TICKET, bytes(LARGEST_FORM + 1), NOW, NOW + 60.0)


@given(st.binary(max_size=2000), st.text(max_size=30), st.binary(max_size=20))
def test_no_content_raises(content, ticket, wanted):
    forms = SHARED
    if forms.put(wanted, ticket, content, NOW, NOW + 60.0):
        assert forms.take(wanted, ticket, NOW) == content


SHARED = new_forms()

RACE = """
import sys
from edge.support.shared_forms import SharedForms
forms = SharedForms(int(sys.argv[1]))
sys.stdin.readline()
print(sum(bool(forms.take(n.to_bytes(16, "little"), f"{n:022}", 1_795_000_000.0)) for n in range(500)))
"""


def test_of_several_workers_one_takes_a_form():
    """Four processes reach for the same 500 forms at the same moment."""
    descriptor = os.memfd_create("forms")
    os.ftruncate(descriptor, FORMS_BYTES)
    forms = SharedForms(descriptor)
    kept = sum(forms.put(key(n), f"{n:022}", b"note", NOW, NOW + 60.0) for n in range(500))
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(descriptor)],
            pass_fds=[descriptor], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    taken = [int(worker.communicate()[0]) for worker in workers]
    assert sum(taken) == kept
