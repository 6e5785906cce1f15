"""A template and its slots."""

import pytest

from waiting_room.template import Template


def test_a_slot_without_a_value_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Template([b"a", b"b"], ["missing"]).join({})
