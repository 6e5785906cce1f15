"""No body causes a 5xx: unknown charsets, wrong encodings and broken forms are answered with 400, 413 or 415."""

import zlib

import pytest

from tests.checkout.conftest import Serve

FORM, JSON, MULTIPART = "application/x-www-form-urlencoded", "application/json", "multipart/form-data"
UNKNOWN = ["foo", "base64", "hex", "undefined", "ütf", "x" * 200]
ODD = ["\\x00", "utf-8\\", "idna", '"', "utf-8; charset=foo"]  # libraries take some of these for a known one


@pytest.mark.parametrize("charset", UNKNOWN + ODD)
@pytest.mark.parametrize("kind", [FORM, JSON])
async def test_an_unknown_charset_is_refused(serve: Serve, kind: str, charset: str) -> None:
    """On pages and in the API."""
    async with serve(stock=1) as visit:
        for path in ("/checkout", "/checkout/holds", "/api/sales/launch/holds", "/api/accounts"):
            headers = {
                "Content-Type": f"{kind}; charset={charset}",
                "X-Stanchion-Ticket": "t",
                "Idempotency-Key": f"k{path}",
                "Accept": "application/json",
                "Connection": "close",
            }
            async with visit.client.post(path, data=b"{}", headers=headers, allow_redirects=False) as answer:
                assert answer.status == 415 or (charset in ODD and answer.status < 500), await answer.text()


def part(name: str, header: str) -> bytes:
    """Return a form of one part with a header of its own."""
    return f"--b\r\nContent-Disposition: form-data; {name}\r\n{header}\r\n\r\nx\r\n--b--\r\n".encode()


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": MULTIPART}, b"x"),
        ({"Content-Type": f"{MULTIPART}; boundary=b"}, b"--b\r\n\r\nx"),
        ({"Content-Type": f"{MULTIPART}; boundary=b"}, b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        ({"Content-Type": f"{MULTIPART}; boundary=b"}, part('name="card"', "Content-Type: text/plain; charset=foo")),
        ({"Content-Type": f"{MULTIPART}; boundary=b"}, part('name="card"', "Content-Transfer-Encoding: foo")),
        ({"Content-Type": f"{MULTIPART}; boundary=b"}, part('name="c"; filename="f"', "Content-Encoding: gzip")),
        ({"Content-Type": FORM, "Content-Encoding": "gzip"}, b"not gzip"),
        ({"Content-Type": JSON, "Content-Encoding": "deflate"}, zlib.compress(b"{}")[:-3]),
        ({"Content-Type": FORM}, b"card=%ff%fe&a=%"),
        ({"Content-Type": f"{FORM}; charset=utf-16"}, b"card"),
        ({"Content-Type": JSON}, b"[" * 60_000),
        ({"Content-Type": ";;;=;"}, b"card=1"),
        ({"Content-Type": FORM}, b"a=1&" * 30_000),
    ],
)
async def test_a_broken_body_is_the_clients_fault(serve: Serve, headers: dict[str, str], body: bytes) -> None:
    async with serve(stock=9) as visit:
        for path in ("/checkout", "/api/sales/launch/holds"):
            more = {"X-Stanchion-Ticket": path, "Idempotency-Key": "k", "Accept": "application/json"}
            more["Connection"] = "close"  # after a broken body the shop closes the connection
            async with visit.client.post(path, data=body, headers={**headers, **more}) as answer:
                assert answer.status < 500, await answer.text()
