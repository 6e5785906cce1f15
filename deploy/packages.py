"""Build the packages of a release into `dist/`: `python -m deploy.packages [--out FOLDER] [--only wheel,sbom]`.

    stanchion-V-cp311-cp311-linux_x86_64.whl   the compiled form for this machine's Python
    stanchion-V-py3-none-any.whl               the pure form, for every other platform
    stanchion-V.tar.gz                         the sources
    stanchion-V.cdx.json                       an SBOM (CycloneDX 1.6): the package and what it needs, as installed here

The release pipeline builds compiled wheels for more platforms with cibuildwheel (`pyproject.toml`).
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

__all__ = ["KINDS", "build", "sbom"]

ROOT = Path(__file__).parents[1]
KINDS = ("wheel", "pure", "sdist", "sbom")


def build(kind: str, out: Path, *, isolated: bool = True) -> Path:
    """Build one package and return its file. isolated: let pip install what the build needs."""
    out.mkdir(parents=True, exist_ok=True)
    if kind == "sbom":
        version = distribution("stanchion").version
        file = out / f"stanchion-{version}.cdx.json"
        file.write_text(json.dumps(sbom(), indent=2) + "\n", "utf-8")
        return file
    before = set(out.iterdir())
    if kind == "sdist":
        program = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"
        _run([sys.executable, "-c", program, str(out.resolve())], "0")
    else:
        with tempfile.TemporaryDirectory() as folder:
            apart = [] if isolated else ["--no-build-isolation"]
            command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", *apart, "-w", folder, str(ROOT)]
            _run(command, "1" if kind == "wheel" else "0")
            [made] = Path(folder).iterdir()
            (out / made.name).write_bytes(made.read_bytes())
    [file] = set(out.iterdir()) - before or {next(iter(sorted(out.iterdir(), key=lambda each: -each.stat().st_mtime)))}
    return file


def _run(command: list[str], choice: str) -> None:
    environment = {**os.environ, "STANCHION_COMPILE": choice}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def sbom() -> dict[str, Any]:
    """Return the bill of materials of what is installed here (CycloneDX 1.6, ECMA-424)."""
    found = {each.metadata["Name"]: each for each in _needed("stanchion")}
    own = found.pop(distribution("stanchion").metadata["Name"])
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {"component": {**_component(own), "type": "application"}},
        "components": [_component(found[name]) for name in sorted(found, key=str.lower)],
        "dependencies": [
            {"ref": _purl(each), "dependsOn": sorted(_purl(other) for other in _direct(each))}
            for each in (own, *(found[name] for name in sorted(found, key=str.lower)))
        ],
    }


def _needed(name: str) -> Iterator[Distribution]:
    """Yield a package and, without extras, all that it needs."""
    seen: set[str] = set()
    pending = [distribution(name)]
    while pending:
        each = pending.pop()
        key = _normal(each.metadata["Name"])
        if key in seen:
            continue
        seen.add(key)
        yield each
        pending += _direct(each)


def _direct(each: Distribution) -> list[Distribution]:
    found = []
    for line in each.requires or []:
        requirement, _, marker = line.partition(";")
        # hiredis is the one extra that the edge itself asks for.
        if "extra ==" in marker and not ("hiredis" in marker and _normal(each.metadata["Name"]) == "redis"):
            continue
        try:
            found.append(distribution(re.split(r"[\s\[<>=!~(]", requirement.strip(), maxsplit=1)[0]))
        # A requirement of other platforms or versions of Python is not installed here.
        except PackageNotFoundError:
            continue
    return found


def _component(each: Distribution) -> dict[str, Any]:
    licence = each.metadata.get("License-Expression") or each.metadata.get("License") or ""
    named = {"licenses": [{"license": {"name": licence}}]} if licence and len(licence) < 80 else {}
    name, version = each.metadata["Name"], each.version
    return {"type": "library", "bom-ref": _purl(each), "name": name, "version": version, "purl": _purl(each), **named}


def _purl(each: Distribution) -> str:
    return f"pkg:pypi/{_normal(each.metadata['Name'])}@{each.version}"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build the packages of a release.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder (default: dist)")
    parser.add_argument("--only", default=",".join(KINDS), help="kinds, separated by commas (default: %(default)s)")
    options = parser.parse_args()
    for kind in options.only.split(","):
        print(build(kind, options.out))
