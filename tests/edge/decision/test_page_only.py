"""The short way to the page of a visitor in line gives the answer of the long way, and is taken."""

from dataclasses import replace

import pytest

from edge.messages.head import FetchMetadata, RequestHead
from edge.messages.verdict import Answer
from tests.edge.decision.test_pipeline import HTML, KEYS, NOW, YAML, Edge
from waiting_room.ident import new_id
from waiting_room.ticket import Ticket

SLOW = YAML.replace("admissions_per_second: 2", "admissions_per_second: 0.05")
PLAIN = SLOW.replace('    page: {message: "We open at ten"}\n', "")
ROOMS = {
    "plain": PLAIN,
    "message": SLOW,
    "status": PLAIN + "    page: {status_code: 503}\n",
    "domain": PLAIN + "cookies: {domain: shop.test}\n",
    "away": PLAIN.replace("    session:", "    ticket: {away_seconds: 300}\n    session:"),
    "cors": PLAIN.replace("    session:", '    cors: {origins: ["https://other.test"]}\n    session:'),
}
HEAD = RequestHead(
    "GET", "/checkout", "shop.test", "http", "10.0.0.1", accept=HTML, accept_encoding="gzip, br", accept_language="de"
)
#: Signed two minutes ago. One has a position that its visitor was told.
OLD = tuple(
    f"stanchion_checkout={KEYS.seal(Ticket(new_id(bytes([at]) * 16), 'checkout', NOW - 9 + at, NOW - 120, told=told))}"
    for at, told in enumerate((0, 9))
)
HEADS = {
    "usual": HEAD,
    "https": replace(HEAD, scheme="https"),
    "no coding": replace(HEAD, accept_encoding=""),
    "gzip": replace(HEAD, accept_encoding="gzip"),
    "arabic": replace(HEAD, cookie="lang=ar; x=1"),
    "itself": replace(HEAD, referer="http://shop.test/checkout"),
    "other page": replace(HEAD, referer="http://shop.test/"),
    "head": replace(HEAD, method="HEAD"),
    "post": replace(HEAD, method="POST"),
    "document": replace(HEAD, accept="application/json"),
    "origin": replace(HEAD, metadata=FetchMetadata("https://other.test", "cross-site", "document")),
}


def play(yaml: str, head: RequestHead, *, is_short: bool) -> list[Answer]:
    """Let a line form. Then a visitor comes, and others with a ticket that has to be signed again."""
    edge = Edge(yaml)
    told: list[Answer] = []
    for at in range(60):
        edge.pipeline.decide(edge.pipeline.classify(replace(HEAD, client_ip=f"10.1.0.{at}")), NOW + at / 1000, 0.5)
    for at, cookie in enumerate(("", *OLD)):
        both = "; ".join(each for each in (head.cookie, cookie) if each)
        context = edge.pipeline.classify(replace(head, cookie=both))
        if not is_short:
            context.coding = None
        verdict = edge.pipeline.decide(context, NOW + 0.1 + at / 10, 0.5)
        assert isinstance(verdict, Answer)
        told.append(verdict)
    return told


@pytest.mark.parametrize("yaml", ROOMS.values(), ids=ROOMS)
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_the_short_way_gives_the_answer_of_the_long_way(yaml: str, head: RequestHead):
    assert play(yaml, head, is_short=True) == play(yaml, head, is_short=False)


def test_the_short_way_is_taken():
    edge = Edge(PLAIN)
    for at in range(60):
        edge.pipeline.decide(edge.pipeline.classify(replace(HEAD, client_ip=f"10.1.0.{at}")), NOW + at / 1000, 0.5)
    room = edge.pipeline.rooms.by_name["checkout"]
    assert len(room.pages.line_page("de", "")._minute_pages) > 0
