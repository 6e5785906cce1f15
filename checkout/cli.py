"""The command line: `checkout serve`, `forwarder`, `sweeper`, `audit`, `events`, `preflight`.

Exit codes: 0 success, 1 failure, 2 wrong usage or configuration. `audit` also returns 1 if it finds a fault, and
`preflight` if it says no-go.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from checkout.app import running_shop
from checkout.audit import audit
from checkout.errors import CheckoutError, ConfigurationError
from checkout.evidence import read_movements
from checkout.preflight.command import add_preflight
from checkout.reading import read_stores
from checkout.settings import CapacitySettings, EngineSettings, ProductSettings, ShopSettings, parse, read

T = TypeVar("T")
SECTIONS: dict[str, type[ProductSettings] | type[CapacitySettings]] = {
    "product": ProductSettings,
    "capacity": CapacitySettings,
}
HELP = {
    "title": "name of the product",
    "stock": "number of units for sale",
    "price_cents": "price of a unit",
    "currency": "currency of the price",
    "hold_seconds": "seconds for which a unit is reserved for a buyer",
    "per_user": "units that one visitor may take",
    "opens_in_seconds": "seconds from the first start to the opening",
    "checkouts_per_second": "purchases a second that checkout can process",
    "seconds_per_checkout": "seconds that one purchase takes",
    "backlog_seconds": "length of the backlog in seconds: this x checkouts_per_second purchases may wait",
}


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    except (CheckoutError, OSError) as error:
        print(f"checkout: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="checkout", description="A shop that never oversells.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    serve = commands.add_parser("serve", help="run the shop")
    serve.set_defaults(run=_serve)
    serve.add_argument(
        "--config", type=Path, metavar="FILE", help="YAML settings; options on the command line override them"
    )
    serve.add_argument(
        "--listen",
        metavar="HOST:PORT",
        help="address to listen on; with port 0 the system chooses a port (default: 127.0.0.1:9000)",
    )
    serve.add_argument("--database", metavar="FILE", help="SQLite file (default: :memory:, which is lost at the end)")
    serve.add_argument(
        "--catalogue", metavar="FILE", help="YAML file with products that are created at the first start"
    )
    for section in SECTIONS.values():
        for name, field in section.model_fields.items():
            kind = type(field.default)
            option = "--" + name.replace("_", "-")
            serve.add_argument(option, type=kind, help=f"{HELP[name]} (default: {field.default})")
    serve.add_argument("--without", metavar="PARTS", help="forwarder,sweeper: parts that run as separate processes")
    for name, text in (
        ("forwarder", "carry orders from Redis into PostgreSQL, for shops that run with --without forwarder"),
        ("sweeper", "end due holds in Redis, for shops that run with --without sweeper"),
    ):
        part = commands.add_parser(name, help=text)
        part.set_defaults(run=_run_part)
        part.add_argument("--config", type=Path, required=True, metavar="FILE", help="the shop's YAML settings")
    _add_events(commands)
    add_preflight(commands)
    checker = commands.add_parser(
        "audit", help="check a sale: all its stores, its journal and the bank against each other"
    )
    checker.set_defaults(run=_audit)
    checker.add_argument("sale", help="name of the sale")
    stores = checker.add_mutually_exclusive_group(required=True)
    stores.add_argument("--database", metavar="FILE", help="SQLite file; the shop may be running")
    stores.add_argument("--config", type=Path, metavar="FILE", help="the shop's YAML settings, which name its stores")
    checker.add_argument(
        "--bank",
        type=Path,
        metavar="FILE",
        help="the bank's journal of this sale: one JSON array a line, [intent, order, kind, charge, cents]",
    )
    checker.add_argument("--json", action="store_true", help="print the findings as JSON")
    return parser


def _add_events(commands: Any) -> None:
    events = commands.add_parser("events", help="show the topics of the event bus, their groups and dead letters")
    events.set_defaults(run=_events)
    events.add_argument("--config", type=Path, required=True, metavar="FILE", help="the shop's YAML settings")
    events.add_argument("--dead", action="store_true", help="print the dead letters with their causes")
    events.add_argument("--clear", metavar="TOPIC", help="remove a topic with its groups; its relay publishes it again")
    events.add_argument("--json", action="store_true", help="print JSON")


def _events(args: argparse.Namespace) -> int:
    from checkout.bus.report import clear_topic, read_events

    settings = parse(read(args.config))
    if args.clear:
        asyncio.run(clear_topic(settings, args.clear))
        print(f"{args.clear}: removed")
        return 0
    rows = asyncio.run(read_events(settings, with_letters=args.dead))
    if args.json:
        print(json.dumps([asdict(row) for row in rows]))
        return 0
    for row in rows:
        group = f"{row.group}: {row.lag} left, {row.dead} dead letters" if row.group else "no group takes it"
        print(f"{row.topic}: last message {row.last}; {group}")
        for letter in row.letters:
            print(f"  {letter.message.number}: {letter.cause}\n    {letter.message.text}")
    return 0


def _settings(args: argparse.Namespace) -> ShopSettings:
    raw: dict[str, Any] = read(args.config) if args.config else {}
    if args.listen is not None:
        raw["listen"] = args.listen
    if args.database is not None:
        raw["engine"] = {"kind": "sqlite", "path": args.database}
    if args.catalogue is not None:
        raw["catalogue"] = {**(raw.get("catalogue") or {}), "file": args.catalogue}
    if args.without is not None:
        raw["without"] = args.without.split(",")
    for name, section in SECTIONS.items():
        given = {key: getattr(args, key) for key in section.model_fields if getattr(args, key) is not None}
        if given:
            raw[name] = {**(raw.get(name) or {}), **given}
    return parse(raw)


def _serve(args: argparse.Namespace) -> int:
    return asyncio.run(_until_signal(running_shop(_settings(args)), lambda shop: f"listening on {shop.url}"))


def _run_part(args: argparse.Namespace) -> int:
    from checkout.parts import running_forwarder, running_sweeper

    part = running_forwarder if args.command == "forwarder" else running_sweeper
    return asyncio.run(_until_signal(part(parse(read(args.config))), lambda _: f"{args.command} is running"))


async def _until_signal(running: AbstractAsyncContextManager[T], ready: Callable[[T], str]) -> int:
    """Run until the first SIGTERM or SIGINT, then stop in order. A standby that still waits stops as well."""
    task = asyncio.current_task()
    assert task is not None  # a running coroutine belongs to a task
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        async with running as started:
            print(ready(started), flush=True)
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        task.uncancel()
    return 0


def _audit(args: argparse.Namespace) -> int:
    engine = parse(read(args.config)).engine if args.config else EngineSettings(path=args.database)
    stores, differences = asyncio.run(read_stores(engine, args.sale))
    if not stores and not differences:
        raise ConfigurationError(f"no sale {args.sale!r} in {args.config or args.database}")
    movements = read_movements(args.bank) if args.bank else None
    findings = {name: audit(replace(evidence, movements=movements)) for name, evidence in stores.items()}
    if args.json:
        found_in = {**findings, "all": differences}
        rows = [{"store": store, **asdict(finding)} for store, found in found_in.items() for finding in found]
        print(json.dumps(rows))
        return 1 if rows else 0
    for store, evidence in stores.items():
        for finding in findings[store]:
            print(f"{finding.rule}: {finding.text}")
        free, held, sold, _ = evidence.stock
        result = f"{len(findings[store])} findings" if findings[store] else "clean"
        where = f"{args.sale} in {store}"
        print(f"{where}: {len(evidence.events)} events, {free} free, {held} held, {sold} sold: {result}")
    for finding in differences:
        print(f"{finding.rule}: {finding.text}")
    return 1 if differences or any(findings.values()) else 0
