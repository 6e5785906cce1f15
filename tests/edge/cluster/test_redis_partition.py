"""A Redis that is slow, far too slow, or behind a network that loses one direction or both: real Redis, toxic proxy."""

import contextlib
from pathlib import Path
from urllib.parse import urlsplit

from controller import TTL_S
from edge.supervisor.redis_bus import ECHO_S, MAX_DELAY_S, TIMEOUT_S
from tests.edge.cluster.redis_server import running_redis
from tests.edge.cluster.toxic_proxy import toxic_proxy
from tests.edge.running import wait_until
from tests.edge.supervisor.test_redis_bus import Machine, sending, wait_both_receive


def test_a_machine_notices_that_it_is_cut_off_before_the_others_forget_it() -> None:
    """`when_redis_down: hold` rests on this bound of the constants: the room holds here before the others take over
    its share."""
    assert max(MAX_DELAY_S, TIMEOUT_S) + 2 * ECHO_S < TTL_S


async def wait_up(machine: Machine, *, up: bool) -> None:
    async def is_so() -> bool:
        return machine.bus.is_up is up

    await wait_until(is_so, f"the bus is {'up' if up else 'down'}: {machine.bus!r}")


async def test_a_slow_redis_carries_everything_a_little_later(tmp_path: Path) -> None:
    """The delay is 0.2 s there and back, at 14 messages a second. Sent one by one they would be ever later; so they go
    together. Ten times as slow it counts as gone, and is found again."""
    async with running_redis(tmp_path) as server, toxic_proxy(int(urlsplit(server.url).port or 0)) as toxic:
        toxic.delay_s = 0.1
        near, far = Machine(server.url, "near"), Machine(f"redis://127.0.0.1:{toxic.port}/0", "far")
        async with sending(near, far):
            await wait_both_receive(near, far)
            before = len(near.received), len(far.received)

            async def twenty_more() -> bool:
                return len(near.received) > before[0] + 20 and len(far.received) > before[1] + 20

            await wait_until(twenty_more, "messages arrive as fast as they are sent")
            for machine in (near, far):
                assert machine.numbers == sorted(set(machine.numbers))
            assert 0.2 <= (far.metric("stanchion_redis_delay_seconds") or 0.0) <= MAX_DELAY_S
            toxic.delay_s = 1.0
            await wait_up(far, up=False)
            assert near.bus.is_up
            assert far.metric("stanchion_redis_up") == 0
            toxic.delay_s = 0.0
            await wait_up(far, up=True)
            await wait_both_receive(near, far)
        assert far.changes[-2:] == [False, True]


async def test_a_machine_notices_that_its_network_loses_either_direction(tmp_path: Path) -> None:
    """Nothing there, nothing back, neither: each of these machines leaves and comes back; the fourth one stays."""
    async with running_redis(tmp_path) as server, contextlib.AsyncExitStack() as stack:
        port = int(urlsplit(server.url).port or 0)
        toxics = [await stack.enter_async_context(toxic_proxy(port)) for _ in range(3)]
        cut = [Machine(f"redis://127.0.0.1:{toxic.port}/0", f"cut {at}") for at, toxic in enumerate(toxics)]
        well = Machine(server.url, "well")
        async with sending(well, *cut):
            for machine in cut:
                await wait_both_receive(well, machine)
            for toxic, lost in zip(toxics, ({"there"}, {"back"}, {"there", "back"}), strict=True):
                toxic.lost = lost
            for machine in cut:
                await wait_up(machine, up=False)
            assert well.bus.is_up
            for toxic in toxics:
                toxic.lost = set()
            for machine in cut:
                await wait_up(machine, up=True)
                await wait_both_receive(well, machine)
        assert [machine.changes[-2:] for machine in cut] == [[False, True]] * 3
