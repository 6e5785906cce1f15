"""The command line. Exit codes: 0 fine, 1 the thing asked for failed, 2 bad usage or configuration."""

import argparse
import asyncio
import base64
import json
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from edge.cli.simulate.arguments import add_arguments as add_simulation_arguments
from edge.operations.logs import configure_logging, facts
from edge.settings.loading import load_settings, read_admin_token, read_keys
from edge.settings.model import Settings
from edge.support.errors import ConfigurationError

__all__ = ["main"]

FINE, FAILED, BAD_USAGE = 0, 1, 2

log = logging.getLogger("edge")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except ConfigurationError as fault:
        print(fault, file=sys.stderr)
        return BAD_USAGE
    except KeyboardInterrupt:
        return FINE
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stanchion",
        description="A fair waiting room for flash sales: a reverse proxy whose visitors carry their place in line.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="run the edge by a settings file")
    run.add_argument("file", type=Path, metavar="FILE", help="the settings (YAML); see configs/reference.yaml")
    run.set_defaults(command=_run)

    check = commands.add_parser("check", help="report every fault of a settings file, without starting anything")
    check.add_argument("file", type=Path, metavar="FILE", help="the settings (YAML)")
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    check.set_defaults(command=_check)

    demo = commands.add_parser("demo", help="a shop, the edge in front of it and a crowd, on this machine")
    demo.add_argument("--port", type=_port, default=8080, help="where the edge listens (default: 8080; 0: a free port)")
    demo.add_argument("--no-crowd", dest="crowd", action="store_false", help="start without the crowd of visitors")
    demo.add_argument("--seed", type=int, default=None, help="make the crowd's behaviour repeatable")
    demo.set_defaults(command=_demo)

    simulated = commands.add_parser(
        "simulate",
        help="play a sale on a virtual clock and measure how fair the line is",
        description="Play a sale on a virtual clock, with the very gate that the edge runs, and measure how fair the "
        "line is: against a perfect central line, and beside other policies.",
    )
    add_simulation_arguments(simulated)
    simulated.set_defaults(command=_simulate)

    status = commands.add_parser("status", help="how the rooms of a running edge do")
    _ask_admin(status)
    status.set_defaults(command=_status)

    lists = commands.add_parser(
        "lists",
        help="keep networks out of a running edge, or let them in, for a while",
        description="Show what operators have put on the lists of a running edge, or put networks on one: on all "
        "machines of its cluster, for a while. Lasting entries belong into the settings.",
    )
    lists.add_argument("which", nargs="?", choices=("deny", "allow", "none"), help="the list; 'none' takes off")
    lists.add_argument("networks", nargs="*", metavar="NETWORK", help="addresses or ranges such as 192.0.2.0/24")
    lists.add_argument("--seconds", type=float, default=3600.0, help="for how long (default: %(default)g)")
    _ask_admin(lists)
    lists.set_defaults(command=_lists)

    ticket = commands.add_parser("ticket", help="look at a visitor's cookie")
    inspect = ticket.add_subparsers(title="commands", metavar="COMMAND", required=True).add_parser(
        "inspect", help="print what a ticket or pass says, and whether its signature is valid"
    )
    inspect.add_argument("cookie", metavar="COOKIE", help="the cookie's value, with or without its name")
    inspect.add_argument("--config", type=Path, default=None, metavar="FILE", help="the settings whose keys verify it")
    inspect.add_argument(
        "--user-agent", default=None, metavar="TEXT", help="say whether a pass was given to this browser"
    )
    inspect.add_argument("--address", default=None, metavar="IP", help="say whether it was given to this network")
    inspect.set_defaults(command=_inspect)

    keygen = commands.add_parser("keygen", help="print a new secret key for signing tickets and passes")
    keygen.set_defaults(command=_keygen)

    shown = commands.add_parser("version", help="print the version")
    shown.set_defaults(command=_version)
    return parser


def _ask_admin(command: argparse.ArgumentParser) -> None:
    """The arguments by which a command finds a running edge."""
    command.add_argument(
        "--admin", default="http://127.0.0.1:9090", metavar="URL", help="its admin listener (default: %(default)s)"
    )
    command.add_argument("--json", action="store_true", help="print all that is known, as JSON")
    command.add_argument(
        "--token-env",
        default="STANCHION_ADMIN_TOKEN",
        metavar="NAME",
        help="the environment variable that holds its token, if it asks for one (default: %(default)s)",
    )


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"must be a port between 0 and 65535, got {text!r}")
    return int(text)


