"""The files of deploy/ are what the command prints, and every load balancer has its page."""

from pathlib import Path

import pytest
import yaml

from edge.cli.main import main
from edge.cli.plugin.render import RENDERERS, WAYS
from tests.plugins.deploy import DEPLOY, differing

GATEWAYS = sorted((DEPLOY / "kubernetes-gateways").glob("*.yaml"))


def test_the_configurations_are_what_the_command_prints() -> None:
    assert [path for path, _ in differing()] == [], "run: python -m tests.plugins.deploy"


@pytest.mark.parametrize("balancer", sorted(RENDERERS))
def test_every_load_balancer_has_a_page_of_one_page(balancer: str) -> None:
    lines = (DEPLOY / balancer / "README.md").read_text("utf-8").splitlines()
    assert 15 < len(lines) < 75
    assert max(map(len, lines)) <= 130


@pytest.mark.parametrize("balancer", sorted(RENDERERS))
def test_every_way_can_be_printed(balancer: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = str(DEPLOY / balancer / "shop.yaml")
    assert main(["plugin", "config", "--for", balancer, "--settings", settings]) == 0
    assert "Stanchion" in capsys.readouterr().out
    assert main(["plugin", "config", "--for", balancer, "--settings", settings, "--way", "path", "--no-tls"]) == 0
    printed = capsys.readouterr().out
    assert "api/authz" not in printed
    assert "tls.crt" not in printed


def test_a_dialect_that_the_settings_do_not_serve_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    settings = str(DEPLOY / "nginx" / "shop.yaml")
    for arguments in (["--for", "caddy"], ["--for", "nginx", "--way", "ext-authz"], ["--for", "envoy"]):
        assert main(["plugin", "config", *arguments, "--settings", settings]) == 2
    told = capsys.readouterr().err
    assert "plugins.endpoints.forward_auth.enabled" in told
    assert "the settings do not enable plugins.endpoints.ext_authz" in told


def test_no_way_is_left_without_a_renderer() -> None:
    assert WAYS.keys() == RENDERERS.keys()


@pytest.mark.parametrize("path", GATEWAYS, ids=lambda path: path.stem)
def test_the_samples_for_gateways_are_manifests(path) -> None:
    for manifest in yaml.safe_load_all(path.read_text("utf-8")):
        assert {"apiVersion", "kind", "metadata"} <= manifest.keys()


def test_a_question_that_is_parked_for_longer_than_haproxy_waits_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = yaml.safe_load((DEPLOY / "haproxy" / "shop.yaml").read_text("utf-8"))
    for seconds, code in ((3.0, 0), (3.1, 2)):
        tree["plugins"]["endpoints"]["forward_auth"]["max_park_seconds"] = seconds
        settings = tmp_path / "shop.yaml"
        settings.write_text(yaml.safe_dump(tree))
        assert main(["plugin", "config", "--for", "haproxy", "--settings", str(settings)]) == code
    assert "plugins.endpoints.forward_auth.max_park_seconds: HAProxy waits" in capsys.readouterr().err
