"""`checkout serve`: the shop from the command line. Exit codes: 0 fine, 1 it failed, 2 bad usage or
configuration.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence

from checkout.app import running_shop
from checkout.errors import CheckoutError, ConfigurationError
from checkout.settings import Address, CapacitySettings, ProductSettings, ShopSettings


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        return asyncio.run(_serve(_settings(args)))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    except (CheckoutError, OSError) as error:
        print(f"checkout: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="checkout", description="A shop that cannot oversell.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve", help="serve one product's sale", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    product, capacity = ProductSettings(), CapacitySettings()
    serve.add_argument("--listen", default="127.0.0.1:9000", metavar="HOST:PORT", help="port 0: the system chooses")
    serve.add_argument(
        "--database", default=":memory:", metavar="FILE", help="SQLite file; :memory: forgets at the end"
    )
    serve.add_argument("--stock", type=int, default=product.stock, help="units for sale")
    serve.add_argument("--title", default=product.title, help="name of the product")
    serve.add_argument("--price-cents", type=int, default=product.price_cents, help="price of a unit")
    serve.add_argument("--currency", default=product.currency, help="currency of the price")
    serve.add_argument("--hold-seconds", type=float, default=product.hold_s, help="how long a unit is kept for a buyer")
    serve.add_argument("--per-user", type=int, default=product.per_user, help="units one visitor may take")
    serve.add_argument(
        "--checkouts-per-second",
        type=float,
        default=capacity.checkouts_per_second,
        help="what checkout can take",
    )
    serve.add_argument(
        "--seconds-per-checkout",
        type=float,
        default=capacity.seconds_per_checkout,
        help="how long a purchase takes",
    )
    serve.add_argument(
        "--backlog-seconds",
        type=float,
        default=capacity.backlog_s,
        help="seconds' worth of purchases that may wait",
    )
    return parser


def _settings(args: argparse.Namespace) -> ShopSettings:
    return ShopSettings(
        listen=Address.parse(args.listen),
        database=args.database,
        product=ProductSettings(
            args.title, args.stock, args.price_cents, args.currency, args.hold_seconds, args.per_user
        ),
        capacity=CapacitySettings(args.checkouts_per_second, args.seconds_per_checkout, args.backlog_seconds),
    )


async def _serve(settings: ShopSettings) -> int:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with running_shop(settings) as shop:
        print(f"listening on {shop.url}", flush=True)
        await ended.wait()
    return 0
