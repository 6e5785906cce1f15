"""`stanchion plugin config`: print the configuration of a load balancer that asks the edge of these settings."""

import argparse
import os
from pathlib import Path
from typing import Final

from edge.cli.plugin.render import RENDERERS, WAYS, render
from edge.cli.plugin.site import Address, Site, refusal
from edge.cli.plugin.split import pass_keys_of, split_rooms_of
from edge.settings.loading import load_settings, read_keys
from edge.settings.model import Settings

__all__ = ["add_arguments", "print_config", "site_of"]

#: The section of `plugins.endpoints` that each dialect needs.
_SECTIONS: Final = {
    "accel": "accel",
    "auth-request": "auth_request",
    "forward-auth": "forward_auth",
    "ext-authz": "ext_authz",
    "ext-authz-grpc": "ext_authz_grpc",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `stanchion plugin config`."""
    parser.add_argument("--for", dest="balancer", required=True, choices=tuple(RENDERERS), help="the load balancer")
    parser.add_argument(
        "--settings", type=Path, required=True, metavar="FILE", help="settings of the edge that it asks (YAML)"
    )
    parser.add_argument(
        "--way",
        default=None,
        choices=("path", "split", *_SECTIONS),
        help="the dialect in which it asks; 'path': everything goes through the edge; 'split': everything but the"
        " requests of visitors with a pass"
        " (default: the best dialect that the settings serve)",
    )
    parser.add_argument(
        "--listen", default="0.0.0.0:443", metavar="HOST:PORT", help="where it listens itself (default: %(default)s)"
    )
    parser.add_argument(
        "--certificate",
        default="/etc/ssl/shop/tls.crt",
        metavar="FILE",
        help="PEM file of its certificate (default: %(default)s)",
    )
    parser.add_argument(
        "--key", default="/etc/ssl/shop/tls.key", metavar="FILE", help="PEM file of its key (default: %(default)s)"
    )
    parser.add_argument("--no-tls", action="store_true", help="plain HTTP: something in front of it speaks TLS")
    parser.add_argument(
        "--fail-open", action="store_true", help="let requests pass while the edge cannot be reached (default: 503)"
    )
    parser.add_argument(
        "--output", type=Path, default=None, metavar="FOLDER", help="write the files into this folder, print no text"
    )


def print_config(options: argparse.Namespace) -> None:
    """Print the files, or write them into a folder. Raises ConfigurationError."""
    files = render(options.balancer, site_of(load_settings(options.settings), options))
    for name, text in files.items():
        if options.output is not None:
            options.output.mkdir(parents=True, exist_ok=True)
            (options.output / name).write_text(text)
            print(options.output / name)
        elif len(files) > 1:
            print(f"### {name}\n\n{text}")
        else:
            print(text, end="")


def site_of(settings: Settings, options: argparse.Namespace) -> Site:
    """Return what the configuration needs to know. Raises ConfigurationError."""
    way = options.way or _best_way(settings, options.balancer)
    plugins = settings.plugins
    if way in _SECTIONS and not getattr(plugins.endpoints, _SECTIONS[way]).enabled:
        raise refusal("--way", f"the settings do not enable plugins.endpoints.{_SECTIONS[way]}")
    asks = plugins.listen if way in _SECTIONS else _plain(settings)
    if asks is None:
        raise refusal("plugins.listen", "is required: /_stanchion/* is routed there")
    host, _, port = options.listen.rpartition(":")
    if not port.isdecimal():
        raise refusal("--listen", f"must look like HOST:PORT, got {options.listen!r}")
    is_split = way == "split"
    return Site(
        way=way,
        rooms=split_rooms_of(settings, is_secure=not options.no_tls) if is_split else (),
        pass_keys=pass_keys_of(read_keys(settings, os.environ)) if is_split else (),
        asks=_near(Address.parse(asks)),
        shops=shops_of(settings),
        listen=Address(host.strip("[]") or "0.0.0.0", int(port)),
        certificate="" if options.no_tls else options.certificate,
        key="" if options.no_tls else options.key,
        grpc=None if plugins.grpc_listen is None else _near(Address.parse(plugins.grpc_listen)),
        reports=None if plugins.report.listen is None else Address.parse(plugins.report.listen),
        body_bytes=settings.limits.body_bytes,
        fails_open=options.fail_open,
        park_s=plugins.park_seconds(getattr(plugins.endpoints, _SECTIONS[way])) if way in _SECTIONS else 0.0,
    )


def shops_of(settings: Settings) -> tuple[Address, ...]:
    """Return the shop's servers. Raises ConfigurationError if they speak TLS."""
    addresses = settings.upstream.addresses
    if any(address.startswith("https://") for address in addresses):
        raise refusal("upstream", "no configuration for a shop behind https:// is written; adapt one for http://")
    return tuple(map(Address.parse, addresses))


def _best_way(settings: Settings, balancer: str) -> str:
    endpoints = settings.plugins.endpoints
    for way in WAYS[balancer]:
        if way in _SECTIONS and getattr(endpoints, _SECTIONS[way]).enabled:
            return way
    best = _SECTIONS[WAYS[balancer][0]]
    raise refusal(
        "plugins.endpoints",
        f"no dialect of {balancer} is served; set plugins.listen to tcp://127.0.0.1:9191 and"
        f" plugins.endpoints.{best}.enabled to true, or use --way path",
    )


def _plain(settings: Settings) -> str:
    """Return the listener that a load balancer reaches by plain HTTP. Raises ConfigurationError if there is none."""
    for listener in settings.listen:
        if listener.scheme in ("tcp", "unix") and not listener.proxy_protocol:
            return listener.url
    raise refusal("listen", "the load balancer needs a listener of tcp:// or unix:// without the PROXY protocol")


def _near(address: Address) -> Address:
    """Return the address by which this machine reaches a listener."""
    return Address("127.0.0.1", address.port) if address.host in ("0.0.0.0", "::") else address
