"""Scheduled sales in the settings: moments with offsets and time zones, and sales one after the other."""

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from edge.settings.loading import parse_settings
from edge.settings.model import Settings
from edge.settings.room import RoomSettings
from edge.support.errors import ConfigurationError


def parsed(*sales: Any) -> RoomSettings:
    text = yaml.safe_dump(
        {
            "secret_keys_env": "K",
            "upstream": {"url": "http://127.0.0.1:9000"},
            "rooms": [
                {
                    "name": "checkout",
                    "match": {"paths": ["/checkout*"]},
                    "capacity": {"admissions_per_second": 5},
                    "sales": list(sales),
                }
            ],
        }
    )
    return parse_settings(text).rooms[0]


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("opens_at", "zone", "expected"),
    [
        ("2026-11-27T20:00:00+01:00", None, "2026-11-27T19:00:00Z"),
        ("2026-11-27T20:00:00.250Z", None, "2026-11-27T20:00:00.250Z"),
        ("2026-11-27T20:00:00", "Europe/Berlin", "2026-11-27T19:00:00Z"),
        ("2026-07-27T20:00:00", "Europe/Berlin", "2026-07-27T18:00:00Z"),
        ("2026-11-27 20:00", "America/New_York", "2026-11-28T01:00:00Z"),
        ("2026-11-27T20:00:00+09:00", "Europe/Berlin", "2026-11-27T11:00:00Z"),
        (datetime(2026, 11, 27, 20, tzinfo=UTC), None, "2026-11-27T20:00:00Z"),
        (1_800_000_000, None, "2027-01-15T08:00:00Z"),
    ],
)
def test_a_moment_is_read_into_unix_time(opens_at: Any, zone: str | None, expected: str) -> None:
    [sale] = parsed({"name": "drop", "opens_at": opens_at, **({"time_zone": zone} if zone else {})}).sales
    assert sale.opens_at == at(expected)
    assert sale.begins_at == sale.opens_at - 1800


def test_yaml_own_timestamps_are_moments() -> None:
    text = """
        secret_keys_env: K
        upstream: {url: "http://127.0.0.1:9000"}
        rooms:
          - name: checkout
            match: {paths: ["/checkout*"]}
            capacity: {admissions_per_second: 5}
            sales:
              - {name: a, opens_at: 2026-11-27T20:00:00+01:00}
              - {name: b, prequeue_at: 2026-11-28 19:30:00, opens_at: 2026-11-28 20:00:00, time_zone: Europe/Berlin}
        """
    first, second = parse_settings(text).rooms[0].sales
    assert (first.opens_at, second.opens_at) == (at("2026-11-27T19:00:00Z"), at("2026-11-28T19:00:00Z"))
    assert second.prequeue_at == at("2026-11-28T18:30:00Z")


def test_the_settings_survive_the_way_to_a_worker() -> None:
    room = parsed({"name": "drop", "opens_at": "2026-11-27T20:00", "time_zone": "Europe/Berlin", "order": "draw"})
    tree = {"secret_keys_env": "K", "upstream": {"url": "http://127.0.0.1:9000"}, "rooms": [room]}
    settings = Settings.model_validate(tree)
    assert Settings.model_validate(settings.model_dump(mode="json")).rooms == settings.rooms


MORNING = {"name": "morning", "opens_at": "2026-11-27T08:00:00Z", "closes_at": "2026-11-27T10:00:00Z"}


@pytest.mark.parametrize(
    ("sales", "words"),
    [
        ([{"name": "drop"}], "sales[0].opens_at: is required"),
        ([{"name": "drop", "opens_at": "2026-11-27T20:00:00"}], "must have an offset"),
        ([{"name": "drop", "opens_at": "tomorrow"}], "must be a date and a time"),
        ([{"name": "drop", "opens_at": "tomorrow", "time_zone": "Europe/Berlin"}], "must be a date and a time"),
        ([{"name": "drop", "opens_at": True}], "must be a date and a time"),
        ([{"name": "drop", "opens_at": 5}], "between the years"),
        ([{"name": "drop", "opens_at": "2026-11-27T20:00:00", "time_zone": "Mars/Base"}], "knows no 'Mars/Base'"),
        ([{"name": "drop", "opens_at": "2026-11-27T20:00:00", "time_zone": "../etc/passwd"}], "knows no"),
        ([{"name": "drop", "opens_at": "2026-10-25T02:30:00", "time_zone": "Europe/Berlin"}], "clocks change"),
        ([{"name": "drop", "opens_at": "2026-03-29T02:30:00", "time_zone": "Europe/Berlin"}], "clocks change"),
        ([{**MORNING, "closes_at": "2026-11-27T07:00:00Z"}], "closes_at must be after opens_at"),
        ([{**MORNING, "prequeue_at": "2026-11-27T09:00:00Z"}], "prequeue_at must not be after opens_at"),
        ([{**MORNING, "order": "chance"}], "order"),
        ([{**MORNING, "name": "No Spaces"}], "name"),
        ([MORNING, MORNING], "two sales have the name 'morning'"),
        ([MORNING, {"name": "noon", "opens_at": "2026-11-27T10:10:00Z"}], "before 'morning' closes"),
        ([{"name": "a", "opens_at": 1.8e9}, {"name": "b", "opens_at": 1.8e9 + 60}], "before 'a' opens"),
    ],
)
def test_what_is_wrong_with_a_sale_is_said(sales: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(ConfigurationError) as found:
        parsed(*sales)
    assert words in str(found.value)
