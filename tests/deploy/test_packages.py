"""The packages of a release: built, installed into a clean environment, and run as the documents say."""

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import venv
import zipfile
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
import yaml

from deploy.packages import build, sbom
from tests.edge.running import DEADLINE_S, wait_until
from tests.ports import free_port

HERE = Path(__file__).parents[2]
UNIT = HERE / "deploy" / "systemd" / "stanchion.service"


def test_the_bill_of_materials_lists_all_that_is_installed_for_the_edge():
    """CycloneDX 1.6, with a purl for each package, and only packages that it lists as dependencies."""
    bill = sbom()
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    names = {each["name"].lower() for each in bill["components"]}
    assert {"aiohttp", "pydantic", "uvloop", "redis", "hiredis", "httptools"} <= names
    assert not names & {"pytest", "ruff", "stanchion", "numpy"}, "what tests and extras need is not in it"
    refs = {each["bom-ref"] for each in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    assert {each["ref"] for each in bill["dependencies"]} == refs
    assert {ref for each in bill["dependencies"] for ref in each["dependsOn"]} <= refs
    assert all(re.fullmatch(r"pkg:pypi/[a-z0-9-]+@[\w.!+]+", ref) for ref in refs)


def test_the_version_stands_in_one_place():
    version = re.search(r"^version = (.+)$", (HERE / "setup.cfg").read_text("utf-8"), re.M)
    assert version is not None
    assert sbom()["metadata"]["component"]["version"] == version.group(1)
    project = tomllib.loads((HERE / "pyproject.toml").read_text("utf-8"))
    assert "project" not in project
    assert project["tool"]["cibuildwheel"]["environment"] == {"STANCHION_COMPILE": "1"}


def compiles(**environment: str) -> bool:
    """Return what setup.py would do with these variables."""
    program = "import setuptools; setuptools.setup = lambda **_: None; import setup; print(setup.wants_compiled())"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=HERE, capture_output=True, text=True, check=True, timeout=60,
        env={**{name: value for name, value in os.environ.items() if name != "STANCHION_COMPILE"}, **environment},
    )  # fmt: skip
    return ended.stdout.strip() == "True"


def test_the_sources_are_compiled_if_they_can_be_and_it_is_not_forbidden():
    assert compiles(STANCHION_COMPILE="1", CC="no-such-compiler")
    assert not compiles(STANCHION_COMPILE="0")
    assert not compiles(CC="no-such-compiler")


# Slow: `make deploy-test`


def browser() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(headers={"Accept": "text/html"}, cookie_jar=aiohttp.CookieJar(unsafe=True))


