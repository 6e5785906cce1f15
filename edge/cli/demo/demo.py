"""`stanchion demo`: run the shop in its own process, the edge in front of it, and the crowd; end them together.

    crowd, you  -->  edge (a supervisor and two workers)  -->  shop (its checkout has a real limit)

The demo prints one status line a second. Its line never runs dry: another wave of visitors comes whenever the line is
short, so a browser that is opened at any time waits for more than a minute. `tests/edge/cli/test_demo_crowd.py` plays
an hour of this crowd on a virtual clock.
"""

import asyncio
import contextlib
import json
import logging
import random
import secrets
import shutil
import sys
import tempfile
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import aiohttp

from edge.cli.demo.behind import plugins_for, running_behind
from edge.cli.demo.browser import http_browser
from edge.cli.demo.crowd import Crowd, CrowdPlan
from edge.cli.demo.shop import running_shop
from edge.cli.demo.shoppers import Shoppers
from edge.operations.logs import configure_logging
from edge.settings.listener import ListenerSettings
from edge.settings.loading import parse_settings
from edge.settings.model import Settings
from edge.supervisor.admin import AdminListener
from edge.supervisor.admin_tokens import AdminTokens
from edge.supervisor.supervisor import Supervisor
from edge.support.errors import ConfigurationError, SettingFault
from edge.support.event_loop import run_loop

__all__ = ["demo"]

#: Units for sale. At three admissions a second they last for nine hours, so the demo does not sell out.
STOCK = 100_000
#: With three admissions a second a visitor behind 300 others waits for 75 s or more, although a quarter of the 300 may
#: lose patience. A wave comes about every two minutes.
PLAN = CrowdPlan(rush=360, rush_s=5.0, then_per_second=2.0, wave=150, wave_below=300)
#: So many visitors wait before the demo prints the address of its line.
CROWDED = 320
#: The admin listener, if the port is free: `stanchion status` asks there.
ADMIN = "tcp://127.0.0.1:9090"
#: A little more than the room admits a second, so that the room protects the checkout.
CHECKOUTS_PER_SECOND = 4.0


def demo(port: int, *, crowd: bool, seed: int | None, behind: str | None = None) -> int:
    """Run the demo until it is interrupted. Return the exit code. behind: a load balancer in front; None for none."""
    run_loop(_demo(port, crowd, seed, behind))
    return 0


async def _demo(port: int, with_crowd: bool, seed: int | None, behind: str | None) -> None:
    plugins = None if behind is None else plugins_for(behind)
    async with contextlib.AsyncExitStack() as stack:
        record = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stanchion-demo-")))
        products = stack.enter_context(as_file(files("configs") / "catalogue.yaml"))
        shop_url = await stack.enter_async_context(running_shop(STOCK, CHECKOUTS_PER_SECOND, 1.5, products))
        settings = _settings(port if behind is None else 0, shop_url, plugins)
        configure_logging(settings.log, "demo")
        # The end of a demo needs no line in the audit trail.
        logging.getLogger("edge.audit").setLevel(logging.WARNING)
        key = secrets.token_urlsafe(32).encode()
        try:
            supervisor = Supervisor(lambda: (settings, (key,)), record=record)
        except ConfigurationError as error:
            other = port + 1 if port < 65_535 else 8081
            hint = SettingFault("", f"or choose another port: make run ARGS='--port {other}'")
            raise ConfigurationError(error.source, [*error.faults, hint]) from None
        async with _admin(supervisor) as admin, asyncio.TaskGroup() as group:
            helpers = [group.create_task(_show(supervisor, admin.address, shop_url, with_crowd, seed, behind, port))]
            await supervisor.serve()
            for helper in helpers:
                helper.cancel()
    print("\nThe demo has ended. No process is left running.")


def _admin(supervisor: Supervisor) -> AdminListener:
    """Return the admin listener: at the usual port, or at any free one if another edge has it."""
    try:
        return AdminListener(supervisor, AdminTokens(), ADMIN)
    except ConfigurationError:
        return AdminListener(supervisor, AdminTokens())


