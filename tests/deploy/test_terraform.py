"""Terraform: formatted; the sizing validated and tested by terraform itself; the rest parsed and held together.

The providers of a cloud cannot be had here, so `terraform validate` runs where none is needed. The other modules are
parsed, and every reference between modules is checked: inputs, outputs and variables.
"""

import json
import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.tools import need, python

FOLDER = Path(__file__).parents[2] / "deploy" / "terraform"
MODULES = sorted(path for path in (FOLDER / "modules").iterdir() if path.is_dir())
ENVIRONMENT = FOLDER / "environments" / "aws"
EVERY = [*MODULES, ENVIRONMENT]


def terraform(*arguments: str, folder: Path = FOLDER) -> subprocess.CompletedProcess[str]:
    program = need("terraform", "HashiCorp's site")
    environment = {**os.environ, "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1", "NO_COLOR": "1"}
    return subprocess.run(
        [program, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


@cache
def read(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the blocks of a module by their kind."""
    program = (
        "import hcl2, json, pathlib, sys\n"
        "found = {}\n"
        "for file in sorted(pathlib.Path(sys.argv[1]).glob('*.tf')):\n"
        "    for kind, blocks in hcl2.loads(file.read_text('utf-8')).items():\n"
        "        if isinstance(blocks, list): found.setdefault(kind, []).extend(blocks)\n"
        "print(json.dumps(found))"
    )
    ended = subprocess.run(
        [python("hcl2"), "-c", program, str(folder)], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    blocks: dict[str, list[dict[str, Any]]] = json.loads(ended.stdout)
    return blocks


def names(folder: Path, kind: str) -> set[str]:
    return {name.strip('"') for block in read(folder).get(kind, []) for name in block}


def text_of(folder: Path) -> str:
    return "\n".join(path.read_text("utf-8") for path in sorted(folder.glob("*.tf")))


def test_everything_is_formatted():
    ended = terraform("fmt", "-check", "-recursive", "-list=true")
    assert ended.returncode == 0, f"run terraform fmt -recursive deploy/terraform: {ended.stdout}"


def test_the_sizing_is_valid_and_passes_its_tests(tmp_path: Path):
    folder = tmp_path / "sizing"
    subprocess.run(["cp", "-r", str(FOLDER / "modules" / "sizing"), str(folder)], check=True)
    for command in (("init", "-backend=false"), ("validate",), ("test",)):
        ended = terraform(*command, folder=folder)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "4 passed, 0 failed" in ended.stdout


def test_the_sizing_prints_its_table(tmp_path: Path):
    """A sale of half an hour for half a million visitors: the module's own answer."""
    folder = tmp_path / "sizing"
    subprocess.run(["cp", "-r", str(FOLDER / "modules" / "sizing"), str(folder)], check=True)
    assert terraform("init", "-backend=false", folder=folder).returncode == 0
    given = ("-var", "visitors=500000", "-var", "admissions_per_second=50", "-auto-approve")
    assert terraform("apply", *given, folder=folder).returncode == 0
    table = terraform("output", "-raw", "estimate", folder=folder).stdout
    rows = dict(re.findall(r"^(.+?) {2,}(\S+)", table, re.M))
    assert rows["longest wait, minutes"] == "167"
    assert rows["first visits a second"] == "8334"
    parts = [float(cost) for cost in re.findall(r" ([\d.]+\.\d\d)$", table, re.M)]
    assert abs(sum(parts[:-1]) - parts[-1]) < 0.05, table


@pytest.mark.parametrize("folder", EVERY, ids=lambda path: path.name)
def test_every_file_parses_and_every_variable_and_output_says_what_it_is(folder: Path):
    blocks = read(folder)
    for kind in ("variable", "output"):
        for block in blocks.get(kind, []):
            for name, body in block.items():
                assert body.get("description"), f"{folder.name}: {kind} {name}"
    assert "variable" in blocks
    assert "terraform" in blocks


@pytest.mark.parametrize("folder", EVERY, ids=lambda path: path.name)
def test_every_reference_inside_a_module_leads_somewhere(folder: Path):
    """Variables and locals are declared and used; resources and data that are referred to exist."""
    text = re.sub(r"#.*", "", text_of(folder))
    used = set(re.findall(r"\bvar\.(\w+)", text))
    assert used == names(folder, "variable")
    declared = {name for block in read(folder).get("locals", []) for name in block if not name.startswith("__")}
    assert set(re.findall(r"\blocal\.(\w+)", text)) <= declared
    resources = {
        f"{kind.strip(chr(34))}.{name.strip(chr(34))}"
        for block in read(folder).get("resource", [])
        for kind, named in block.items()
        for name in named
        if not name.startswith("__")
    }
    referred = set(re.findall(r"(?<![\w.\"/])(aws_\w+\.\w+)", text)) - set(re.findall(r"\bdata\.(aws_\w+\.\w+)", text))
    assert referred <= resources, folder.name


def test_the_environment_gives_each_module_what_it_asks_for_and_uses_what_it_gives():
    text = text_of(ENVIRONMENT)
    called: dict[str, dict[str, Any]] = {}
    for block in read(ENVIRONMENT)["module"]:
        called |= {name.strip('"'): body for name, body in block.items()}
    assert set(called) == {module.name for module in MODULES}
    for name, body in called.items():
        module = FOLDER / "modules" / name
        given = {key for key in body if key not in ("source",) and not key.startswith("__")}
        known = names(module, "variable")
        assert given <= known, f"{name} has no input {given - known}"
        needed = {
            variable.strip('"')
            for block in read(module)["variable"]
            for variable, about in block.items()
            if "default" not in about
        }
        assert needed <= given, f"{name} lacks {needed - given}"
        outputs = names(module, "output")
        assert set(re.findall(rf"\bmodule\.{name}\.(\w+)", text)) <= outputs


def test_stores_are_reached_from_the_cluster_alone():
    """No ingress from a range of addresses, everything encrypted, no public database."""
    text = "".join(text_of(FOLDER / "modules" / name) for name in ("database", "redis"))
    assert "cidr_ipv4" not in text
    assert text.count("referenced_security_group_id") == 2
    assert re.search(r"publicly_accessible\s+= false", text)
    for setting in ("storage_encrypted", "at_rest_encryption_enabled", "transit_encryption_enabled"):
        assert re.search(rf"{setting}\s+= true", text), setting
