"""HUP: other settings without a restart, and nothing at all when they are faulty."""

import asyncio
import copy
import signal
from pathlib import Path
from urllib.parse import urlsplit

from tests.edge.running import wait_until
from tests.edge.whole import Edge, Visitor, whole_edge


async def reload(edge: Edge) -> str:
    """Send HUP; the word that the supervisor ends it with."""
    before = len(edge.running.log)
    edge.running.send(signal.SIGHUP)
    ends = ("settings reloaded", "reload refused")

    def found() -> list[str]:
        return [line["message"] for line in edge.running.log[before:] if line["message"].startswith(ends)]

    async def is_over() -> bool:
        return bool(found())

    await wait_until(is_over, "the reload is over")
    return found()[0]


async def test_who_is_held_is_answered_by_a_reload(tmp_path: Path):
    """What they are nearly in for may not be there any more; without it their answer would be forgotten."""
    room = {"capacity": {"admissions_per_second": 0.1}, "polling": {"min_seconds": 10.0, "max_seconds": 20.0}}
    async with whole_edge(tmp_path, workers=1, room=room) as edge:
        assert (await Visitor(edge).ask())[0] == "admitted"
        mine = Visitor(edge)
        assert (await mine.ask())[0] == "waiting"
        tree = copy.deepcopy(edge.tree)
        tree["rooms"][0]["capacity"]["admissions_per_second"] = 0.5
        edge.rewrite(tree)
        assert await reload(edge) == "settings reloaded"  # a rate at which they are nearly in, and the bucket empty
        address = urlsplit(edge.running.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)  # aiohttp would ask again if cut
        cookie = "; ".join(f"{name}={value}" for name, value in mine.cookies.items())
        writer.write(f"GET /checkout HTTP/1.1\r\nHost: {address.netloc}\r\nCookie: {cookie}\r\n\r\n".encode())

        async def is_held() -> bool:
            return await edge.running.metric('stanchion_parked_polls{room="checkout"}') == 1.0

        await wait_until(is_held, "the answer is held")
        tree["rooms"][0]["capacity"]["admissions_per_second"] = 0.001
        edge.rewrite(tree)
        assert await reload(edge) == "settings reloaded"
        assert b"Stanchion-State: waiting" in await reader.readuntil(b"\r\n\r\n")
        writer.close()


async def test_a_capacity_changes_live(tmp_path: Path):
    """Another capacity takes effect without a restart: who waits keeps their place, who is in stays in, saved-up
    admissions are not given out anew."""
    room = {"capacity": {"admissions_per_second": 0.02}}
    async with whole_edge(tmp_path, workers=1, room=room) as edge:
        first, second = Visitor(edge), Visitor(edge)
        assert (await first.ask())[0] == "admitted"
        state, told = await second.ask()
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
        assert (again[0], again[1]["first_seen"]) == ("waiting", told["first_seen"])
        assert (await Visitor(edge).ask())[0] == "waiting"

        tree["rooms"][0]["capacity"]["admissions_per_second"] = 200.0
        edge.rewrite(tree)
        await reload(edge)

        async def is_in() -> bool:
            return (await second.ask())[0] == "admitted"

        await wait_until(is_in, "the visitor gets in by the larger capacity")


async def test_a_session_time_changes_live(tmp_path: Path):
    """The count of active visitors begins anew, in memory that processes share; the workers live on."""
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

        await wait_until(is_counted_anew, "nobody is counted")
        assert await edge.running.worker_pids() == pids
        assert (await Visitor(edge).ask())[0] == "admitted"


async def test_every_other_setting_changes_live(tmp_path: Path):
    """Cookies, trusted proxies, the upstream's answer to `Host`, rooms, limits and logging are the new file's from the
    reload on, for connections made before too."""
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
        assert len(edge.said("settings reloaded")) == 1, "the supervisor goes by the new level too"


async def test_a_faulty_file_changes_nothing(tmp_path: Path):
    """The settings stay as they were, the log says every fault with its path, and serving goes on."""
    async with whole_edge(tmp_path) as edge:
        tree = copy.deepcopy(edge.tree)
        tree["rooms"][0]["capacity"]["admissions_per_second"] = -1
        tree["wrokers"] = 3
        edge.rewrite(tree)
        said = await reload(edge)
        assert said.startswith("reload refused, the settings stay as they were")
        assert "rooms[0].capacity.admissions_per_second: must be > 0, got -1" in said
        assert "wrokers: unknown key (did you mean 'workers'?)" in said
        edge.running.file.unlink()
        assert "cannot be read" in await reload(edge)
        assert (await Visitor(edge).ask())[0] == "admitted"
        assert (await edge.room())["admissions_per_second"] == 100.0
        edge.rewrite(edge.tree)
        assert await reload(edge) == "settings reloaded"


async def test_what_needs_a_restart_is_said(tmp_path: Path):
    """A changed address or number of workers is named, kept as it was, and the rest takes effect."""
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
    """A new key in front of the old one: tickets and passes of the old key go on; without the old key they are first
    visits."""
    old, new = "o" * 43, "n" * 43
    keys = tmp_path / "keys"
    keys.write_text(old)
    room = {"capacity": {"admissions_per_second": 0.02}}
    source = {"secret_keys_env": None, "secret_keys_file": str(keys)}
    async with whole_edge(tmp_path, workers=1, room=room, **source) as edge:
        inside, waiting = Visitor(edge), Visitor(edge)
        assert (await inside.ask())[0] == "admitted"
        _, told = await waiting.ask()
        keys.write_text(f"{new}\n{old}\n")
        await reload(edge)
        assert (await inside.ask())[0] == "admitted"
        assert (await waiting.ask())[1]["first_seen"] == told["first_seen"]
        keys.write_text(new)
        await reload(edge)

        async def are_strangers() -> bool:
            return (await inside.ask())[0] == "waiting" and (await waiting.ask())[1]["first_seen"] != told["first_seen"]

        await wait_until(are_strangers, "the old key counts no more")