class Installed:
    """A clean virtual environment with a wheel and what it needs."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.bin = folder / "bin"
        venv.create(folder, with_pip=True, clear=True)
        self.run("pip", "install", "-q", "--disable-pip-version-check", str(wheel), "-c", str(HERE / "constraints.txt"))

    def run(self, *command: str) -> str:
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        ended = subprocess.run(
            [str(self.bin / command[0]), *command[1:]], cwd=self.bin, env=environment, capture_output=True, text=True,
            check=False, timeout=600,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("dist"), isolated=False)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("clean") / "stanchion", wheel)


@pytest.mark.deploy
def test_the_wheel_is_compiled_and_holds_the_sources(wheel: Path, installed: Installed):
    names = zipfile.ZipFile(wheel).namelist()
    assert re.fullmatch(r"stanchion-[\d.]+-cp3\d+-cp3\d+-linux_\w+\.whl", wheel.name)
    assert any(re.fullmatch(r"edge/proxy/client\.cpython-.*\.so", name) for name in names)
    assert "edge/proxy/client.py" in names
    assert not [name for name in names if name.startswith(("tests/", "deploy/"))]
    assert "(compiled)" in installed.run("stanchion", "version")
    assert any(re.fullmatch(r"waiting_room/_leaf\.cpython-.*\.so", name) for name in names)
    assert "True" in installed.run("python", "-c", "from waiting_room.leaf import NATIVE; print(NATIVE is not None)")


@pytest.mark.deploy
def test_the_pure_wheel_fits_every_platform(tmp_path: Path):
    file = build("pure", tmp_path / "dist", isolated=False)
    assert file.name.endswith("-py3-none-any.whl")
    assert not [name for name in zipfile.ZipFile(file).namelist() if name.endswith(".so")]
    assert "(pure)" in Installed(tmp_path / "clean", file).run("stanchion", "version")


@pytest.mark.deploy
def test_the_sdist_holds_what_a_build_needs(tmp_path: Path):
    file = build("sdist", tmp_path, isolated=False)
    listing = subprocess.run(["tar", "tzf", str(file)], capture_output=True, text=True, check=True).stdout
    for name in (
        "setup.py",
        "setup.cfg",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "edge/proxy/client.py",
        "waiting_room/leaf.c",
    ):
        assert f"/{name}\n" in listing
    for name in ("static/waiting.js", "waiting_room/languages/en.json", "configs/reference.yaml"):
        assert f"/{name}\n" in listing


@pytest.mark.deploy
async def test_the_ten_lines_and_the_command_of_the_unit_serve_a_line(installed: Installed, tmp_path: Path):
    """In the clean environment, with the README's settings in front of the shop that comes with the wheel."""
    readme = (HERE / "README.md").read_text("utf-8")
    [text] = re.findall(r"^```yaml\n(.*?)^```$", readme, re.M | re.S)
    settings = yaml.safe_load(text)
    port, admin = free_port(), free_port()
    environment = {"PATH": os.environ["PATH"], "STANCHION_KEYS": installed.run("stanchion", "keygen").strip()}
    shop = await asyncio.create_subprocess_exec(
        *(str(installed.bin / "checkout"), "serve", "--listen", "127.0.0.1:0"),
        stdout=asyncio.subprocess.PIPE, env=environment, cwd=tmp_path,
    )  # fmt: skip
    assert shop.stdout is not None
    address = (await shop.stdout.readline()).decode().removeprefix("listening on ").strip()
    settings |= {"listen": [f"tcp://127.0.0.1:{port}"], "upstream": {"url": address}}
    settings["admin"] = {"listen": f"tcp://127.0.0.1:{admin}"}
    settings["rooms"][0]["capacity"] = {"admissions_per_second": 0.5}
    file = tmp_path / "edge.yaml"
    file.write_text(yaml.safe_dump(settings))
    [start] = re.findall(r"^ExecStart=(.*)$", UNIT.read_text("utf-8"), re.M)
    command = start.replace("/opt/stanchion", str(installed.bin.parent)).replace("/etc/stanchion/edge.yaml", str(file))
    edge = await asyncio.create_subprocess_exec(*shlex.split(command), env=environment, cwd=tmp_path)
    try:

        async def is_ready() -> bool:
            assert edge.returncode is None
            asked = await asyncio.create_subprocess_exec(
                *(str(installed.bin / "stanchion"), "healthcheck", "--config", str(file)), env=environment,
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            return await asked.wait() == 0

        await wait_until(is_ready, "the edge is ready")
        async with AsyncExitStack() as stack:
            visitors = [await stack.enter_async_context(browser()) for _ in range(8)]

            async def visit(visitor: aiohttp.ClientSession) -> str:
                async with visitor.get(f"http://127.0.0.1:{port}/checkout") as answer:
                    return await answer.text()

            pages = [await visit(visitor) for visitor in visitors]
            assert sum("You are in line" in page for page in pages) >= 4

            async def is_admitted() -> bool:
                return "You are in line" not in await visit(visitors[0])

            await wait_until(is_admitted, "the first visitor is in the shop")
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{admin}/status") as answer:
            assert json.loads(await answer.text())["ready"] is True
    finally:
        for process in (edge, shop):
            process.terminate()
            async with asyncio.timeout(DEADLINE_S):
                await process.wait()
