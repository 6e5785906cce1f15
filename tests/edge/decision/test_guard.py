"""Heads that the guard refuses before anything else."""

import pytest

from edge.decision.guard import fault_in
from edge.messages.head import RequestHead


def head(method: str = "GET", target: str = "/", host: str = "shop.example") -> RequestHead:
    return RequestHead(method, target, host, "http", "203.0.113.9")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (head(), None),
        (head(host="shop.example:8080"), None),
        (head(host="[::1]:8080"), None),
        (head(target="/a%20b?c=d&e=/../f"), None),
        (head("OPTIONS", "*"), None),
        (head("PROPFIND"), None),
        (head(host=""), 400),
        (head(host="a b"), 400),
        (head(host="user@shop.example"), 400),
        (head(host="shop.example, other"), 400),
        (head(host="shop.example/path"), 400),
        (head("GET", "*"), 400),
        (head(target="http://other/"), 400),
        (head(target="/a b"), 400),
        (head(target="/a#b"), 400),
        (head(target="/a\x00"), 400),
        (head(target="/\u00e4"), 400),
        (head(target=""), 400),
        (head("GE T"), 400),
        (head("CONNECT", "/"), 405),
        (head("TRACE"), 405),
    ],
)
def test_a_head_that_no_honest_client_sends_is_refused(asked: RequestHead, status: int | None) -> None:
    """With a 4xx and the reason. Every other head goes on."""
    refusal = fault_in(asked)
    assert (refusal and refusal.status) == status
    assert refusal is None or refusal.detail
