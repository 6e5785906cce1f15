"""Find known vulnerabilities in dependencies: `python -m tests.audit`, which `make check` runs.

It checks the installed versions, the versions pinned in constraints.txt and the oldest versions that setup.cfg allows.
There are two sources. `advisories.txt` works without a network and is as current as its last review. osv.dev is
current. If it cannot be reached, the audit prints one line that says so and does not fail.
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
#: Developers run `make check` many times an hour, so the audit waits no longer for osv.dev.
PATIENCE_S = 0.8

Floors = dict[str, tuple[Version, str]]
"""By normalised name: the oldest version without a known vulnerability, and the advisories for older ones."""


def read_floors(text: str) -> Floors:
    """Parse advisories.txt. Raise ValueError if a line does not have its form."""
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
    """Return a message for each version below its floor. where: the source that the message names."""
    return [
        f"{where}: {name} {version} is older than {floors[key][0]}: {floors[key][1]}"
        for name, version in versions
        if (key := canonicalize_name(name)) in floors and Version(version) < floors[key][0]
    ]


def pinned(text: str) -> list[tuple[str, str]]:
    """Return the names and versions in constraints.txt."""
    return [(name, version) for name, _, version in (line.partition("==") for line in text.splitlines()) if version]


def allowed(text: str) -> list[tuple[str, str]]:
    """Return the names and oldest allowed versions of the production dependencies in setup.cfg."""
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
    """Return the vulnerabilities that the service lists, or None if it does not answer in time."""
    queries = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in versions]
    request = urllib.request.Request(url, json.dumps({"queries": queries}).encode())
    results: list[list[dict[str, str]]] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(request, timeout=patience_s) as answer:
                results.extend(each.get("vulns", []) for each in json.load(answer)["results"])
        except (OSError, ValueError, KeyError):
            results.clear()

    # A thread, because a DNS look-up has no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(patience_s)
    if thread.is_alive() or len(results) != len(versions):
        return None
    return [
        f"osv.dev: {name} {version}: {vulnerability['id']}"
        for (name, version), found in zip(versions, results, strict=True)
        for vulnerability in found
    ]


def main() -> int:
    floors = read_floors((ROOT / "advisories.txt").read_text())
    required = allowed((ROOT / "setup.cfg").read_text())
    found = [f"advisories.txt: {name} is missing" for name, _ in required if canonicalize_name(name) not in floors]
    found += faults(floors, "setup.cfg", required)
    found += faults(floors, "constraints.txt", pinned((ROOT / "constraints.txt").read_text()))
    found += faults(floors, "installed", installed())
    current = ask_service(installed())
    if current is None:
        print("audit: osv.dev could not be reached; only advisories.txt was checked")
    found += current or []
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
