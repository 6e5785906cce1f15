"""The list of modules in `edge/proxy/__init__.py` is complete, and imports go upwards in it: there is no cycle."""

import ast
from pathlib import Path

import edge.proxy

FOLDER = Path(edge.proxy.__file__).parent


def listed() -> list[str]:
    lines = (edge.proxy.__doc__ or "").splitlines()
    return [line.split(".py ")[0] for line in lines if ".py " in line]


def imported(module: str) -> set[str]:
    """Return the proxy's modules that a module imports, anywhere in it."""
    nodes = ast.walk(ast.parse((FOLDER / f"{module}.py").read_text()))
    names = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.removeprefix("edge.proxy.") for name in names if name.startswith("edge.proxy.")}


def test_every_module_is_listed():
    assert sorted(listed()) == sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def test_a_module_imports_only_modules_above_it():
    order = listed()
    for at, module in enumerate(order):
        assert imported(module) <= set(order[:at]), module
