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
    assert sum(len(asset.gzipped) for asset in page) <= 11_600


def test_a_name_of_another_version_gives_the_present_file() -> None:
    """Versions are mixed during a rolling upgrade. A file that never existed is not found."""
    assets = Assets({"page.css": b"2", "page.js": b"3", "long.name.css": b"4"})
    for name, body in (("page.00000000.css", b"2"), ("page.0123abcd.js", b"3"), ("long.name.ffffffff.css", b"4")):
        found, is_exact = assets.find(name)
        assert found is not None
        assert (found.body, is_exact) == (body, False)
        mine, is_exact = assets.find(found.url.removeprefix(STATIC_PATH))
        assert (mine, is_exact) == (found, True)
    for name in ("page.css", "page.0000000.css", "page.00000000x.css", "page.GGGGGGGG.css", "page.00000000.svg", "",
                 "other.00000000.css", "..css", "00000000.css", "../page.00000000.css"):  # fmt: skip
        assert assets.find(name) == (None, False), name
