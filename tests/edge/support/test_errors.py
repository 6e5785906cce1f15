"""All errors of the edge are one family, by the side that has to act, and a report of settings names every fault."""

import ast
import builtins
from pathlib import Path

import pytest

from edge.proxy.body import BodyFault, BodyTooLarge
from edge.proxy.response import BadResponse
from edge.support.errors import (
    ClientError,
    ConfigurationError,
    EdgeError,
    InternalError,
    SettingFault,
    UpstreamError,
)

EDGE = Path(__file__).parents[3] / "edge"


def test_every_exception_class_of_the_edge_joins_the_family() -> None:
    trees = [ast.parse(file.read_text("utf-8")) for file in sorted(EDGE.rglob("*.py"))]
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    strays = [each.name for each in classes if any(_is_builtin_exception(base) for base in each.bases)]
    assert strays == ["EdgeError"]


def _is_builtin_exception(base: ast.expr) -> bool:
    found = getattr(builtins, base.id, None) if isinstance(base, ast.Name) else None
    return isinstance(found, type) and issubclass(found, BaseException)


@pytest.mark.parametrize(
    ("kind", "blame", "status"),
    [
        (BodyFault, ClientError, 400),
        (BodyTooLarge, ClientError, 413),
        (BadResponse, UpstreamError, 502),
        (InternalError, InternalError, 500),
    ],
)
def test_an_error_says_which_side_has_to_act(kind: type[EdgeError], blame: type[EdgeError], status: int) -> None:
    error = kind("it is broken", room="checkout")
    assert isinstance(error, blame)
    assert (str(error), error.status, error.facts) == ("it is broken", status, {"room": "checkout"})


def test_a_configuration_error_reports_every_fault() -> None:
    error = ConfigurationError("shop.yaml", [SettingFault("workers", "is 0"), SettingFault("", "is not YAML")])
    assert str(error) == "shop.yaml: 2 faults\n  workers: is 0\n  is not YAML"
    assert error.status is None
    assert error.facts == {"source": "shop.yaml", "faults": ["workers: is 0", "is not YAML"]}
