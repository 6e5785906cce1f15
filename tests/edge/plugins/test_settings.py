"""What a dialect cannot carry is refused by `stanchion check`, with the reason."""

from typing import Any

import pytest
import yaml

from edge.settings.loading import parse_settings
from edge.support.errors import ConfigurationError

ON = {"enabled": True}
LISTEN = "tcp://127.0.0.1:9191"


def fault_of(plugins: dict[str, Any], **room: Any) -> str:
    """Return the fault of settings with these plugins, '' if there is none."""
    tree = {
        "secret_keys_env": "KEYS",
        "upstream": {"url": "http://shop:9000"},
        "rooms": [
            {
                "name": "checkout",
                "match": {"paths": ["/checkout*"]},
                "capacity": {"admissions_per_second": 5},
                **room,
            }
        ],
        "plugins": plugins,
    }
    try:
        parse_settings(yaml.safe_dump(tree))
    except ConfigurationError as error:
        [fault] = error.faults
        return f"{fault.path}: {fault.message}"
    return ""


@pytest.mark.parametrize(
    ("plugins", "says"),
    [
        ({"listen": LISTEN, "endpoints": {"forward_auth": {**ON, "status_code": 200}}}, "every 2xx for leave to enter"),
        ({"listen": LISTEN, "endpoints": {"ext_authz": {**ON, "status_code": 503}}}, "a 403 without the page"),
        ({"listen": LISTEN, "endpoints": {"ext_authz": {**ON, "status_code": 200}}}, "leave to enter"),
        ({"listen": LISTEN, "endpoints": {"auth_request": ON}}, "auth_request needs accel"),
        ({"endpoints": {"accel": ON}}, "endpoints.accel needs listen"),
        ({"listen": LISTEN}, "listen needs an endpoint"),
        ({"grpc_listen": LISTEN}, "need each other"),
        ({"listen": LISTEN, "endpoints": {"ext_authz_grpc": ON}}, "need each other"),
        ({"report": ON}, "report needs listen"),
        ({"listen": "http://127.0.0.1:1"}, "must look like tcp://HOST:PORT"),
        ({"listen": LISTEN, "endpoints": {"accel": {**ON, "location": "/shop"}}}, "must match"),
        ({"listen": LISTEN, "max_park_seconds": 6, "endpoints": {"accel": ON}}, "must be <= 5"),
        ({"listen": LISTEN, "peers": ["here"], "endpoints": {"accel": ON}}, "must be an address or a CIDR range"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(plugins: dict[str, Any], says: str) -> None:
    assert says in fault_of(plugins)


@pytest.mark.parametrize(
    "plugins",
    [
        {},
        {"listen": LISTEN, "endpoints": {"accel": ON, "auth_request": ON}},
        {"listen": "unix:///run/stanchion/plugins.sock", "endpoints": {"forward_auth": ON}},
        {"listen": LISTEN, "grpc_listen": "tcp://127.0.0.1:9192", "endpoints": {"ext_authz_grpc": ON}},
    ],
)
def test_what_works_is_accepted(plugins: dict[str, Any]) -> None:
    assert fault_of(plugins) == ""


def test_an_adaptive_capacity_needs_the_reports_of_the_shop() -> None:
    adaptive = {"capacity": {"admissions_per_second": 5, "adaptive": {"enabled": True}}}
    asked = {"listen": LISTEN, "endpoints": {"accel": ON}}
    assert "set plugins.report.enabled" in fault_of(asked, **adaptive)
    assert fault_of({**asked, "report": ON}, **adaptive) == ""
    assert fault_of({}, **adaptive) == ""