def _run(options: argparse.Namespace) -> int:
    # Until the supervisor hears signals itself, a HUP would end the process; it is remembered instead.
    early = threading.Event()
    signal.signal(signal.SIGHUP, lambda *_: early.set())
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # fresh workers are on their way anyway

    from edge.support.event_loop import run_loop

    def source() -> tuple[Settings, tuple[bytes, ...]]:
        settings = load_settings(options.file)
        keys = read_keys(settings, os.environ)
        read_admin_token(settings, os.environ)
        configure_logging(settings.log, "supervisor")
        return settings, keys

    source()  # faults are told before an event loop is started
    run_loop(_serve(source, early))
    return FINE


async def _serve(source: Callable[[], tuple[Settings, tuple[bytes, ...]]], early: threading.Event) -> None:
    """early: set when a HUP came before the supervisor could hear it."""
    from edge.supervisor.admin import AdminListener
    from edge.supervisor.supervisor import Supervisor

    supervisor = Supervisor(source)
    token = read_admin_token(supervisor.settings, os.environ)
    async with AdminListener(supervisor, token) as admin, asyncio.TaskGroup() as group:
        serving = group.create_task(supervisor.serve())
        ready = group.create_task(supervisor.wait_ready())
        await asyncio.wait([serving, ready], return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            named = facts(
                listening=" ".join(supervisor.addresses), admin=admin.address, workers=len(supervisor.worker_pids)
            )
            log.info("ready", extra=named)
            if early.is_set():
                supervisor.reload()
        ready.cancel()


def _check(options: argparse.Namespace) -> int:
    try:
        settings = load_settings(options.file)
    except ConfigurationError as fault:
        if not options.json:
            raise
        faults = [{"path": one.path, "message": one.message} for one in fault.faults]
        print(json.dumps({"file": str(options.file), "valid": False, "faults": faults}))
        return BAD_USAGE
    if options.json:
        print(json.dumps({"file": str(options.file), "valid": True, "faults": []}))
        return FINE
    rooms = ", ".join(room.name for room in settings.rooms)
    print(f"{options.file}: fine; {len(settings.rooms)} room{'s' if len(settings.rooms) > 1 else ''}: {rooms}")
    return FINE


def _demo(options: argparse.Namespace) -> int:
    from edge.cli.demo.demo import demo

    return demo(options.port, crowd=options.crowd, seed=options.seed)


def _simulate(options: argparse.Namespace) -> int:
    from edge.cli.simulate.command import simulate

    return simulate(options)


def _status(options: argparse.Namespace) -> int:
    from edge.cli.inspect import show_status

    shown = show_status(options.admin.rstrip("/"), os.environ.get(options.token_env), as_json=options.json)
    if shown is None:
        print(
            f"no edge answers at {options.admin}/status: is it running, is this its admin listener, and does"
            f" {options.token_env} hold its token?",
            file=sys.stderr,
        )
        return FAILED
    print(shown)
    return FINE


def _lists(options: argparse.Namespace) -> int:
    from edge.cli.inspect import lists

    if (options.which is None) != (not options.networks):
        print("name a list and at least one network, or neither", file=sys.stderr)
        return BAD_USAGE
    change = {"list": options.which, "networks": options.networks, "seconds": options.seconds}
    said, is_done = lists(
        options.admin.rstrip("/"),
        os.environ.get(options.token_env),
        change if options.which else None,
        as_json=options.json,
    )
    print(said, file=sys.stdout if is_done else sys.stderr)
    return FINE if is_done else FAILED


def _inspect(options: argparse.Namespace) -> int:
    from edge.cli.inspect import inspect_ticket

    said, is_valid = inspect_ticket(options.cookie, options.config, options.user_agent, options.address)
    print(said)
    return FINE if is_valid else FAILED


def _keygen(_: argparse.Namespace) -> int:
    print(base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode())
    return FINE


def _version(_: argparse.Namespace) -> int:
    print(f"stanchion {version('stanchion')}")
    return FINE


if __name__ == "__main__":
    sys.exit(main())
