"""HUP: other settings without a restart, and no change at all if they have a fault."""

import asyncio
import copy
import signal
from pathlib import Path
from urllib.parse import urlsplit

from tests.edge.running import wait_until
from tests.edge.whole import Edge, Visitor, whole_edge


async def reload(edge: Edge) -> str:
    """Send HUP; return the log message that ends the reload."""
    before = len(edge.running.log)
    edge.running.send(signal.SIGHUP)
    ends = ("settings reloaded", "reload refused")

    def found() -> list[str]:
        return [line["message"] for line in edge.running.log[before:] if line["message"].startswith(ends)]

    async def is_over() -> bool:
        return bool(found())

    await wait_until(is_over, "the reload is over")
    return found()[0]


async def test_a_reload_answers_parked_polls(tmp_path: Path):
    """The room that they wait for may not exist any more."""
    room = {"capacity": {"admissions_per_second": 0.1}, "polling": {"min_seconds": 10.0, "max_seconds": 20.0}}
    async with whole_edge(tmp_path, workers=1, room=room) as edge:
        assert (await Visitor(edge).ask())[0] == "admitted"
        mine = Visitor(edge)
        assert (await mine.ask())[0] == "waiting"
        tree = copy.deepcopy(edge.tree)
        tree["rooms"][0]["capacity"]["admissions_per_second"] = 0.5
        edge.rewrite(tree)
        assert await reload(edge) == "settings reloaded"  # the visitor is near the front, the bucket empty
        address = urlsplit(edge.running.url)
        reader, writer = await asyncio.open_connection(
            address.hostname, address.port
        )  # aiohttp would repeat a request that is cut
        cookie = "; ".join(f"{name}={value}" for name, value in mine.cookies.items())
        writer.write(f"GET /checkout HTTP/1.1\r\nHost: {address.netloc}\r\nCookie: {cookie}\r\n\r\n".encode())

        async def is_parked() -> bool:
            return await edge.running.metric('stanchion_parked_polls{room="checkout"}') == 1.0

        await wait_until(is_parked, "the poll is parked")
        tree["rooms"][0]["capacity"]["admissions_per_second"] = 0.001
        edge.rewrite(tree)
        assert await reload(edge) == "settings reloaded"
        assert b"Stanchion-State: waiting" in await reader.readuntil(b"\r\n\r\n")
        writer.close()


async def test_a_capacity_changes_live(tmp_path: Path):
    """Another capacity applies without a restart. Visitors in line keep their place, active visitors stay, and there
    is no second burst."""
    room = {"capacity": {"admissions_per_second": 0.02}}
    async with whole_edge(tmp_path, workers=1, room=room) as edge:
        first, second = Visitor(edge), Visitor(edge)
        assert (await first.ask())[0] == "admitted"
        state, document = await second.ask()
        assert state == "waiting"
        pids = await edge.running.worker_pids()

        tree = copy.deepcopy(edge.tree)
        tree["rooms"][0]["capacity"]["admissions_per_second"] = 0.04
        edge.rewrite(tree)
        assert await reload(edge) == "settings reloaded"

        async def has_changed() -> bool:
            return bool((await edge.room())["admissions_per_second"] == 0.04)

        await wait_until(has_changed, "the capacity is the new one")
        assert await edge.running.worker_pids() == pids
        assert (await first.ask())[0] == "admitted"
        again = await second.ask()
        assert (again[0], again[1]["first_seen"]) == ("waiting", document["first_seen"])
        assert (await Visitor(edge).ask())[0] == "waiting"

        tree["rooms"][0]["capacity"]["admissions_per_second"] = 200.0
        edge.rewrite(tree)
        await reload(edge)

        async def is_in() -> bool:
            return (await second.ask())[0] == "admitted"

        await wait_until(is_in, "the visitor is admitted by the larger capacity")


async def test_a_session_time_changes_live(tmp_path: Path):
    """The count of active visitors starts anew in the shared counters; the workers live on."""
    room = {"capacity": {"admissions_per_second": 100.0, "total_active_users": 3}, "session": {"duration_seconds": 60}}
    async with whole_edge(tmp_path, room=room) as edge:
        assert [(await Visitor(edge).ask())[0] for _ in range(3)] == ["admitted"] * 3
        pids = await edge.running.worker_pids()
        tree = copy.deepcopy(edge.tree)
        tree["rooms"][0]["session"]["duration_seconds"] = 120
        edge.rewrite(tree)
        assert await reload(edge) == "settings reloaded"

        async def is_counted_anew() -> bool:
            return bool((await edge.room())["active"] == 0)

        await wait_until(is_counted_anew, "no active visitor is counted")
        assert await edge.running.worker_pids() == pids
        assert (await Visitor(edge).ask())[0] == "admitted"


