"""An installed Stanchion is complete: the wheel, unpacked elsewhere, finds its pages, languages and settings."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]
PACKAGES = ("checkout", "configs", "controller", "edge", "static", "waiting_room")
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
IMPORT_ALL = """
import sys
from importlib.metadata import entry_points, version
from importlib.resources import files
from pathlib import Path
import checkout, configs, controller, edge, static, waiting_room
site = Path(sys.argv[1])
for package in (checkout, configs, controller, edge, static, waiting_room):
    assert Path(package.__file__).is_relative_to(site), package.__file__
from waiting_room.assets import Assets
from waiting_room.page import WaitingPage
from edge.settings.loading import parse_settings
page = WaitingPage(Assets.load(), "checkout", "Shop")
parse_settings((files("configs") / "demo.yaml").read_text("utf-8"))
assert version("stanchion")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack a wheel. It is built from a copy, so that the build leaves nothing in the source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    source, out, site = folder / "source", folder / "out", folder / "site"
    for name in PACKAGES:
        shutil.copytree(HERE / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(HERE / name, source)
    out.mkdir()
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(out)], cwd=source, capture_output=True, text=True, check=False, timeout=120
    )
    assert built.returncode == 0, built.stderr
    [wheel] = out.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    return site


def run_elsewhere(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in an empty folder with the unpacked wheel first on its path."""
    empty = site.parent / "empty"
    empty.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_the_wheel_contains_every_file_of_the_packages_and_no_test(site: Path):
    wanted = {
        str(path.relative_to(HERE))
        for name in PACKAGES
        for path in (HERE / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    contained = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    assert wanted - contained == set()
    assert {name.partition("/")[0] for name in contained} - set(PACKAGES) == {
        next(name.partition("/")[0] for name in contained if ".dist-info/" in name)
    }


def test_the_installed_pages_and_settings_are_found(site: Path):
    """Static files, languages and the demo's settings load from the wheel, from any folder."""
    loaded = run_elsewhere(site, "-c", IMPORT_ALL, str(site))
    assert loaded.returncode == 0, loaded.stderr


def test_the_installed_command_works(site: Path):
    """`stanchion check` accepts the wheel's reference settings; the entry point names the command."""
    checked = run_elsewhere(site, "-m", "edge.cli", "check", "--offline", str(site / "configs" / "reference.yaml"))
    assert (checked.returncode, "no faults" in checked.stdout) == (0, True)
    [info] = site.glob("*.dist-info")
    assert "stanchion = edge.cli.main:main" in (info / "entry_points.txt").read_text("utf-8")
