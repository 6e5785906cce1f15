"""What `stanchion check` says about sales."""

from typing import Any

import pytest

from edge.cli.check_sales import sale_warnings
from edge.settings.model import Settings

T = 1_800_000_000.0
SALE = {"name": "drop", "opens_at": T + 3600, "closes_at": T + 7200, "order": "draw"}


def settings(state: str = "auto", **room: Any) -> Settings:
    match, capacity = {"paths": ["/checkout*"]}, {"admissions_per_second": 5.0}
    named = {"name": "checkout", "match": match, "capacity": capacity, "sales": [SALE], **room}
    upstream = {"url": "http://127.0.0.1:9000"}
    tree = {"secret_keys_env": "K", "upstream": upstream, "state_folder": state, "rooms": [named]}
    return Settings.model_validate(tree)


@pytest.mark.parametrize(
    ("given", "now", "words"),
    [
        (settings(), T, []),
        (settings(), T + 7200, ["all are over"]),
        (settings(outside_sales="open"), T + 7200, []),
        (settings(mode="shadow"), T, ["no sale counts"]),
        (settings("off"), T, ["do not change the first"]),
        (settings("off"), T + 3600, []),
    ],
)
def test_a_sale_that_may_not_be_meant_is_a_warning(given: Settings, now: float, words: list[str]) -> None:
    found = [str(fault) for fault in sale_warnings(given, now)]
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found, strict=True))
    assert all("rooms[0].sales" in text for text in found)
