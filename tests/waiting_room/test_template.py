"""A template and its placeholders."""

import pytest

from waiting_room.template import Template


def test_a_placeholder_without_a_value_raises() -> None:
    with pytest.raises(KeyError):
        Template([b"a", b"b"], ["missing"]).join({})
