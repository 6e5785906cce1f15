"""The page in the visitor's language, and the choice of another one."""

import pytest

from edge.decision.cookies import Cookies
from edge.decision.responses import Responses
from edge.messages.head import RequestHead
from edge.settings.model import CookieSettings
from waiting_room.assets import Assets
from waiting_room.language_page import safe_path

RESPONSES = Responses(Assets.load())
COOKIES = Cookies(CookieSettings())


def head(**fields: str) -> RequestHead:
    plain = {
        "method": "GET",
        "target": "/checkout",
        "host": "shop.example",
        "scheme": "https",
        "client_ip": "192.0.2.1",
    }
    return RequestHead(**{**plain, "accept": "text/html", **fields})


def test_an_error_page_has_the_language_of_the_visitor() -> None:
    answer = RESPONSES.failed(head(accept_language="de-DE,de;q=0.9"), 503, 5, is_sent=False)
    assert b'<html lang="de" dir="ltr">' in answer.body
    answer = RESPONSES.failed(head(accept_language="de", cookie="lang=ar"), 503, 5, is_sent=False)
    assert b'<html lang="ar" dir="rtl">' in answer.body


def test_every_language_can_be_chosen_without_scripts() -> None:
    """The page links to each language, leads back, and the answer to a link sets the cookie."""
    came = head(referer="https://shop.example/checkout?size=42&x=%2F", accept_language="de")
    page = RESPONSES.choose_language("in=fr", came, COOKIES).body.decode()
    assert '<html lang="fr"' in page
    assert "<script" not in page
    assert "refresh" not in page
    assert 'href="/_stanchion/language?to=ja&amp;back=/checkout%3Fsize%3D42%26x%3D%252F" lang="ja"' in page
    assert 'href="/checkout?size=42&amp;x=%2F"' in page
    chosen = RESPONSES.choose_language("to=ja&back=/checkout%3Fsize%3D42%26x%3D%252F", came, COOKIES)
    assert chosen.status == 303
    assert dict(chosen.headers)["Location"] == "/checkout?size=42&x=%2F"
    [(_, cookie)] = chosen.cookies
    assert cookie == "lang=ja; Path=/; Max-Age=31536000; SameSite=Lax; Secure"


def test_a_referer_of_another_site_leads_to_no_other_site() -> None:
    page = RESPONSES.choose_language("", head(referer="https://evil.example/checkout"), COOKIES).body.decode()
    assert "evil" not in page


@pytest.mark.parametrize(
    ("path", "safe"),
    [
        ("/a?b=c%20d&e", "/a?b=c%20d&e"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
        ("/a\r\nSet-Cookie: x=y", "/a%0D%0ASet-Cookie:%20x=y"),
        ("/\t/evil.example", "/%09/evil.example"),
        ("/ü#x", "/%C3%BC"),
        ("/_stanchion/language?in=de", "/"),
        ("/" + "x" * 5000, "/"),
    ],
)
def test_the_way_back_is_a_path_of_this_host(path: str, safe: str) -> None:
    assert safe_path(path) == safe


def test_an_unknown_language_is_asked_again() -> None:
    for query in ("to=xx", "to=", "to=de%0d%0a&to=xx", "&" * 5000, "in=xx"):
        assert RESPONSES.choose_language(query, head(), COOKIES).status == 200
