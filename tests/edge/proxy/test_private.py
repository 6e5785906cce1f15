"""An answer that carries a cookie of the edge is stored by no shared cache."""

import pytest

from edge.proxy.private import made_private
from tests.edge.conftest import Upstream

CASES = [
    ("Cache-Control: public, max-age=300", "private, max-age=300"),
    (
        "cache-control: s-maxage=600, max-age=60, stale-while-revalidate=30",
        "private, max-age=60, stale-while-revalidate=30",
    ),
    ("Cache-Control: max-age=60\r\nCache-Control: Public", "private, max-age=60"),
    ("Cache-Control: no-store", "private, no-store"),
    ('Cache-Control: private="X-A, X-B", max-age=9', "private, max-age=9"),
    ('Cache-Control: no-cache="Set-Cookie", proxy-revalidate', 'private, no-cache="Set-Cookie"'),
    ("Expires: Thu, 01 Jan 2037 00:00:00 GMT", "private"),
    ("Surrogate-Control: max-age=600\r\nCache-Control: no-store", "private, no-store"),
    ("CDN-Cache-Control: max-age=60", "private"),
    ("Cloudflare-CDN-Cache-Control: max-age=60\r\nX-Accel-Expires: 60\r\nEdge-Control: max-age=1d", "private"),
    ("Akamai-Cache-Control: max-age=60\r\nX-Reverse-Proxy-TTL: 60\r\nX-Litespeed-Cache-Control: public", "private"),
    ("client-cache-control: public\r\nSURROGATE-CONTROL: max-age=60", "private"),
    ('Cache-Control: public ,, s-maxage = 5, S-MaxAge="6", max-age=7', "private, max-age=7"),
    ("Cache-Control: must-revalidate, immutable", "private, must-revalidate, immutable"),
    ("Cache-Control: max-age=9\r\nVary: Cookie\r\nExpires: 0", "private, max-age=9"),
    ("", "private"),
]


@pytest.mark.parametrize(("said", "after"), CASES)
def test_what_a_shared_cache_may_store_becomes_private(said, after):
    """Other fields stay as they are, in their order."""
    ends = "\r\n" if said else ""
    fields = f'Content-Type: text/html\r\n{said}{ends}ETag: "x, public"\r\n'.encode()
    lines = made_private(fields).decode().split("\r\n")
    assert lines[0] == "Content-Type: text/html"
    assert 'ETag: "x, public"' in lines
    assert [line for line in lines if line.lower().startswith("cache-control")] == [f"Cache-Control: {after}"]
    others = ("surrogate", "x-accel", "edge-", "x-reverse", "x-litespeed", "akamai", "client-")
    assert not any("cdn" in line.lower() or line.lower().startswith(others) for line in lines)


@pytest.mark.parametrize(("said", "after"), CASES)
async def test_a_pass_goes_with_a_private_answer_only(edge_in_front_of, said, after):
    """What the shop says is changed where a pass is added, and nowhere else."""
    async with Upstream() as upstream:
        fields = f"{said}\r\n" if said else ""
        upstream.answer = f"HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok".encode()
        edge = await edge_in_front_of(upstream)
        first = await edge.get("/checkout")
        assert first.all("Set-Cookie")
        assert first["Cache-Control"] == after
        untouched = await edge.get("/products")
        assert not untouched.all("Set-Cookie")
        sent = [line.partition(": ")[2] for line in said.split("\r\n") if line.lower().startswith("cache-control")]
        assert untouched.all("Cache-Control") == sent
