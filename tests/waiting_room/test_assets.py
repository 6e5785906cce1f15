"""The static files in the form in which they are served."""

import gzip

from waiting_room.assets import STATIC_PATH, Assets

ASSETS = Assets.load()


def test_assets_are_small_and_named_by_content() -> None:
    """A name changes with the content, so a browser may keep a file for a year."""
    before, after = Assets({"a.css": b"1"}), Assets({"a.css": b"2"})
    assert before.url("a.css") != after.url("a.css")
    assert before.url("a.css") == Assets({"a.css": b"1"}).url("a.css")
    assert ASSETS.get("waiting.css") is None
    assert ASSETS.get("../page.py") is None
    for asset in ASSETS:
        assert gzip.decompress(asset.gzipped) == asset.body
    page = [asset for asset in ASSETS if asset.url.startswith((STATIC_PATH + "waiting.", STATIC_PATH + "icon."))]
    assert len(page) == 3
    assert sum(len(asset.gzipped) for asset in page) <= 10_000
