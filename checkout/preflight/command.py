"""`checkout preflight SALE`: check everything that a sale needs, and say go or no-go with reasons."""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

from checkout.errors import ConfigurationError
from checkout.preflight.check import Check, Verdict, is_go, skipping
from checkout.preflight.shop import check_alerts, check_notices, check_operator, check_payment, check_shop, client
from checkout.preflight.stores import check_engine, check_stock
from checkout.settings import ShopSettings, parse, read

NAMES = (
    "stock", "stores", "replicas", "clocks", "caches", "oversell", "events", "payment", "notices", "alerts", "operator"
)  # fmt: skip


def add_preflight(commands: Any) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "preflight", help="check stock, stores, replicas, clocks, caches, events, payment and alerts before a sale"
    )
    command.set_defaults(run=_preflight)
    command.add_argument("sale", help="name of the sale")
    command.add_argument("--config", type=Path, required=True, metavar="FILE", help="the shop's YAML settings")
    command.add_argument("--url", default="", metavar="URL", help="address of a running shop")
    command.add_argument("--prometheus", default="", metavar="URL", help="address of Prometheus")
    command.add_argument(
        "--skip", default="", metavar="NAMES", help=f"checks to ignore if they say no-go: {', '.join(NAMES)}"
    )
    command.add_argument("--json", action="store_true", help="print the checks as JSON")


async def preflight(settings: ShopSettings, sale: str, url: str, prometheus: str) -> list[Check]:
    """Return every check, in the order of `NAMES`. A server that does not answer is a no-go, never an error."""
    async with client() as session:
        found = [
            *await check_stock(settings.engine, sale),
            *await check_engine(settings.engine),
            *await check_shop(url, sale, session),
            *await check_payment(settings),
            *await check_notices(settings),
            *await check_alerts(prometheus, session),
            *check_operator(settings),
        ]
    return sorted(found, key=lambda check: NAMES.index(check.name))


def _preflight(args: argparse.Namespace) -> int:
    skipped = [name for name in args.skip.split(",") if name]
    if unknown := sorted(set(skipped) - set(NAMES)):
        raise ConfigurationError(f"--skip: there is no check {', '.join(unknown)}; checks: {', '.join(NAMES)}")
    settings = parse(read(args.config))
    checks = skipping(asyncio.run(preflight(settings, args.sale, args.url, args.prometheus)), skipped)
    passed = is_go(checks)
    if args.json:
        print(json.dumps({"sale": args.sale, "go": passed, "checks": [check._asdict() for check in checks]}))
        return 0 if passed else 1
    for check in checks:
        print(f"{check.verdict.upper():8} {check.name:9} {check.text}")
    reasons = sum(check.verdict is Verdict.NO_GO for check in checks)
    print(f"{args.sale}: go" if passed else f"{args.sale}: NO-GO, {reasons} reason{'s' * (reasons > 1)}")
    return 0 if passed else 1
