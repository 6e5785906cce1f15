"""The shield: it denies and limits before the room, leaves no trace in the line, and costs less than it refuses."""

import gc
import time

import pytest

from edge.messages.head import RequestHead
from edge.settings.loading import load_settings
from edge.settings.model import AbuseSettings
from edge.shield.shield import Shield
from edge.support.errors import ConfigurationError
from tests.edge.conftest import KEYS
from waiting_room.ticket import Keyring, Ticket

TRUSTED = "trusted_proxies: [127.0.0.1]\n"
ROOM = """
secret_keys_env: KEYS
upstream: {url: "http://127.0.0.1:1"}
abuse: {deny: [192.0.2.1], deny_files: [deny.txt]}
rooms: [{name: sale, match: {paths: ["/*"]}, capacity: {admissions_per_second: 1}}]
"""


def test_a_reload_frees_the_old_shield() -> None:
    """The garbage collector skips what a worker made before its first request, so a shield in a reference cycle would
    never be freed, nor its two generations of visitors."""
    gc.collect()
    was = Shield(AbuseSettings())
    assert was.watched(RequestHead("GET", "/", "sale.example", "http", "192.0.2.1"), None)
    gc.collect()
    gc.disable()
    try:
        del was
        assert gc.collect() == 0
    finally:
        gc.enable()


def came(address: str) -> str:
    return f"X-Forwarded-For: {address}"


async def test_a_denied_network_gets_a_403_and_no_ticket(edge_in_front_of, upstream):
    settings = TRUSTED + "abuse: {deny: [192.0.2.0/24, '2001:db8::/32'], allow: [192.0.2.7]}"
    edge = await edge_in_front_of(upstream, settings=settings)
    for address in ("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.200"):
        for target in ("/", "/checkout", "/_stanchion/status?room=checkout"):
            response = await edge.get(target, came(address), "Accept: text/html")
            assert response.status == 403
            assert "Set-Cookie" not in response
    assert not upstream.requests
    for address in ("192.0.2.7", "192.0.3.1", "2001:db9::1"):
        assert (await edge.get("/", came(address))).status == 200


async def test_a_forwarded_address_counts_only_from_trusted_proxies(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream, settings="abuse: {deny: [192.0.2.0/24]}")
    assert (await edge.get("/", came("192.0.2.1"))).status == 200


@pytest.mark.parametrize(
    ("method", "same", "other"),
    [("GET", "192.0.2.1", "192.0.2.2"), ("POST", "192.0.2.1", "192.0.2.2"), ("GET", "2001:db8::1", "2001:db8:0:1::1")],
)
async def test_reads_and_writes_are_limited_by_network(edge_in_front_of, upstream, method, same, other):
    settings = TRUSTED + "abuse: {reads_per_minute: 3, writes_per_minute: 3}"
    edge = await edge_in_front_of(upstream, settings=settings)
    visitor = await edge.connect()
    for _ in range(3):
        assert (await visitor.get("/", came(same), method=method)).status == 200
    response = await visitor.get("/", came(same), method=method)
    assert response.status == 403
    assert 1 <= int(response["Retry-After"]) <= 20
    assert len(upstream.requests) == 3
    if ":" in same:
        assert (await visitor.get("/", came("2001:db8::2"), method=method)).status == 403, (
            "another part of the same /64"
        )
    assert (await visitor.get("/", came(other), method=method)).status == 200


async def test_newcomers_are_limited_and_visitors_in_line_are_not(edge_in_front_of, upstream):
    """An address that reached the limit for newcomers still polls with the tickets it has."""
    edge = await edge_in_front_of(upstream, settings=TRUSTED + "abuse: {newcomers_per_minute: 3}", rate=0.001)
    cookies = []
    for _ in range(3):
        response = await edge.get("/checkout", came("192.0.2.1"))
        cookies.append(response["Set-Cookie"].partition(";")[0])
    refused = await edge.get("/checkout", came("192.0.2.1"))
    assert refused.status == 403
    assert "Set-Cookie" not in refused
    for cookie in cookies[1:] * 5:
        assert (await edge.get("/checkout", came("192.0.2.1"), f"Cookie: {cookie}"))["Stanchion-State"] == "waiting"
    assert (await edge.get("/checkout", came("192.0.2.1"), "Cookie: stanchion_checkout=forged")).status == 403


async def test_a_visitor_is_limited_by_ticket_from_any_address(edge_in_front_of, upstream):
    settings = TRUSTED + "abuse: {visitor_per_minute: 3}"
    edge = await edge_in_front_of(upstream, settings=settings, rate=0.001)
    await edge.get("/checkout")
    now = time.time()
    cookie = Keyring(KEYS).seal(Ticket("a" * 22, "checkout", now, now))
    answers = [
        await edge.get("/checkout", came(f"192.0.2.{at}"), f"Cookie: stanchion_checkout={cookie}") for at in range(5)
    ]
    assert [answer.status for answer in answers] == [200, 200, 200, 403, 403]
    assert b"place in line is kept" in answers[3].body


def test_lists_in_files_are_read_with_the_settings(tmp_path):
    (tmp_path / "edge.yaml").write_text(ROOM)
    (tmp_path / "deny.txt").write_text("198.51.100.0/24\n")
    assert load_settings(tmp_path / "edge.yaml").abuse.deny == ("192.0.2.1", "198.51.100.0/24")


@pytest.mark.parametrize("text", [None, "198.51.100.0/24\nnonsense\n"])
def test_a_faulty_list_is_a_configuration_error(tmp_path, text):
    (tmp_path / "edge.yaml").write_text(ROOM)
    if text is not None:
        (tmp_path / "deny.txt").write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        load_settings(tmp_path / "edge.yaml")
    assert [fault.path for fault in raised.value.faults] == ["abuse.deny_files[0]"]


BROWSER = ("User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Accept-Language: de")
TOOL = ("User-Agent: curl/8.5.0",)


@pytest.mark.parametrize(
    ("action", "statuses"),
    [("ignore", [200] * 3), ("observe", [200] * 3), ("limit", [200, 403, 403]), ("refuse", [403] * 3)],
)
async def test_the_setting_decides_what_happens_to_robots(edge_in_front_of, upstream, action, statuses):
    edge = await edge_in_front_of(upstream, settings=f"abuse: {{bots: {{action: {action}}}}}", rate=0.001)
    await edge.get("/checkout", *BROWSER)
    answers = [await edge.get("/checkout", *TOOL) for _ in range(3)]
    assert [answer.status for answer in answers] == statuses
    assert [(await edge.get("/checkout", *BROWSER))["Stanchion-State"] for _ in range(10)] == ["waiting"] * 10
    assert (await edge.get("/elsewhere", *TOOL)).status == 200, "only rooms are watched"


async def test_a_visitor_that_polls_in_haste_is_found_by_ticket(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream, settings="abuse: {bots: {action: refuse}}", rate=0.001)
    await edge.get("/checkout", *BROWSER)
    cookie = (await edge.get("/checkout", *BROWSER))["Set-Cookie"].partition(";")[0]
    statuses = [(await edge.get("/checkout", *BROWSER, f"Cookie: {cookie}")).status for _ in range(15)]
    assert statuses[:8] == [200] * 8
    assert statuses[-1] == 403


async def test_allowed_networks_are_not_watched(edge_in_front_of, upstream):
    edge = await edge_in_front_of(upstream, settings="abuse: {allow: [127.0.0.1], bots: {action: refuse}}")
    assert (await edge.get("/checkout", *TOOL)).status == 200
