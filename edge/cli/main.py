"""The command line. Exit codes: 0 success, 1 the command failed, 2 wrong usage or settings.

Commands that ask a running edge: also 3 nothing answers at its address, 4 something else answers there
(`edge/cli/admin_client.py`).

A command imports what it needs when it runs, so that `stanchion --help` starts no more than it must.
"""

import argparse
import base64
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge.cli.admin_errors import AdminError, add_admin_options
from edge.cli.operator_commands import add_operator_commands
from edge.cli.page.arguments import add_arguments as add_page_arguments
from edge.cli.plugin.command import add_arguments as add_plugin_arguments
from edge.cli.plugin.render import RENDERERS
from edge.cli.report.arguments import add_arguments as add_report_arguments
from edge.cli.simulate.arguments import add_arguments as add_simulation_arguments
from edge.support.build import FORM, VERSION
from edge.support.errors import ConfigurationError, EdgeError

__all__ = ["main"]

SUCCESS, FAILED, BAD_USAGE = 0, 1, 2

VERSION_LINE = f"stanchion {VERSION} ({FORM})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return BAD_USAGE
    except AdminError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except EdgeError as error:
        print(error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return SUCCESS
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stanchion",
        description="A fair waiting room for flash sales: a reverse proxy; visitors carry their place in line.",
        epilog="Exit codes: 0 success, 1 the command failed, 2 wrong usage, settings or address. Commands that ask a"
        " running edge: 3 nothing answers at its address, 4 something else answers there.",
    )
    parser.add_argument("--version", action="version", version=VERSION_LINE)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_starting(commands)
    _add_asking(commands)
    _add_keys(commands)
    return parser


