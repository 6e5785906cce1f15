"""Premium visitors: only the shop makes them, and they have a limit of their own."""

from collections.abc import Awaitable, Callable

import pytest

from edge.decision.pipeline import Pipeline
from edge.decision.responses import Responses
from edge.messages.verdict import Answer
from edge.settings.loading import parse_settings
from edge.shield.shield import Shield
from edge.support.errors import ConfigurationError
from tests.edge.conftest import Edge
from tests.edge.decision.test_pipeline import ASSETS, NOW, YAML
from tests.edge.decision.test_pipeline import KEYS as KEYRING
from tests.edge.decision.test_pipeline import Edge as PipelineEdge

LIMITS = "abuse: {newcomers_per_minute: 2, visitor_per_minute: 3, premium_per_minute: 6, bots: {action: ignore}}"
SAYS = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nStanchion-Command: premium\r\n\r\nok"


@pytest.fixture
async def shop(edge_in_front_of, upstream) -> Callable[..., Awaitable[Edge]]:
    """An edge in front of a shop that says `premium` to every request while `upstream.answer` is SAYS."""

    async def start(settings: str = LIMITS) -> Edge:
        return await edge_in_front_of(upstream, settings=settings)

    return start


async def allowed(edge: Edge, cookie: str, target: str = "/checkout") -> int:
    """Return how many requests with these cookies are let through until one is refused."""
    visitor = await edge.connect()
    for count in range(20):
        if (await visitor.get(target, *([f"Cookie: {cookie}"] if cookie else []))).status == 403:
            return count
    raise AssertionError("never limited")


async def log_in(edge: Edge, upstream, *fields: str) -> str:
    """Return the premium token that the browser keeps, as it sends it back."""
    usual, upstream.answer = upstream.answer, SAYS
    response = await edge.get("/login", *fields)
    upstream.answer = usual
    assert "Stanchion-Command" not in response
    return response["Set-Cookie"].partition(";")[0] if "Set-Cookie" in response else ""


async def test_each_tier_has_its_own_limit(shop, upstream):
    """New, verified, premium. A premium visitor is not limited as a newcomer."""
    edge = await shop()
    assert await allowed(edge, "") == 2
    premium = await log_in(edge, upstream)
    assert premium.startswith("stanchion-premium=m1.")
    assert await allowed(edge, premium) == 6
    response = await edge.get("/checkout", f"Cookie: {await log_in(edge, upstream)}")
    verified = response["Set-Cookie"].partition(";")[0]
    assert await allowed(edge, verified) == 3


async def test_copies_of_a_premium_token_share_one_limit(shop, upstream):
    edge = await shop()
    premium = await log_in(edge, upstream)
    tickets = [f"stanchion_checkout={at}" for at in range(3)]
    assert sum([await allowed(edge, f"{premium}; {ticket}") for ticket in tickets]) == 6


async def test_a_fresh_premium_token_is_not_sent_again(shop, upstream):
    edge = await shop()
    premium = await log_in(edge, upstream)
    assert await log_in(edge, upstream, f"Cookie: {premium}") == ""


@pytest.mark.parametrize(
    "change", ["", "x", "m1.abc", "m1.aa.9999999999.c2ln", "p1.aa.1.2", "m1.." + "a" * 300, "\xff\xfe"]
)
async def test_a_forged_premium_token_makes_nobody_premium(shop, change):
    edge = await shop()
    assert await allowed(edge, f"stanchion-premium={change}") == 2


async def test_a_ticket_is_not_a_premium_token_and_a_premium_token_not_a_ticket(shop, upstream):
    edge = await shop()
    premium = await log_in(edge, upstream)
    token = premium.partition("=")[2]
    response = await edge.get("/checkout", f"Cookie: {premium}; stanchion_checkout={token}")
    ticket = response["Set-Cookie"].partition(";")[0].partition("=")[2]
    assert await allowed(edge, f"stanchion-premium={ticket}") == 2


def test_a_premium_token_ends_and_with_it_its_limit():
    """Also for a head that is cached."""
    settings = parse_settings(YAML + LIMITS)
    edge = PipelineEdge(YAML + LIMITS)
    edge.pipeline = Pipeline(
        edge.pipeline.rooms,
        KEYRING,
        Responses(ASSETS),
        edge.metrics,
        settings.cookies,
        edge.chance.randbytes,
        edge.events.append,
        Shield(settings.abuse),
    )
    token = KEYRING.premium.sign(f"m1.aa.{int(NOW) + 100}".encode()).decode()
    context = edge.pipeline.classify(edge.head(cookie=f"stanchion-premium={token}"))

    def let_through() -> int:
        verdicts = [edge.pipeline.decide(context, edge.now, 0.5) for _ in range(20)]
        return sum(not isinstance(verdict, Answer) or verdict.status != 403 for verdict in verdicts)

    assert let_through() == 6
    edge.now += 100.0
    assert let_through() == 2


async def test_without_the_setting_the_command_is_ignored(shop, upstream):
    edge = await shop("abuse: {newcomers_per_minute: 2}")
    assert await log_in(edge, upstream) == ""


@pytest.mark.parametrize("limits", ["premium_per_minute: 5", "premium_per_minute: 5, visitor_per_minute: 6"])
def test_the_premium_limit_must_not_be_below_the_visitor_limit(limits):
    with pytest.raises(ConfigurationError, match="must not be below it"):
        parse_settings(YAML + f"abuse: {{{limits}}}")