async def test_every_other_setting_changes_live(tmp_path: Path):
    """Cookies, trusted proxies, the `Host` for the upstream, rooms, limits and logging follow the new file from the
    reload on, for earlier connections too."""
    async with whole_edge(tmp_path) as edge:
        visitor = Visitor(edge)
        await visitor.ask(**{"X-Forwarded-For": "203.0.113.9"})
        assert "Secure" not in visitor.set_cookie
        assert edge.upstream.heads[-1]["X-Forwarded-For"] == "127.0.0.1"
        assert not edge.said("request")

        tree = copy.deepcopy(edge.tree)
        tree |= {
            "cookies": {"secure": "always", "domain": "shop.example"},
            "trusted_proxies": ["127.0.0.1"],
            "log": {"format": "json", "access": "all"},
            "limits": {"headers": 16},
        }
        tree["upstream"]["host_header"] = "upstream"
        tree["rooms"].append({"name": "vip", "match": {"paths": ["/vip"]}, "capacity": {"admissions_per_second": 50.0}})
        edge.rewrite(tree)
        assert await reload(edge) == "settings reloaded"

        async def is_everywhere() -> bool:
            newcomers = [Visitor(edge) for _ in range(6)]
            for newcomer in newcomers:
                await newcomer.ask()
            return all("; Secure" in newcomer.set_cookie for newcomer in newcomers)

        await wait_until(is_everywhere, "all workers serve by the new settings")
        newcomer = Visitor(edge)
        await newcomer.ask("/vip", **{"X-Forwarded-For": "203.0.113.9"})
        assert "stanchion_vip=" in newcomer.set_cookie
        assert "; Domain=shop.example" in newcomer.set_cookie
        assert edge.upstream.heads[-1]["X-Forwarded-For"] == "203.0.113.9, 127.0.0.1"
        assert edge.upstream.heads[-1]["Host"] == edge.tree["upstream"]["url"].removeprefix("http://")
        assert (await visitor.ask())[0] == "admitted"

        async def was_logged() -> bool:
            return any(line.get("client") == "203.0.113.9" for line in edge.said("request"))

        await wait_until(was_logged, "requests are logged")

        tree["log"] = {"format": "json", "level": "error"}
        edge.rewrite(tree)
        edge.running.send(signal.SIGHUP)

        async def is_quiet() -> bool:
            before = len(edge.said("request"))
            for _ in range(6):
                await Visitor(edge).ask()
            return len(edge.said("request")) == before

        await wait_until(is_quiet, "the level is the new one")
        assert len(edge.said("settings reloaded")) == 1, "the supervisor follows the new level too"


async def test_a_faulty_file_changes_nothing(tmp_path: Path):
    """The settings stay as they were, the log names every fault with its path, and serving goes on."""
    async with whole_edge(tmp_path) as edge:
        tree = copy.deepcopy(edge.tree)
        tree["rooms"][0]["capacity"]["admissions_per_second"] = -1
        tree["wrokers"] = 3
        edge.rewrite(tree)
        message = await reload(edge)
        assert message.startswith("reload refused, the settings stay as they were")
        assert "rooms[0].capacity.admissions_per_second: must be >= 0, got -1" in message
        assert "wrokers: unknown key (did you mean 'workers'?)" in message
        edge.running.file.unlink()
        assert "cannot be read" in await reload(edge)
        assert (await Visitor(edge).ask())[0] == "admitted"
        assert (await edge.room())["admissions_per_second"] == 100.0
        edge.rewrite(edge.tree)
        assert await reload(edge) == "settings reloaded"


async def test_settings_that_need_a_restart_are_named(tmp_path: Path):
    """A changed address or number of workers is named and stays as it was; all other changes apply."""
    async with whole_edge(tmp_path, workers=1) as edge:
        tree = copy.deepcopy(edge.tree) | {"workers": 3, "listen": ["tcp://127.0.0.1:1"]}
        tree["rooms"][0]["capacity"]["admissions_per_second"] = 7.0
        edge.rewrite(tree)
        assert await reload(edge) == "settings reloaded"
        [line] = edge.said("takes effect at the next start only")
        assert line["message"].endswith("only: listen, workers")

        async def has_changed() -> bool:
            return bool((await edge.room())["admissions_per_second"] == 7.0)

        await wait_until(has_changed, "the capacity is the new one, for one worker")
        assert len(await edge.running.worker_pids()) == 1


async def test_keys_are_changed_without_losing_a_place(tmp_path: Path):
    """With a new key in front of the old one, tickets and passes of the old key still count. Without the old key they
    are first visits."""
    old, new = "o" * 43, "n" * 43
    keys = tmp_path / "keys"
    keys.write_text(old)
    room = {"capacity": {"admissions_per_second": 0.02}}
    source = {"secret_keys_env": None, "secret_keys_file": str(keys)}
    async with whole_edge(tmp_path, workers=1, room=room, **source) as edge:
        inside, waiting = Visitor(edge), Visitor(edge)
        assert (await inside.ask())[0] == "admitted"
        _, document = await waiting.ask()
        keys.write_text(f"{new}\n{old}\n")
        await reload(edge)
        assert (await inside.ask())[0] == "admitted"
        assert (await waiting.ask())[1]["first_seen"] == document["first_seen"]
        keys.write_text(new)
        await reload(edge)

        async def are_strangers() -> bool:
            return (await inside.ask())[0] == "waiting" and (await waiting.ask())[1]["first_seen"] != document[
                "first_seen"
            ]

        await wait_until(are_strangers, "the old key no longer counts")