def _add(commands: Any, name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
    """Add a command. text: one sentence, for the list of commands and for the command's own help."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=command)
    return parser


def _group(commands: Any, name: str, text: str) -> Any:
    """Add a command that has commands of its own, and return these."""
    group = commands.add_parser(name, help=text, description=text)
    return group.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _add_starting(commands: Any) -> None:
    run = _add(commands, "run", _run, "Run the edge with a settings file.")
    run.add_argument("file", type=Path, metavar="FILE", help="settings (YAML); see configs/reference.yaml")

    check = _add(commands, "check", _check, "Report every fault of a settings file. Nothing is started.")
    check.description = (
        "Report every fault of a settings file. Warn about secrets that are not set here, key files that others can "
        "read, servers that do not answer, and rooms that cover a whole site. Nothing is started."
    )
    check.add_argument("file", type=Path, metavar="FILE", help="settings (YAML)")
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    check.add_argument("--offline", action="store_true", help="do not ask the upstream and Redis whether they answer")
    check.add_argument("--strict", action="store_true", help="exit with 2 if there are warnings")

    demo = _add(commands, "demo", _demo, "Run a shop, the edge in front of it, and a crowd on this machine.")
    demo.add_argument("--port", type=_port, default=8080, help="port of the edge; 0 takes a free one (default: 8080)")
    demo.add_argument("--no-crowd", dest="crowd", action="store_false", help="start without the crowd")
    demo.add_argument(
        "--behind",
        default=None,
        choices=tuple(RENDERERS),
        help="put a real load balancer in front, over HTTPS with HTTP/2",
    )
    demo.add_argument("--seed", type=int, default=None, help="seed of the crowd's behaviour, to repeat a run")

    configs = _group(commands, "plugin", "Write the configuration of a load balancer that asks this edge.")
    config = _add(configs, "config", _plugin_config, "Print a complete configuration: TLS, HTTP/2, the line, the shop.")
    add_plugin_arguments(config)

    add_page_arguments(_group(commands, "page", "Preview the waiting page of a room, or begin one of your own."))

    simulated = _add(commands, "simulate", _simulate, "Play a sale on a virtual clock and measure its fairness.")
    simulated.description = (
        "Play a sale on a virtual clock with the same gate that the edge runs. Measure the line's fairness against a "
        "perfect central line and against other policies."
    )
    add_simulation_arguments(simulated)


def _add_asking(commands: Any) -> None:
    status = _add(commands, "status", _status, "Show the state of every room of a running edge.")
    add_admin_options(status)
    _add_json(status)

    reload = _add(commands, "reload", _reload, "Let a running edge read its settings again, and say what it accepted.")
    add_admin_options(reload)
    reload.add_argument(
        "--pid-file", type=Path, default=None, metavar="FILE", help="send HUP to the edge with this pid file instead"
    )

    health = _add(commands, "healthcheck", _healthcheck, "Exit with 0 if a running edge is ready for visitors.")
    add_admin_options(health)
    health.add_argument("--live", action="store_true", help="ask whether it runs, not whether it is ready")

    add_operator_commands(commands)

    told = _add(commands, "report", _report, "Write the report of a room: what happened, how long, how fair.")
    add_report_arguments(told)

    lists = _add(commands, "lists", _lists, "Deny or allow networks for a time, on all machines of a running edge.")
    lists.description = (
        "Without arguments, show the networks that operators have put on a list. With a list and networks, put the "
        "networks on that list for a time. The change holds on all machines that share a Redis. "
        "Put lasting entries into the settings (abuse.deny, abuse.allow)."
    )
    lists.add_argument(
        "which", nargs="?", choices=("deny", "allow", "none"), help="the list; 'none' takes networks off both lists"
    )
    lists.add_argument("networks", nargs="*", metavar="NETWORK", help="address or range, such as 192.0.2.0/24")
    lists.add_argument("--seconds", type=float, default=3600.0, help="how long the change lasts (default: %(default)g)")
    add_admin_options(lists)
    _add_json(lists)

    actions = _group(commands, "ticket", "Inspect a visitor's cookie.")
    inspect = _add(actions, "inspect", _inspect, "Print what a ticket or pass says and whether its signature is valid.")
    inspect.add_argument("cookie", metavar="COOKIE", help="value of the cookie, with or without its name")
    inspect.add_argument(
        "--config", type=Path, default=None, metavar="FILE", help="settings with the keys that verify it"
    )
    inspect.add_argument(
        "--user-agent", default=None, metavar="TEXT", help="say whether the pass was given to this browser"
    )
    inspect.add_argument("--address", default=None, metavar="IP", help="say whether the pass was given to this network")


def _add_keys(commands: Any) -> None:
    _add(commands, "keygen", _keygen, "Print a new secret key. Store it: a new key ends all places in line.")
    _add(commands, "version", _version, "Print the version, and whether the hot path is compiled.")


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print the whole answer as JSON")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"must be a port from 0 to 65535, got {text!r}")
    return int(text)


def _run(options: argparse.Namespace) -> int:
    # Until the supervisor has its own signal handlers a HUP would end the process. It is remembered instead.
    early_hup = threading.Event()
    signal.signal(signal.SIGHUP, lambda *_: early_hup.set())
    # USR2 asks for fresh workers, which are about to start anyway.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)

    from edge.cli.run import run

    run(options.file, early_hup)
    return SUCCESS


def _check(options: argparse.Namespace) -> int:
    from edge.cli.check import check

    report = check(options.file, asks_network=not options.offline)
    if options.json:
        print(report.as_json())
    else:
        print(report.as_text(), file=sys.stderr if report.faults else sys.stdout)
        for warning in report.warnings:
            print(f"  warning: {warning}", file=sys.stderr)
    return BAD_USAGE if report.faults or (options.strict and report.warnings) else SUCCESS


def _demo(options: argparse.Namespace) -> int:
    from edge.cli.demo.demo import demo

    return demo(options.port, crowd=options.crowd, seed=options.seed, behind=options.behind)


def _plugin_config(options: argparse.Namespace) -> int:
    from edge.cli.plugin.command import print_config

    print_config(options)
    return SUCCESS


def _simulate(options: argparse.Namespace) -> int:
    from edge.cli.simulate.command import simulate

    return simulate(options)


def _status(options: argparse.Namespace) -> int:
    from edge.cli.admin_client import AdminClient
    from edge.cli.inspect import show_status

    print(show_status(AdminClient.of(options), as_json=options.json))
    return SUCCESS


def _reload(options: argparse.Namespace) -> int:
    from edge.cli.admin_client import AdminClient
    from edge.cli.operate import reload, reload_by_pid_file

    print(reload_by_pid_file(options.pid_file) if options.pid_file else reload(AdminClient.of(options)))
    return SUCCESS


def _healthcheck(options: argparse.Namespace) -> int:
    from edge.cli.admin_client import AdminClient
    from edge.cli.operate import healthcheck

    print(healthcheck(AdminClient.of(options), live=options.live))
    return SUCCESS


def _report(options: argparse.Namespace) -> int:
    from edge.cli.report.command import report

    return report(options)


def _lists(options: argparse.Namespace) -> int:
    from edge.cli.admin_client import AdminClient
    from edge.cli.inspect import lists

    if (options.which is None) != (not options.networks):
        print("stanchion lists: name a list and at least one network, or neither", file=sys.stderr)
        return BAD_USAGE
    change = None
    if options.which is not None:
        change = {"list": options.which, "networks": options.networks, "seconds": options.seconds}
    print(lists(AdminClient.of(options), change, as_json=options.json))
    return SUCCESS


def _inspect(options: argparse.Namespace) -> int:
    from edge.cli.inspect import inspect_ticket

    text, is_valid = inspect_ticket(options.cookie, options.config, options.user_agent, options.address)
    print(text)
    return SUCCESS if is_valid else FAILED


def _keygen(_: argparse.Namespace) -> int:
    print(base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode())
    return SUCCESS


def _version(_: argparse.Namespace) -> int:
    print(VERSION_LINE)
    return SUCCESS


if __name__ == "__main__":
    sys.exit(main())
