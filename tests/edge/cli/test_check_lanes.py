"""What `stanchion check` says about lanes."""

from typing import Any

from edge.cli.check_lanes import lane_warnings
from edge.settings.model import Settings


def paths_of(lane: dict[str, Any], **changes: Any) -> list[str]:
    room = {"name": "checkout", "match": {"paths": ["/checkout*"]}, "capacity": {"admissions_per_second": 10.0}}
    tree = {"secret_keys_env": "KEYS", "upstream": {"url": "http://shop:9000"}, **changes}
    settings = Settings.model_validate({**tree, "rooms": [{**room, "lanes": [{"name": "members", **lane}]}]})
    return [fault.path for fault in lane_warnings(settings)]


HEADER = {"name": "X-Tier", "values": ["gold"]}


def test_a_lane_that_nobody_could_enter_by_its_header_is_a_warning() -> None:
    assert paths_of({"share": 30, "header": HEADER}) == ["rooms[0].lanes[0].header"]
    assert paths_of({"share": 30, "header": HEADER}, trusted_proxies=["10.0.0.0/8"]) == []


def test_a_lane_that_admits_hardly_anybody_is_a_warning() -> None:
    assert paths_of({"share": 0.1}, workers=4) == ["rooms[0].lanes[0].share"]
    assert paths_of({"share": 10}) == []
