"""The headers and links that all pages have in common."""

import pytest

from tests.waiting_room.documents import Outline
from waiting_room.assets import STATIC_PATH, Assets
from waiting_room.error_page import ErrorPage
from waiting_room.frame import LANGUAGE_PATH, PAGE_HEADERS
from waiting_room.page import WaitingPage
from waiting_room.status import State, Status

ASSETS = Assets.load()
WAITING = WaitingPage(ASSETS, "checkout", "Lumen Records").render(
    Status(State.WAITING, "checkout", 1240, 95.0, 130.0, 4.2, first_seen=1_000_000.0)
)


@pytest.mark.parametrize("document", [WAITING, ErrorPage(ASSETS).render(504)])
def test_pages_have_nothing_inline_and_every_link_resolves(document: bytes) -> None:
    """The content security policy allows only our own files, and each of them exists."""
    references = []
    for tag, attributes in Outline(document).attributes:
        assert tag != "style"
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
        assert tag != "script" or attributes.keys() == {"src", "defer"}
        references += [v for name in ("src", "href") if (v := attributes.get(name))]
    assert len(references) >= 2
    for reference in references:
        if reference.startswith(LANGUAGE_PATH) or reference == "/":  # the choice of a language, and the shop
            continue
        asset = ASSETS.get(reference.removeprefix(STATIC_PATH))
        assert asset is not None
        assert asset.url == reference
    assert "unsafe" not in PAGE_HEADERS["Content-Security-Policy"]
