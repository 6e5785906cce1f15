"""Sizes in words."""

import pytest

from edge.support.sizes import size_text


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"), (1, "1 byte"), (1023, "1023 bytes"), (1024, "1 kB"), (1536, "1.5 kB"), (10_485_760, "10 MB"),
        (1_048_575, "1 MB"), (1 << 30, "1 GB"), (1 << 40, "1 TB"), (1 << 51, "2048 TB"),
    ],
)  # fmt: skip
def test_a_size_has_a_wording(count: int, words: str) -> None:
    assert size_text(count) == words
