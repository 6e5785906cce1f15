"""The shape of the source: no import cycle, small modules and functions, the words of docs/glossary.md.

setup.cfg holds which package may import which, by import-linter. These tests hold what import-linter cannot express.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("controller", "waiting_room", "edge", "checkout")

MOST_MODULE_LINES = 320
MOST_FUNCTION_LINES = 50
#: Modules that may be longer, each with the reason.
LONG_MODULES: dict[str, str] = {}
#: Functions that may be longer, as `module.function` or `module.Class.function`, each with the reason.
LONG_FUNCTIONS: dict[str, str] = {}

#: Modules that may make a task without a TaskGroup.
TASK_WRAPPERS = ("edge.support.tasks", "checkout.tasks")

MAY_NAME_OLD = ("CHANGELOG.md", "tests/test_structure.py")
#: Names that the glossary has replaced and that no other file may contain.
OLD_NAMES = (
    *("HeldAnswers", "Recogniser", "GrantDesk", "ShowUp", "SelfReturns", "Standstill", "Foresight", "StallWatch"),
    *("edge/plane", "edge.plane", "edge/abuse", "edge.abuse", "edge/workers", "edge.workers"),
    *("edge/simulation", "edge.simulation", "tests/edge/plane", "tests/edge/abuse", "tests/edge/workers"),
    *("suspect_at", "without_seconds", "valid_seconds", "every_seconds", "bucket_floor"),
    *("is_elsewhere", "passes_elsewhere", "places_moved_back", "call_held", "release_held", "answers_held"),
    *("stanchion_grants", "stanchion_grant_seconds", "stanchion_joins", "stanchion_answers_held"),
)
#: Words that prose may use and that no longer name anything in the code.
OLD_IDENTIFIERS = frozenset(
    (
        *("Plane", "Entrance", "Splice", "Pace", "Asked", "Asking", "Census", "Shelf", "Recognition", "Shape", "Facts"),
        *("Answers", "Replies", "Refusals", "Uses", "Grants", "Seat", "Board", "Listing", "Lateness", "Slip"),
        *("plane", "census", "shelf", "entrance", "splice", "seat", "board", "slip", "spare", "lent"),
        *("brim", "displace", "supersedes"),
    )
)


@cache
def sources() -> dict[str, Path]:
    """Return every module of the packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(sources()[name].read_text("utf-8"))


def imports(name: str) -> set[str]:
    """Return the modules of the project that a module imports, at its top or inside a function.

    `from package import module` counts as an import of `package.module` alone, so an `__init__` may import the modules
    of its package, and these may not import a name from it.
    """
    found = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: a relative import"
            module = node.module or ""
            found |= {
                f"{module}.{each.name}" if f"{module}.{each.name}" in sources() else module for each in node.names
            }
    return found & sources().keys()


