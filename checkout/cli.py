"""`checkout serve` and `checkout audit`. Exit codes: 0 fine, 1 it failed, 2 bad usage or configuration."""

import argparse
import asyncio
import json
import signal
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checkout.app import running_shop
from checkout.audit import audit
from checkout.clock import wall_ms
from checkout.engines.sqlite import read_evidence
from checkout.errors import CheckoutError, ConfigurationError
from checkout.settings import CapacitySettings, ProductSettings, ShopSettings, parse, read

SECTIONS: dict[str, type[ProductSettings] | type[CapacitySettings]] = {
    "product": ProductSettings,
    "capacity": CapacitySettings,
}
HELP = {
    "title": "name of the product",
    "stock": "units for sale",
    "price_cents": "price of a unit",
    "currency": "currency of the price",
    "hold_seconds": "how long a unit is kept for a buyer",
    "per_user": "units one visitor may take",
    "opens_in_seconds": "time from the first start to the opening",
    "checkouts_per_second": "purchases a second that checkout can take",
    "seconds_per_checkout": "how long a purchase takes",
    "backlog_seconds": "seconds' worth of purchases that may wait their turn",
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
    parser = argparse.ArgumentParser(prog="checkout", description="A shop that cannot oversell.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve the shop")
    serve.set_defaults(run=_serve)
    serve.add_argument("--config", type=Path, metavar="FILE", help="YAML settings; options given here win over it")
    serve.add_argument("--listen", metavar="HOST:PORT", help="port 0: the system chooses (default: 127.0.0.1:9000)")
    serve.add_argument("--database", metavar="FILE", help="SQLite file (default: :memory:, forgotten at the end)")
    for section in SECTIONS.values():
        for name, field in section.model_fields.items():
            kind = type(field.default)
            option = "--" + name.replace("_", "-")
            serve.add_argument(option, type=kind, help=f"{HELP[name]} (default: {field.default})")
    checker = commands.add_parser("audit", help="prove a sale from its trail, its orders and what clients were told")
    checker.set_defaults(run=_audit)
    checker.add_argument("sale", help="the sale's name")
    checker.add_argument("--database", required=True, metavar="FILE", help="SQLite file, also while the shop runs")
    checker.add_argument("--json", action="store_true", help="findings as JSON")
    return parser


def _settings(args: argparse.Namespace) -> ShopSettings:
    raw: dict[str, Any] = read(args.config) if args.config else {}
    if args.listen is not None:
        raw["listen"] = args.listen
    if args.database is not None:
        raw["engine"] = {"kind": "sqlite", "path": args.database}
    for name, section in SECTIONS.items():
        given = {key: getattr(args, key) for key in section.model_fields if getattr(args, key) is not None}
        if given:
            raw[name] = {**(raw.get(name) or {}), **given}
    return parse(raw)


def _serve(args: argparse.Namespace) -> int:
    return asyncio.run(_serve_until_signal(_settings(args)))


async def _serve_until_signal(settings: ShopSettings) -> int:
    """The first signal ends the shop in order, wherever it is: also a standby that still waits for its
    turn.
    """
    task = asyncio.current_task()
    assert task is not None  # a coroutine that runs is run by a task
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        async with running_shop(settings) as shop:
            print(f"listening on {shop.url}", flush=True)
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        task.uncancel()
    return 0


def _audit(args: argparse.Namespace) -> int:
    if not Path(args.database).is_file():
        raise ConfigurationError(f"--database: no such file: {args.database}")
    db = sqlite3.connect(f"file:{args.database}?mode=ro", uri=True, isolation_level=None)
    try:
        evidence = read_evidence(db, args.sale, wall_ms())
    except sqlite3.Error as error:
        raise ConfigurationError(f"{args.database}: {error}") from error
    finally:
        db.close()
    if evidence is None:
        raise ConfigurationError(f"no sale {args.sale!r} in {args.database}")
    findings = audit(evidence)
    if args.json:
        print(json.dumps([{"rule": finding.rule, "text": finding.text} for finding in findings]))
    else:
        for finding in findings:
            print(f"{finding.rule}: {finding.text}")
        free, held, sold, _ = evidence.stock
        verdict = f"{len(findings)} findings" if findings else "clean"
        print(f"{args.sale}: {len(evidence.events)} events, {free} free, {held} held, {sold} sold: {verdict}")
    return 1 if findings else 0
