"""The edge meets the requirements of RFC 9110 and 9112. `docs/conformance.md` compares it with nginx and HAProxy."""

import asyncio
from contextlib import AsyncExitStack

from tests.edge.conftest import Upstream
from tests.reliability.conformance.forwarding import REQUIREMENTS as FORWARDING
from tests.reliability.conformance.probe import Origin, ask
from tests.reliability.conformance.table import GROUPS, REQUIREMENTS, fails

LANES = 4


async def _lane(stack: AsyncExitStack, edge_in_front_of, upstream_settings: str = "") -> tuple[int, Origin]:
    origin, behind = Origin(), Upstream()
    server = await asyncio.get_running_loop().create_server(origin.protocol, "127.0.0.1", 0)
    stack.callback(server.close)
    stack.callback(origin.close)
    behind.port = server.sockets[0].getsockname()[1]
    return (await edge_in_front_of(behind, upstream_settings)).port, origin


async def test_the_edge_fails_only_requirements_with_a_stated_reason(edge_in_front_of):
    async with AsyncExitStack() as stack:
        failed = await fails([await _lane(stack, edge_in_front_of) for _ in range(LANES)])
    excused = {requirement for requirement in REQUIREMENTS if requirement.reason}
    assert failed == excused, [(each.section, each.says) for each in failed ^ excused]


async def test_with_upstream_via_set_requests_go_on_with_via(edge_in_front_of):
    [via] = [requirement for requirement in FORWARDING if requirement.section == "9110 7.6.3"]
    async with AsyncExitStack() as stack:
        port, origin = await _lane(stack, edge_in_front_of, "via: edge")
        for probe in via.probes:
            seen = await ask(port, origin, probe)
            assert probe.holds(seen), seen
        assert seen.first.all(b"via") == [b"1.0 fred", b"1.1 edge"]


def test_requirements_are_many_and_none_is_listed_twice():
    assert len(REQUIREMENTS) >= 81
    for group in GROUPS.values():
        assert len({(each.section, each.says) for each in group}) == len(group)