def cycles(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Yield the groups of modules that import each other, by Tarjan's algorithm (1972)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(name: str) -> Iterator[list[str]]:
        number[name] = low[name] = len(number)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in number:
                yield from visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], number[other])
        if low[name] == number[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1 or name in graph[name]:
                yield group

    for name in graph:
        if name not in number:
            yield from visit(name)


def functions(name: str) -> Iterator[tuple[str, int]]:
    """Yield a module's functions as `module.Class.function`, and their numbers of lines from `def` to the end."""

    def visit(node: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                assert child.end_lineno is not None
                yield f"{prefix}.{child.name}", child.end_lineno - child.lineno + 1
                yield from visit(child, f"{prefix}.{child.name}")
            elif isinstance(child, ast.ClassDef):
                yield from visit(child, f"{prefix}.{child.name}")
            else:
                yield from visit(child, prefix)

    yield from visit(tree(name), name)


def test_no_module_imports_itself_through_others():
    graph = {name: imports(name) for name in sources()}
    assert len(graph) > 150
    assert list(cycles(graph)) == []


def test_a_cycle_is_found():
    assert list(cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == [["a", "b", "c"]]
    assert list(cycles({"a": {"b", "c"}, "b": {"c"}, "c": set()})) == []


def test_no_import_is_hidden_from_running_code():
    """An import under TYPE_CHECKING is a cycle that does not show."""
    assert [name for name, path in sources().items() if "TYPE_CHECKING" in path.read_text("utf-8")] == []


def test_every_task_has_an_owner():
    """Tasks are made by a TaskGroup or by `spawn`; ruff cannot see `loop.create_task`."""
    raw = {
        f"{name}:{node.lineno}"
        for name in sources()
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Attribute) and node.attr == "create_task" and "loop" in ast.unparse(node.value)
    }
    assert {each for each in raw if each.partition(":")[0] not in TASK_WRAPPERS} == set()


def test_modules_are_small():
    lines = {name: len(path.read_text("utf-8").splitlines()) for name, path in sources().items()}
    too_long = {name for name, count in lines.items() if count > MOST_MODULE_LINES}
    assert {name: lines[name] for name in too_long ^ LONG_MODULES.keys()} == {}


def test_functions_are_small():
    lines = {function: count for name in sources() for function, count in functions(name)}
    too_long = {name for name, count in lines.items() if count > MOST_FUNCTION_LINES}
    assert {name: lines.get(name) for name in too_long ^ LONG_FUNCTIONS.keys()} == {}


def compiled_packages_and_pure_modules() -> tuple[list[str], list[str]]:
    """Return the paths that setup.py names. It compiles whole packages and lists the exceptions."""
    assigned = {
        node.targets[0].id: ast.unparse(node.value)
        for node in ast.parse((ROOT / "setup.py").read_text("utf-8")).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    packages = re.findall(r"'([\w/]+)'", assigned["COMPILED_PACKAGES"])
    return packages, re.findall(r"'([\w/]+\.py)'", assigned["PURE"])


def test_every_module_that_stays_pure_exists_in_a_compiled_package():
    packages, pure = compiled_packages_and_pure_modules()
    assert [package for package in packages if not (ROOT / package).is_dir()] == []
    assert [path for path in pure if not (ROOT / path).is_file()] == []
    assert [path for path in pure if path.rpartition("/")[0] not in packages] == []
    assert len(pure) == len(set(pure))


#: mypyc gives these no layout of their own, so interpreted classes may derive from their children.
OPEN_BASES = frozenset(("Exception", "NamedTuple", "Enum", "StrEnum", "IntEnum", "Protocol", "Struct", "BaseModel"))


def test_interpreted_classes_derive_only_from_compiled_classes_that_allow_it():
    """Otherwise the compiled form fails when the first object is made, and the pure form shows nothing."""
    packages, pure = compiled_packages_and_pure_modules()

    def is_compiled(name: str) -> bool:
        path = str(sources()[name].relative_to(ROOT))
        return path.rpartition("/")[0] in packages and path not in pure and not path.endswith("__init__.py")

    bases: dict[tuple[str, str], list[tuple[str, str]]] = {}
    allowing = set()
    for name in sources():
        origin = {
            alias.asname or alias.name: (node.module, alias.name)
            for node in ast.walk(tree(name))
            if isinstance(node, ast.ImportFrom) and node.module is not None
            for alias in node.names
        }
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.ClassDef):
                names = [ast.unparse(base).partition("[")[0] for base in node.bases]
                bases[name, node.name] = [origin.get(base, (name, base)) for base in names]
                if any("allow_interpreted_subclasses" in ast.unparse(each) for each in node.decorator_list):
                    allowing.add((name, node.name))

    def has_no_layout(base: tuple[str, str]) -> bool:
        return base[1] in OPEN_BASES or any(map(has_no_layout, bases.get(base, ())))

    closed = {
        f"{child[0]}.{child[1]} derives from {base[0]}.{base[1]}"
        for child, parents in bases.items()
        for base in parents
        if not is_compiled(child[0])
        and base in bases
        and is_compiled(base[0])
        and base not in allowing
        and not has_no_layout(base)
    }
    assert closed == set()


def test_no_old_name_is_left():
    pattern = rf"(^|[^A-Za-z])({'|'.join(map(re.escape, OLD_NAMES))})([^A-Za-z]|$)"
    command = ["git", "grep", "--untracked", "-nIE", pattern, "--", ".", *(f":!{path}" for path in MAY_NAME_OLD)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert found.stdout.splitlines() == []


def identifiers(text: str) -> set[str]:
    """Return every name that Python source defines or uses, without leading underscores."""
    fields = [
        getattr(node, field, None) for node in ast.walk(ast.parse(text)) for field in ("id", "attr", "arg", "name")
    ]
    return {name.lstrip("_") for name in fields if isinstance(name, str)}


def test_no_old_word_names_anything():
    paths = [path for folder in (*PACKAGES, "tests") for path in (ROOT / folder).rglob("*.py")]
    found = {str(path.relative_to(ROOT)): identifiers(path.read_text("utf-8")) & OLD_IDENTIFIERS for path in paths}
    assert {path: names for path, names in found.items() if names} == {}
