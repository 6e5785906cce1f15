"""Reading a file into settings and keys: one report for all faults, and ConfigurationError for any content."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.settings.loading import load_settings, parse_settings, read_keys
from edge.settings.model import Settings
from edge.support.errors import ConfigurationError

REFERENCE = Path(__file__).parents[3] / "configs" / "reference.yaml"
LEAST = """
secret_keys_env: KEYS
upstream: {url: "http://shop:9000"}
rooms:
  - {name: checkout, match: {paths: ["/checkout*"]}, capacity: {admissions_per_second: 5}}
"""


def report(text: str) -> dict[str, str]:
    """Return the faults of a text, by path."""
    with pytest.raises(ConfigurationError) as raised:
        parse_settings(text, "shop.yaml")
    return {fault.path: fault.message for fault in raised.value.faults}


def test_all_faults_come_in_one_report():
    """An operator can correct all faults of a file after one report."""
    with pytest.raises(ConfigurationError) as raised:
        parse_settings(
            """
            workers: 0
            secret_keys_env: KEYS
            upstream: {url: "ftp://shop", max_connection: 3}
            logs: {}
            rooms:
              - name: a
                match: {path: ["/"]}
                capacity: {admissions_per_second: -3}
              - {name: a, match: {paths: ["/x"]}, capacity: {}}
            """,
            "shop.yaml",
        )
    text = str(raised.value)
    assert text.splitlines()[0] == "shop.yaml: 9 faults"
    for line in (
        "workers: must be >= 1, got 0",
        "upstream.url: must look like http://HOST:PORT, got 'ftp://shop'",
        "upstream.max_connection: unknown key (did you mean 'max_connections'?)",
        "logs: unknown key (did you mean 'log'?)",
        "rooms[0].match.paths: is required",
        "rooms[0].match.path: unknown key (did you mean 'paths'?)",
        "rooms[0].capacity.admissions_per_second: must be >= 0, got -3",
        "rooms[1].capacity.admissions_per_second: is required",
        "rooms[1].name: 'a' is already the name of rooms[0]",
    ):
        assert f"  {line}\n" in text + "\n"


def test_an_unknown_key_that_resembles_nothing_gets_no_advice():
    """A similar key is suggested only if there is one."""
    assert report(LEAST + "\nxyzzy: 1")["xyzzy"] == "unknown key"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must be a mapping"),
        ("# nothing", "must be a mapping"),
        ("- a\n- b", "must be a mapping"),
        ("just words", "must be a mapping"),
        ("workers: 1\nworkers: 2", "line 2, column 1: duplicate key 'workers'"),
        ("upstream: {url: 'http://a', url: 'http://b'}", "duplicate key 'url'"),
        ("1: 2", "key 1 is not text"),
        ("yes: 2", "key True is not text"),
        ("? [a]\n: 2", "key ['a'] is not text"),
        ("? {a: 1}\n: 2", "is not text"),
        ("workers:\n\t- 1", "line 2, column 1"),
        ("workers: [", "line 1"),
        ("workers: 'open", "line 1"),
        ("workers: *nowhere", "undefined alias"),
        ("workers: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("workers: 1\n---\nworkers: 2", "line 2"),
        ("workers: \x00", "is not YAML"),
        ("a: 2001-99-99", "line 1, column 4: is not a valid timestamp"),
        ("a: !!int x", "line 1, column 4: is not a valid int"),
        ("a: !!bool x", "is not a valid bool"),
        ("a: !!timestamp x", "is not a valid timestamp"),
        ("a: !!int ''", "is not a valid int"),
        ("[" * 3000, "is not YAML"),
        ("a: &a [*a]", "line 1, column 4: an alias (*name) refers to the value that it is a part of"),
        ("a: &a {b: *a}", "refers to the value that it is a part of"),
        ("workers: 0x" + "f" * 6000, "must be <= 256, got a very long number"),
        ("workers: 1" + ":00" * 4000, "must be <= 256, got a very long number"),
        ("<<: 1", "line 1"),
        ("<<: {1: 2}", "key 1 is not text"),
    ],
)
def test_yaml_traps_are_faults(text: str, says: str):
    """Content that YAML parsers accept silently, or fail on, is a fault with a place and a reason."""
    assert any(says in message for message in report(text).values()), report(text)


def test_anchors_and_merge_keys_work():
    """Rooms often differ in a few keys only."""
    text = LEAST.replace("- {name", "- &first\n    {name") + "  - {<<: *first, name: vip}\n"
    assert [room.name for room in parse_settings(text).rooms] == ["checkout", "vip"]


def bomb(first: str, later: str, of: int = 9, levels: int = 30) -> str:
    """Return lines that each refer to the line before. later: with {} for the references."""
    lines = [f"a0: &a0 {first}"]
    for at in range(1, levels):
        references = later.replace(
            "{}", ", ".join(f"k{each}: *a{at - 1}" if "k:" in later else f"*a{at - 1}" for each in range(of))
        )
        lines.append(f"a{at}: &a{at} {references.replace('k:', '')}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        bomb("[x, x]", "[{}]"),
        bomb("{x: 1}", "{<<: [{}]}"),
        bomb("{x: 1}", "{<<: [{}]}", of=2, levels=400),
        bomb("{x: 1}", "{k:{}}"),
        bomb("{x: 1}", "{y: 2, <<: {}}", of=1, levels=900),
        "rooms:\n - &x {" + ", ".join(f"k{at}: 1" for at in range(300)) + "}\n" + " - {<<: *x}\n" * 600,
        "a: &a [" + "x, " * 1000 + "]\nb: [" + "*a, " * 200 + "]",
    ],
    ids=["lists", "merges", "merges of two", "mappings", "a chain of merges", "rooms", "one level"],
)
def test_aliases_that_multiply_are_a_fault(text: str):
    """A text of a few kilobytes that stands for billions of values is refused before any of them is made."""
    assert "the aliases (*name) stand for more than 100,000 values" in report(text)[""]


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"workers: \xff\xfe", "is not UTF-8 text"), (b"\xef\xbb\xbf" + LEAST.encode(), None), (LEAST.encode(), None)],
)
def test_a_file_must_be_utf8_text(tmp_path: Path, content: bytes, says: str | None):
    """Other encodings are faults. A byte order mark, which some editors write, is not."""
    file = tmp_path / "shop.yaml"
    file.write_bytes(content)
    if says is None:
        assert load_settings(file).workers == 1
    else:
        with pytest.raises(ConfigurationError, match=says):
            load_settings(file)


def test_an_unreadable_file_is_a_fault(tmp_path: Path):
    """The report names a missing file, and a folder."""
    for path in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(ConfigurationError, match=r"cannot be read: \w+") as raised:
            load_settings(path)
        assert str(path) in str(raised.value)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.dates(),
    st.binary(max_size=5),
    st.sampled_from(
        ["tcp://h:1", "http://h", "http://h:x", "http://[", "/*", "10.0.0.0/8", "auto", "a" * 5000, 10**400]
    ),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


def places(tree: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the path to every value of a tree of mappings and lists."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [at] * bool(at) + [place for key, value in inner for place in places(value, (*at, key))]


WHOLE = yaml.safe_load(REFERENCE.read_text("utf-8"))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(place=st.sampled_from(places(WHOLE)), value=values)
def test_any_value_at_any_key_loads_or_is_a_fault(place: tuple[str | int, ...], value: Any):
    """Any YAML value at any key gives settings or a ConfigurationError, never another exception."""
    tree = copy.deepcopy(WHOLE)
    section = tree
    for step in place[:-1]:
        section = section[step]
    section[place[-1]] = value
    text = yaml.safe_dump(tree, allow_unicode=True)
    try:
        loaded = parse_settings(text)
    except ConfigurationError as error:
        found = error
    else:
        assert Settings.model_validate(loaded.model_dump(mode="json")) == loaded
        return
    assert found.faults
    assert all(fault.message for fault in found.faults)
    assert str(found).isprintable() or "\n" in str(found)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=200), st.text("{}[]:-,&*!|>'\"%@`#? \n\tab0", max_size=80)))
def test_any_text_is_a_fault(text: str):
    """Random text raises ConfigurationError and nothing else."""
    with pytest.raises(ConfigurationError):
        parse_settings(text)


GOOD, OLD = "n" * 43, "o" * 43


def keys_by_env(**environment: str) -> tuple[bytes, ...]:
    return read_keys(parse_settings(LEAST), environment)


def keys_by_file(path: Path) -> tuple[bytes, ...]:
    return read_keys(parse_settings(LEAST.replace("secret_keys_env: KEYS", f"secret_keys_file: {path}")), {})


@pytest.mark.parametrize("text", [f"{GOOD},{OLD}", f"{GOOD} {OLD}", f"\n{GOOD}\n\n{OLD}\n", f"{GOOD}, {OLD},"])
def test_keys_are_read_newest_first(tmp_path: Path, text: str):
    """Commas, spaces or line ends separate keys, in an environment variable and in a file."""
    file = tmp_path / "keys"
    file.write_text(text)
    assert keys_by_env(KEYS=text) == keys_by_file(file) == (GOOD.encode(), OLD.encode())


@pytest.mark.parametrize(
    ("text", "says"), [("", "holds no key"), (" ,\n", "holds no key"), (GOOD + " short", "key 2 is")]
)
def test_a_bad_key_is_a_fault_that_does_not_show_it(tmp_path: Path, text: str, says: str):
    """Missing and short keys are faults. A report never prints a secret."""
    file = tmp_path / "keys"
    file.write_text(text)
    for read in (lambda: keys_by_env(KEYS=text), lambda: keys_by_file(file)):
        with pytest.raises(ConfigurationError) as raised:
            read()
        assert says in str(raised.value)
        assert "keygen" in str(raised.value)
        assert "short " not in str(raised.value)
        assert GOOD not in str(raised.value)


def test_a_missing_source_of_keys_is_a_fault(tmp_path: Path):
    """The report names it and the command that makes a key."""
    with pytest.raises(ConfigurationError, match=r"variable KEYS is not set.*stanchion keygen"):
        keys_by_env()
    with pytest.raises(ConfigurationError, match=r"secret_keys_file: .*missing cannot be read"):
        keys_by_file(tmp_path / "missing")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        keys_by_file(tmp_path / "binary")


def test_a_key_that_is_not_utf8_is_a_fault():
    """An environment variable can hold any bytes."""
    with pytest.raises(ConfigurationError, match="is not UTF-8"):
        keys_by_env(KEYS="k" * 40 + "\udcff")


@pytest.mark.parametrize(
    ("listen", "is_open"),
    [("127.0.0.1:1", False), ("127.9.9.9:1", False), ("[::1]:1", False), ("localhost:1", False), ("0.0.0.0:1", True),
     ("[::]:1", True), ("10.0.0.1:1", True), ("admin.example:1", True)],
)  # fmt: skip
def test_an_admin_listener_beyond_loopback_needs_a_token(listen: str, is_open: bool) -> None:
    text = """
secret_keys_env: KEYS
upstream: {url: "http://127.0.0.1:1"}
rooms: [{name: sale, match: {paths: ["/*"]}, capacity: {admissions_per_second: 1}}]
"""
    assert parse_settings(text + f'admin: {{listen: "tcp://{listen}", token_env: T}}').admin.token_env == "T"
    if not is_open:
        parse_settings(text + f'admin: {{listen: "tcp://{listen}"}}')
        return
    with pytest.raises(ConfigurationError) as raised:
        parse_settings(text + f'admin: {{listen: "tcp://{listen}"}}')
    assert [fault.path for fault in raised.value.faults] == ["admin"]
