"""The image: linted, built by a real builder, and the edge in it serves a line without root and without a disk."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import yaml

from checkout.settings import parse
from edge.settings.loading import load_settings
from tests.deploy.tools import need
from tests.edge.running import DEADLINE_S, wait_until
from tests.ports import free_port

HERE = Path(__file__).parents[2]
DEPLOY = HERE / "deploy"
DOCKERFILE = DEPLOY / "container" / "Dockerfile"
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text("utf-8"))


def test_hadolint_finds_nothing():
    # DL3008: versions of Debian packages are those of the base image. SC2086: PIP_ARGS is a list of words.
    hadolint = need("hadolint")
    command = [hadolint, "--ignore", "DL3008", "--ignore", "SC2086", str(DOCKERFILE)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stdout


def test_the_image_is_not_root_and_names_its_version():
    text = DOCKERFILE.read_text("utf-8")
    version = re.search(r"^version = (.+)$", (HERE / "setup.cfg").read_text("utf-8"), re.M)
    assert version is not None
    assert f"ARG VERSION={version.group(1)}\n" in text
    assert re.findall(r"^USER (.+)$", text, re.M) == ["65532:65532"]
    # Without -I, Python imports the sources in the folder of the build instead of what was installed.
    assert re.findall(r"bin/python (?!-I )", text) == []
    assert "HEALTHCHECK" in text


def test_the_settings_of_the_image_and_of_its_shop_have_no_fault():
    settings = load_settings(DEPLOY / "container" / "edge.yaml")
    shop = parse(yaml.safe_load((DEPLOY / "compose" / "shop.yaml").read_text("utf-8")))
    assert settings.upstream.url == f"http://shop:{shop.listen.rpartition(':')[2]}"
    assert set(COMPOSE["services"]) >= {"edge", "shop", "redis", "postgres", "prometheus", "grafana"}


def test_compose_passes_its_schema_and_mounts_files_that_exist():
    tool = need("check-jsonschema")
    file = DEPLOY / "compose" / "compose.yaml"
    command = [tool, "--builtin-schema", "vendor.compose-spec", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stdout
    made_by_the_user = {"./admin-token"}
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith(".") and source not in made_by_the_user:
                assert (file.parent / source).exists(), source


def test_the_build_context_holds_what_the_build_needs_and_nothing_else():
    """Every COPY finds its source, and neither tests nor the virtual environment are sent to the builder."""
    allowed = {line[1:] for line in (HERE / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    for package in ("checkout", "configs", "controller", "edge", "static", "waiting_room"):
        assert package in allowed
    assert {"setup.py", "setup.cfg", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"} <= allowed
    assert not allowed & {"tests", ".venv", ".git", "docs"}


# Slow: `make deploy-test`


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=1500, env={**os.environ, **environment}
    )


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """A builder with a store of its own, which is removed afterwards."""
    program = need("buildah", "apt-get install buildah debootstrap")
    if os.geteuid() != 0:
        pytest.skip("buildah runs as root here, so the image is not built; run make deploy-test as root")
    store = tmp_path_factory.mktemp("containers")
    yield [program, "--storage-driver=vfs", f"--root={store}/root", f"--runroot={store}/run"]
    shutil.rmtree(store, ignore_errors=True)


@pytest.fixture(scope="module")
def image(buildah: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image, built from a base that debootstrap makes and from wheels of the index that pip uses here."""
    debootstrap = need("debootstrap", "apt-get install buildah debootstrap")
    folder = tmp_path_factory.mktemp("image")
    base, context = folder / "base", folder / "context"
    packages = "python3,python3-venv,python3-dev,gcc,libc6-dev"
    made = run(debootstrap, "--variant=minbase", f"--include={packages}", "bookworm", str(base))
    assert made.returncode == 0, made.stdout[-2000:]
    container = run(*buildah, "from", "scratch").stdout.strip()
    added = run(*buildah, "add", "-q", container, str(base))
    assert added.returncode == 0, added.stderr
    assert run(*buildah, "commit", "-q", "--rm", container, "localhost/base").returncode == 0
    shutil.rmtree(base)
    tracked = run("git", "-C", str(HERE), "ls-files").stdout.split("\n")
    for name in filter(None, tracked):
        if name.partition("/")[0] not in ("tests", "docs"):
            (context / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(HERE / name, context / name)
    wheels = context / "wheelhouse"
    wanted = ["setuptools>=77", "mypy>=1.13", "wheel", "pip", str(context)]
    pip = [sys.executable, "-m", "pip"]
    got = run(
        *pip, "wheel", "-q", "-w", str(wheels), "-c", str(HERE / "constraints.txt"), *wanted, STANCHION_COMPILE="0"
    )
    assert got.returncode == 0, got.stderr
    for own in wheels.glob("stanchion-*"):
        own.unlink()
    offline = "PIP_ARGS=--no-index --find-links /src/wheelhouse"
    built = run(
        *buildah, "bud", "--isolation=chroot", "--format=docker", "--network=host", "-t", "localhost/stanchion",
        "--build-arg", "BASE=localhost/base", "--build-arg", offline, "--build-arg", "REVISION=test",
        "-f", str(context / "deploy/container/Dockerfile"), str(context),
    )  # fmt: skip
    assert built.returncode == 0, (built.stdout + built.stderr)[-4000:]
    return "localhost/stanchion"


@pytest.mark.deploy
def test_the_image_says_what_it_is(buildah: list[str], image: str):
    described = json.loads(run(*buildah, "inspect", "--type=image", image).stdout)
    config = described["Docker"]["config"]
    assert config["User"] == "65532:65532"
    assert config["Healthcheck"]["Test"][:3] == ["CMD", "stanchion", "healthcheck"]
    assert config["Labels"]["org.opencontainers.image.revision"] == "test"
    assert config["Entrypoint"] == ["stanchion"]
    assert config["Cmd"] == ["run", "/etc/stanchion/edge.yaml"]


@pytest.mark.deploy
async def test_the_edge_in_the_image_serves_a_line(buildah: list[str], image: str, tmp_path: Path):
    """Compiled, as user 65532, on a root that it cannot write to. Its own healthcheck succeeds."""
    made = await asyncio.to_thread(run, *buildah, "from", image)
    container = made.stdout.strip()
    port, admin = free_port(), free_port()
    settings = tmp_path / "edge.yaml"
    settings.write_text(
        yaml.safe_dump(
            {
                "listen": [f"tcp://127.0.0.1:{port}"],
                "admin": {"listen": f"tcp://127.0.0.1:{admin}"},
                "secret_keys_env": "STANCHION_KEYS",
                "upstream": {"url": "http://127.0.0.1:9"},
                "rooms": [
                    {
                        "name": "checkout",
                        "match": {"paths": ["/checkout*"]},
                        "capacity": {"admissions_per_second": 0.01},
                    }
                ],
            }
        )
    )
    await asyncio.to_thread(run, "chmod", "755", str(tmp_path))

    def inside(*command: str) -> list[str]:
        mount = f"{settings}:/etc/stanchion/edge.yaml:ro"
        return [
            *buildah, "run", "--isolation=chroot", "--network=host", "--user=65532:65532",
            "--env=STANCHION_KEYS=" + "k" * 43, f"--volume={mount}", container, "--", *command,
        ]  # fmt: skip

    version = await asyncio.to_thread(run, *inside("stanchion", "version"))
    assert "(compiled)" in version.stdout, version.stderr
    touched = await asyncio.to_thread(run, *inside("sh", "-c", "id -u; touch /opt/stanchion/x /etc/x /usr/x"))
    assert touched.stdout.strip() == "65532"
    assert touched.returncode != 0
    edge = await asyncio.create_subprocess_exec(
        *inside("stanchion", "run", "/etc/stanchion/edge.yaml"), stderr=asyncio.subprocess.PIPE
    )
    try:

        async def is_ready() -> bool:
            assert edge.returncode is None, await edge.stderr.read() if edge.stderr else b""
            check = await asyncio.to_thread(
                run, *inside("stanchion", "healthcheck", "--config", "/etc/stanchion/edge.yaml")
            )
            return check.returncode == 0

        await wait_until(is_ready, "the healthcheck of the image succeeds")
        async with aiohttp.ClientSession() as session:
            states = []
            for _ in range(6):
                async with session.get(
                    f"http://127.0.0.1:{port}/checkout", headers={"Accept": "text/html"}, cookies={}
                ) as answer:
                    states.append(answer.headers.get("Stanchion-State", str(answer.status)))
                session.cookie_jar.clear()
            assert "waiting" in states
            async with session.get(f"http://127.0.0.1:{admin}/metrics") as answer:
                assert 'form="compiled"' in await answer.text()
    finally:
        edge.terminate()
        async with asyncio.timeout(DEADLINE_S):
            await edge.wait()
