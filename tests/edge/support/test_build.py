"""The version and the form of this installation."""

from importlib.metadata import version
from importlib.util import find_spec

from edge.support.build import FORM, VERSION


def test_the_version_is_the_installed_one():
    assert version("stanchion") == VERSION


def test_the_form_is_that_of_the_modules_on_a_requests_path():
    """All of them are compiled or none."""
    for name in ("controller.gate", "edge.proxy.client", "edge.decision.pipeline", "waiting_room.ticket"):
        found = find_spec(name)
        assert found is not None
        assert found.origin is not None
        assert ("pure" if found.origin.endswith(".py") else "compiled") == FORM