async def _show(
    supervisor: Supervisor,
    admin: str,
    shop_url: str,
    with_crowd: bool,
    seed: int | None,
    behind: str | None,
    port: int,
) -> None:
    await supervisor.wait_ready()
    async with contextlib.AsyncExitStack() as stack:
        [address] = supervisor.addresses
        if behind is not None:
            asks = supervisor.plugins.addresses
            address = await stack.enter_async_context(running_behind(behind, port, shop_url, asks))
        await _show_at(address, supervisor, admin, shop_url, with_crowd, seed)


async def _show_at(
    address: str, supervisor: Supervisor, admin: str, shop_url: str, with_crowd: bool, seed: int | None
) -> None:
    crowd = None
    if with_crowd:
        line = f"{address}/checkout"
        chance = random.Random(seed)
        crowd = Crowd(address, "/checkout", PLAN, chance, lambda: http_browser(lambda: line, verifies=False))
    async with asyncio.TaskGroup() as group, aiohttp.ClientSession() as session:
        if crowd is not None:
            group.create_task(crowd.play())
            group.create_task(Shoppers(address, random.Random(seed)).play())
            print("The crowd arrives ...", flush=True)
            # If a visitor came before the crowd, they would not wait.
            await crowd.wait_in_line(CROWDED)
        _print_addresses(address, admin, _capacity(supervisor), has_crowd=crowd is not None)
        while True:
            await asyncio.sleep(1.0)
            shop = await _shop_stats(session, shop_url)
            _print_live(_status_line(supervisor.status()["rooms"][0], shop))


def _print_addresses(address: str, admin: str, capacity: float, *, has_crowd: bool) -> None:
    way = "" if admin.endswith(":9090") else f" --admin {admin}"
    print(f"Shop   {address:32} the checkout takes {CHECKOUTS_PER_SECOND:g} buyers/s")
    print(f"Goods  {address + '/products':32} catalogue, search, cart; the best sellers are at /best-sellers")
    print(f"Line   {address + '/checkout':32} the room admits {capacity:g} visitors/s")
    print(f"Admin  {admin:32} the dashboard: hold the room, change its capacity, see its report")
    print(f"State  stanchion status{way}")
    print("Open the line in a browser. Ctrl-C ends the demo.", flush=True)
    print("" if has_crowd else "There is no crowd: the line is empty.\n", flush=True)


def _print_live(line: str) -> None:
    """On a terminal, overwrite one line, cut at the width because a wrapped line cannot be overwritten."""
    if sys.stdout.isatty():
        print(f"\r\x1b[2K{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
    else:
        print(line, flush=True)


def _capacity(supervisor: Supervisor) -> float:
    return supervisor.settings.rooms[0].capacity.admissions_per_second


async def _shop_stats(session: aiohttp.ClientSession, shop_url: str) -> dict[str, Any]:
    try:
        async with session.get(f"{shop_url}/stats", timeout=aiohttp.ClientTimeout(total=2)) as response:
            stats: dict[str, Any] = await response.json()
            return stats
    except (aiohttp.ClientError, TimeoutError):
        return {}


def _status_line(room: dict[str, Any], shop: dict[str, Any]) -> str:
    newcomer = "-" if room["eta_last_s"] is None else f"{room['eta_last_s']:.0f} s"
    line = (
        f"waiting {room['waiting']:3d}  admitted {room['admitted_per_s']:.1f}/s  lag {room['lag_s']:.1f} s  "
        f"bucket {room['bucket_level']:.1f}/{room['bucket_depth']:.1f}  ETA {newcomer}"
    )
    if shop:
        line += f"  sold {shop['orders']}  left {shop['stock_left']}  refused {shop['refused_503']}"
    return line


def _settings(port: int, shop_url: str, plugins: dict[str, Any] | None) -> Settings:
    text = (files("configs") / "demo.yaml").read_text("utf-8")
    if plugins is not None:
        text += "\n" + json.dumps({"plugins": plugins})[1:-1] + "\n"
    settings = parse_settings(text, "configs/demo.yaml")
    upstream = settings.upstream.model_copy(update={"url": shop_url})
    return settings.model_copy(
        update={"listen": (ListenerSettings(url=f"tcp://127.0.0.1:{port}"),), "upstream": upstream}
    )
