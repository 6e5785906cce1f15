"""The split way: what HAProxy could not enforce is refused with the reason."""

from typing import Any

import pytest
import yaml

from edge.cli.plugin.split import pass_keys_of, split_rooms_of
from edge.settings.loading import parse_settings
from edge.support.errors import ConfigurationError


def rooms_of(*rooms: dict[str, Any], is_secure: bool = True, **more: Any) -> Any:
    tree = {
        "secret_keys_env": "KEYS",
        "upstream": {"url": "http://shop:9000"},
        "rooms": [
            {"capacity": {"admissions_per_second": 5}, "session": {"bind": []}, "match": {"paths": ["/a*"]}} | room
            for room in rooms
        ],
        **more,
    }
    return split_rooms_of(parse_settings(yaml.safe_dump(tree)), is_secure=is_secure)


@pytest.mark.parametrize(
    ("room", "says"),
    [
        ({"session": {"bind": ["browser"]}}, "rooms[0].session.bind: a load balancer cannot tell"),
        ({"match": {"paths": ["/a*"], "host": "shop.example"}}, "rooms[0].match.host"),
        ({"match": {"paths": ["*.php"]}}, "needs patterns like /checkout*, got '*.php'"),
        ({"match": {"paths": ["/a?x=1"]}}, "needs patterns like /checkout*"),
        ({"stock": {"path": "/stock"}}, "rooms[0].stock.path"),
    ],
)
def test_what_haproxy_cannot_enforce_is_refused(room: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        rooms_of({"name": "a", **room})
    assert says in str(refused.value)


def test_rooms_must_not_overlap() -> None:
    with pytest.raises(ConfigurationError) as refused:
        rooms_of({"name": "a"}, {"name": "b", "match": {"paths": ["/ab*"]}})
    assert "/ab overlaps rooms[0]: /a" in str(refused.value)


def test_the_cookie_is_the_one_that_the_edge_sets() -> None:
    [secure] = rooms_of({"name": "a"})
    [plain] = rooms_of({"name": "a"}, is_secure=False)
    [wide] = rooms_of({"name": "a"}, cookies={"domain": "shop.example"})
    assert [room.cookie for room in (secure, plain, wide)] == ["__Host-stanchion_a", "stanchion_a", "stanchion_a"]


def test_a_derived_key_is_not_the_secret() -> None:
    keys = pass_keys_of((b"k" * 32, b"o" * 32))
    assert len(set(keys)) == 2
    assert all(len(key) == 44 for key in keys)
