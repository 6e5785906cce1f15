"""The pipelines: valid, safe, and made of commands that exist."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.tools import need

HERE = Path(__file__).parents[2]
FOLDER = HERE / ".github"
WORKFLOWS = sorted((FOLDER / "workflows").glob("*.yml"))
#: zizmor's proposals that GitHub's documents do not know yet.
NOT_YET = ("self-repository",)


@pytest.mark.parametrize("file", [*WORKFLOWS, FOLDER / "dependabot.yml"], ids=lambda path: path.name)
def test_every_file_passes_githubs_schema(file: Path):
    tool = need("check-jsonschema")
    schema = "vendor.dependabot" if file.name == "dependabot.yml" else "vendor.github-workflows"
    ended = subprocess.run(
        [tool, "--builtin-schema", schema, str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stdout


def test_zizmor_finds_no_weakness():
    """Pinned actions, no persisted credentials, no injection by a title or a branch name, least permissions."""
    zizmor = need("zizmor")
    ended = subprocess.run(
        [zizmor, "--offline", "--format=plain", "--no-progress", str(FOLDER)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    found = re.findall(r"^(?:error|warning|help|info)\[([\w-]+)\]", ended.stdout, re.M)
    assert [name for name in found if name not in NOT_YET] == [], ended.stdout


def test_the_pipelines_do_what_a_release_needs():
    """A pull request runs all checks; main and a tag run the same ones first; only a tag publishes."""
    flows = {file.stem: yaml.safe_load(file.read_text("utf-8")) for file in WORKFLOWS}
    assert set(flows) == {"pull-request", "main", "release"}
    checks = yaml.safe_dump(flows["pull-request"])
    for part in ("make test ", "make test-compiled", "make deploy-test", "docker build", "trivy"):
        assert part in checks
    for name in ("main", "release"):
        assert flows[name]["jobs"]["check"]["uses"] == "./.github/workflows/pull-request.yml"
        for job, body in flows[name]["jobs"].items():
            if "permissions" in body:
                assert body["needs"], f"{name}: {job} may write, so it waits for the checks"
    publishing = [file.stem for file in WORKFLOWS if "gh-action-pypi-publish" in file.read_text("utf-8")]
    assert publishing == ["release"]


def test_every_make_command_exists():
    targets = set(re.findall(r"^([a-z-]+):", (HERE / "Makefile").read_text("utf-8"), re.M))
    for file in WORKFLOWS:
        assert set(re.findall(r"\bmake ([a-z-]+)", file.read_text("utf-8"))) <= targets
