"""Known vulnerabilities in what is installed, pinned or allowed: `python -m tests.audit`, as `make check` does.

Two sources: `advisories.txt`, which works without a network and is as good as the day it was gone through, and osv.dev,
which knows of today. A service that cannot be reached fails nothing; one line says that it was not asked.
"""

import configparser
import json
import re
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

__all__ = ["Floors", "ask_service", "faults", "read_floors"]

ROOT = Path(__file__).parents[1]
SERVICE = "https://api.osv.dev/v1/querybatch"
#: `make check` is asked for many times an hour: whoever answers later than this is not waited for.
PATIENCE_S = 0.8

Floors = dict[str, tuple[Version, str]]
"""By normalised name: the oldest good version, and the advisories that older ones are open to."""


def read_floors(text: str) -> Floors:
    """advisories.txt as a value. Raises ValueError for a line that is none of it."""
    floors: Floors = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        found = re.fullmatch(r"([A-Za-z0-9._-]+)>=(\S+)\s+(none known|\S.*)", line)
        if found is None:
            raise ValueError(f"advisories.txt: {line!r} is not 'name>=version advisories'")
        floors[canonicalize_name(found[1])] = Version(found[2]), found[3]
    return floors


def faults(floors: Floors, where: str, versions: Iterable[tuple[str, str]]) -> list[str]:
    """What is older than it may be. where: said with each; versions: names and versions."""
    return [
        f"{where}: {name} {version} is older than {floors[known][0]}: {floors[known][1]}"
        for name, version in versions
        if (known := canonicalize_name(name)) in floors and Version(version) < floors[known][0]
    ]


def pinned(text: str) -> list[tuple[str, str]]:
    """Names and versions of constraints.txt."""
    return [(name, version) for name, _, version in (line.partition("==") for line in text.splitlines()) if version]


def allowed(text: str) -> list[tuple[str, str]]:
    """Names and oldest versions of setup.cfg, of what runs in production."""
    settings = configparser.ConfigParser()
    settings.read_string(text)
    lines = settings["options"]["install_requires"].split("\n") + settings["options.extras_require"]["postgres"].split(
        "\n"
    )
    wanted = [Requirement(line) for line in lines if line]
    return [(each.name, next((at.version for at in each.specifier if at.operator == ">="), "0")) for each in wanted]


def installed() -> list[tuple[str, str]]:
    return sorted((each.name, each.version) for each in distributions() if each.name != "stanchion")


def ask_service(
    versions: list[tuple[str, str]], url: str = SERVICE, patience_s: float = PATIENCE_S
) -> list[str] | None:
    """What the service knows against these; None when it does not answer in time."""
    queries = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in versions]
    request = urllib.request.Request(url, json.dumps({"queries": queries}).encode())
    answered: list[list[dict[str, str]]] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(request, timeout=patience_s) as answer:
                answered.extend(each.get("vulns", []) for each in json.load(answer)["results"])
        except (OSError, ValueError, KeyError):
            answered.clear()

    thread = threading.Thread(target=ask, daemon=True)  # looking up a name has no deadline of its own
    thread.start()
    thread.join(patience_s)
    if thread.is_alive() or len(answered) != len(versions):
        return None
    return [
        f"osv.dev: {name} {version}: {vulnerability['id']}"
        for (name, version), found in zip(versions, answered, strict=True)
        for vulnerability in found
    ]


def main() -> int:
    floors = read_floors((ROOT / "advisories.txt").read_text())
    asked_for = allowed((ROOT / "setup.cfg").read_text())
    found = [
        f"advisories.txt: nothing is said of {name}" for name, _ in asked_for if canonicalize_name(name) not in floors
    ]
    found += faults(floors, "setup.cfg", asked_for)
    found += faults(floors, "constraints.txt", pinned((ROOT / "constraints.txt").read_text()))
    found += faults(floors, "installed", installed())
    news = ask_service(installed())
    if news is None:
        print("audit: osv.dev was not reached, so only advisories.txt was looked at")
    found += news or []
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
