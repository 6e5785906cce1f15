"""The rules of single settings, and the reference file that documents all of them."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from edge.settings.loading import load_settings, parse_settings
from edge.settings.model import Settings
from edge.supervisor.reloading import NEEDS_RESTART
from edge.support.errors import ConfigurationError

REFERENCE = Path(__file__).parents[3] / "configs" / "reference.yaml"
#: One of several keys is required, so the reference shows a value for one.
ONE_OF = ("secret_keys_env", "secret_keys_file", "upstream.url")


def section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a field holds, itself or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := section_of(part))), None)


def leaves(model: type[BaseModel], at: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key of the settings that holds a value rather than a section. A list of sections that is empty by
    default is a value: its comment tells what may stand in it."""
    for name, field in model.model_fields.items():
        path, section = f"{at}{name}", section_of(field.annotation)
        if section is None or field.default == ():
            yield path, field
        else:
            yield from leaves(section, f"{path}.")


def shown(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key of the reference file and its value. Of a list of sections only the first counts."""
    for name, inner in value.items():
        path = f"{at}{name}"
        if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            inner = inner[0]
        if isinstance(inner, Mapping) and inner:
            yield from shown(inner, f"{path}.")
        else:
            yield path, inner


def comments() -> dict[str, str]:
    """Return the comment above every key of the reference file, by the key's path."""
    found: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    above: list[str] = []
    for line in REFERENCE.read_text("utf-8").splitlines():
        line = re.sub(r"^(\s*)- (?=#)", r"\1  ", line)
        text = line.strip()
        if text.startswith("#"):
            above.append(text.removeprefix("#").strip())
        elif key := re.match(r"(\s*)([a-z0-9_]+):", line):
            indent = len(key[1])
            parents = [parent for parent in parents if parent[0] < indent]
            path = ".".join([name for _, name in parents] + [key[2]])
            found[path] = "\n".join(above)
            parents.append((indent, key[2]))
            above = []
        elif not text:
            above = []
    return found


LEAVES = dict(leaves(Settings))
SHOWN = dict(shown(yaml.safe_load(REFERENCE.read_text("utf-8"))))


def test_the_reference_loads():
    """An operator can start from the reference file."""
    assert load_settings(REFERENCE).rooms[0].name == "checkout"


def test_the_reference_is_complete():
    """The reference holds every setting and no other key."""
    assert sorted(SHOWN) == sorted(LEAVES)


@pytest.mark.parametrize("path", sorted(LEAVES))
def test_the_reference_shows_and_names_the_real_default(path: str):
    """A key shows its default and its comment names the same, or the comment says that the key is required."""
    field, comment = LEAVES[path], comments()[path]
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        assert "required" in comment.splitlines()
        return
    plain = list(default) if isinstance(default, tuple) else default
    [named] = re.findall(r"^default: (.+)$", comment, re.M)
    assert named == "the list below" or yaml.safe_load(named) == plain
    assert path in ONE_OF or SHOWN[path] == plain


@pytest.mark.parametrize("path", sorted(LEAVES))
def test_the_reference_names_the_unit_of_every_number(path: str):
    """A number without a unit is a trap for operators."""
    kinds = {LEAVES[path].annotation, *get_args(LEAVES[path].annotation)} - {NoneType}
    is_number = any(kind in (int, float) or {int, float} & set(get_args(kind)) for kind in kinds)
    if is_number and path != "rooms.page.status_code":
        assert re.search(r"^unit: .+", comments()[path], re.M), comments()[path]


def test_the_reference_marks_what_needs_a_restart():
    """A reload changes all settings but those that the reference marks. The supervisor has the same list."""
    marked = {path for path, comment in comments().items() if "restart" in comment.splitlines()}
    assert marked == set(NEEDS_RESTART)


def room(**changes: Any) -> dict[str, Any]:
    return {
        "name": "checkout",
        "match": {"paths": ["/checkout*"]},
        "capacity": {"admissions_per_second": 5},
        **changes,
    }


def faults_of(**changes: Any) -> dict[str, str]:
    """Return the faults of the smallest settings with these changes, by path."""
    least: dict[str, Any] = {"secret_keys_env": "KEYS", "upstream": {"url": "http://shop:9000"}, "rooms": [room()]}
    try:
        parse_settings(yaml.safe_dump({**least, **changes}))
    except ConfigurationError as error:
        return {fault.path: fault.message for fault in error.faults}
    return {}


def test_the_smallest_settings_have_no_faults():
    """An upstream, a source of keys, and one room with paths and a capacity are enough."""
    assert faults_of() == {}


@pytest.mark.parametrize(
    ("changes", "path", "says"),
    [
        ({"workers": 0}, "workers", "must be >= 1, got 0"),
        ({"rooms": [room(cors={"origins": ["*"]})]}, "rooms[0].cors.origins[0]", "must be an origin"),
        ({"rooms": [room(cors={"origins": ["null"]})]}, "rooms[0].cors.origins[0]", "must be an origin"),
        ({"rooms": [room(cors={"origins": ["https://a.b/"]})]}, "rooms[0].cors.origins[0]", "got 'https://a.b/'"),
        ({"rooms": [room(session={"confirm_seconds": -1})]}, "rooms[0].session.confirm_seconds", ">= 0"),
        ({"limits": {"form_bytes": 70_000}}, "limits.form_bytes", "<= 65536"),
        ({"workers": 257}, "workers", "must be <= 256, got 257"),
        ({"workers": 1.5}, "workers", "must be a whole number"),
        ({"workers": "2"}, "workers", "must be a whole number, got '2'"),
        ({"workers": True}, "workers", "must be a whole number, got True"),
        ({"listen": []}, "listen", "at least 1"),
        ({"listen": "tcp://0.0.0.0:80"}, "listen", "must be a list"),
        ({"listen": ["0.0.0.0:80"]}, "listen[0].url", "must look like tcp://HOST:PORT"),
        ({"listen": ["tcp://0.0.0.0:65536"]}, "listen[0].url", "must look like tcp://HOST:PORT"),
        ({"listen": ["tcp://::1:80"]}, "listen[0].url", "for IPv6 tcp://[::1]:8080"),
        ({"listen": ["tcp://a:1", "udp://a:1"]}, "listen[1].url", "udp"),
        ({"admin": {"listen": 9090}}, "admin.listen", "must be text, got 9090"),
        ({"admin": None}, "admin", "must be a mapping"),
        ({"upstream": {"url": "shop:9000"}}, "upstream.url", "must look like http://HOST:PORT"),
        ({"upstream": {"url": "http://shop:99999"}}, "upstream.url", "must look like http://HOST:PORT"),
        ({"upstream": {"url": "http://[::1"}}, "upstream.url", "must look like http://HOST:PORT"),
        ({"upstream": {"url": "http://shop/path"}}, "upstream.url", "scheme, host and port only"),
        ({"upstream": {"url": "http://a:b@shop"}}, "upstream.url", "scheme, host and port only"),
        ({"upstream": {"url": "http://shop", "connect_timeout_seconds": 0}}, "upstream.connect_timeout_seconds", "> 0"),
        ({"upstream": {}}, "upstream", "exactly one of url and servers"),
        ({"upstream": {"url": "http://a", "servers": ["http://b"]}}, "upstream", "exactly one of url and servers"),
        ({"upstream": {"servers": ["http://a", "http://a"]}}, "upstream", "twice"),
        ({"upstream": {"servers": ["http://a", "b"]}}, "upstream.servers[1]", "must look like http://HOST:PORT"),
        ({"upstream": {"servers": ["unix://shop.sock"]}}, "upstream.servers[0]", "must look like unix:///PATH"),
        ({"upstream": {"url": "unix:///run/" + "x" * 200}}, "upstream.url", "at most 100 characters"),
        ({"upstream": {"url": "unix:///run/s", "host_header": "upstream"}}, "upstream", "a single server with a host"),
        (
            {"upstream": {"servers": ["http://a", "http://b"], "host_header": "upstream"}},
            "upstream",
            "a single server with a host",
        ),
        ({"upstream": {"url": "https://a", "tls": {"client_key": "k.pem"}}}, "upstream.tls", "client_certificate"),
        ({"upstream": {"url": "http://a", "health": {"path": "health"}}}, "upstream.health.path", "must be a path"),
        (
            {"upstream": {"url": "http://a", "health": {"interval_seconds": 0}}},
            "upstream.health.interval_seconds",
            ">=",
        ),
        ({"upstream": {"url": "http://a", "balance": "random"}}, "upstream.balance", "'round_robin'"),
        ({"upstream": {"url": "http://s", "host_header": "x"}}, "upstream.host_header", "'preserve' or 'upstream'"),
        ({"trusted_proxies": ["10.0.0.0/33"]}, "trusted_proxies[0]", "CIDR"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, "trusted_proxies[0]", "host bits"),
        ({"bypass": ["robots.txt"]}, "bypass[0]", "must start with '/' or '*'"),
        ({"bypass": ["/a#b"]}, "bypass[0]", "'#' never reaches a server"),
        ({"bypass": ["/checkout;x"]}, "bypass[0]", "leave it out"),
        ({"cookies": {"domain": "shop example"}}, "cookies.domain", "must match"),
        ({"log": {"level": "loud"}}, "log.level", "must be one of"),
        ({"rooms": []}, "rooms", "at least 1"),
        ({"rooms": [room(name="Check Out")]}, "rooms[0].name", "must match"),
        ({"rooms": [room(), room()]}, "rooms[1].name", "'checkout' is already the name of rooms[0]"),
        ({"rooms": [room(match={"paths": []})]}, "rooms[0].match.paths", "at least 1"),
        ({"rooms": [room(polling={"min_seconds": 5, "max_seconds": 2})]}, "rooms[0].polling.max_seconds", ">= min"),
        ({"rooms": [room(polling={"min_seconds": 20})]}, "rooms[0].polling.max_seconds", ">= min_seconds (20)"),
        ({"rooms": [room(page={"status_code": 429})]}, "rooms[0].page.status_code", "must be 200, 202 or 503"),
        ({"rooms": [room(session={"renew": "yes"})]}, "rooms[0].session.renew", "must be true or false"),
        (
            {"listen": ["tcp://0.0.0.0:80"], "upstream": {"url": "http://127.0.0.1"}},
            "",
            "the edge itself listens",
        ),
        ({"listen": ["tcp://[::]:81"], "upstream": {"url": "http://[::1]:81"}}, "", "the edge itself listens"),
        ({"listen": ["tcp://127.0.0.1:81"], "upstream": {"url": "http://localhost:81"}}, "", "the edge itself listens"),
        ({"secret_keys_file": "/k"}, "", "exactly one of secret_keys_env and secret_keys_file"),
    ],
)
def test_a_faulty_value_is_reported_with_its_path(changes: dict[str, Any], path: str, says: str):
    """Every fault says where it is, what is allowed and what was given."""
    found = faults_of(**changes)
    assert list(found) == [path]
    assert says in found[path]


@pytest.mark.parametrize("rate", [-3, float("nan"), float("inf"), 1e7, None, "fast", True, [1]])
def test_a_capacity_is_a_finite_number_of_visitors_a_second(rate: Any):
    """Or 0, which lets the line stand still."""
    assert not faults_of(rooms=[room(capacity={"admissions_per_second": 0})])
    assert list(faults_of(rooms=[room(capacity={"admissions_per_second": rate})])) == [
        "rooms[0].capacity.admissions_per_second"
    ]


def test_nodes_are_machines_times_workers():
    """All workers of all machines share a room's capacity."""
    settings = parse_settings(
        yaml.safe_dump(
            {
                "secret_keys_env": "K",
                "workers": 3,
                "cluster": {"machines": 4},
                "upstream": {"url": "http://s"},
                "rooms": [room()],
            }
        )
    )
    assert settings.nodes == 12


def test_settings_are_frozen():
    """No part of the edge can change the settings that the others see."""
    settings = load_settings(REFERENCE)
    with pytest.raises(ValueError, match="frozen"):
        settings.workers = 2  # type: ignore[misc]
