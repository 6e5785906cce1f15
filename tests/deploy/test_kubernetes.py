"""The Helm chart and the Kustomize manifests: rendered in every variant, checked against Kubernetes' schemas."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.settings.loading import parse_settings
from tests.deploy.tools import need, python

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm" / "stanchion"
REDIS = {"settings": {"cluster": {"redis_url": "redis://redis:6379/0"}}}
#: The manifests must pass the schemas of these Kubernetes versions: from the chart's oldest to the newest.
VERSIONS = ("1.29", "1.31", "1.33", "1.35", "1.37")
VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "one pod": {"replicas": 1},
    "redis": REDIS,
    "autoscaling": {**REDIS, "autoscaling": {"enabled": True, "targetPollsPerSecond": 20000}},
    "policies and monitoring": {
        "networkPolicy": {
            "enabled": True,
            "ingressFrom": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
            "monitoringFrom": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
        },
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True},
    },
    "everything else": {
        "image": {"repository": "registry.example/stanchion", "digest": "sha256:" + "a" * 64, "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "registry"}],
        "service": {"type": "LoadBalancer", "port": 8443, "annotations": {"a": "b"}},
        "podDisruptionBudget": {"enabled": False},
        "topologySpread": {"zone": "DoNotSchedule", "host": ""},
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "shop"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "extraEnv": [{"name": "REDIS_PASSWORD", "value": "x"}],
        "shutdown": {"delaySeconds": 15, "graceSeconds": 60},
    },
}


@cache
def render(name: str) -> list[dict[str, Any]]:
    """Return the objects of a variant."""
    return rendered(VARIANTS[name])


def rendered(values: dict[str, Any]) -> list[dict[str, Any]]:
    ended = helm(values)
    assert ended.returncode == 0, ended.stderr
    return [each for each in yaml.safe_load_all(ended.stdout) if each]


def helm(values: dict[str, Any], action: str = "render") -> subprocess.CompletedProcess[str]:
    """Run the chart through Helm itself, in the tools' environment."""
    interpreter = python("helm_python")
    program = Path(__file__).parent / "render_chart.py"
    command = [interpreter, str(program), action, str(CHART), json.dumps(values)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in objects if each["kind"] == kind]


def one(objects: list[dict[str, Any]], kind: str, name: str = "stanchion") -> dict[str, Any]:
    [found] = [each for each in of_kind(objects, kind) if each["metadata"]["name"] == name]
    return found


def settings_of(objects: list[dict[str, Any]]) -> str:
    text: str = one(objects, "ConfigMap")["data"]["edge.yaml"]
    return text


def validated(objects: list[dict[str, Any]], versions: tuple[str, ...]) -> list[str]:
    """Return what Kubernetes' schemas say against the objects. Kinds of the Prometheus operator are not in them."""
    interpreter = python("kubernetes_validate")
    own = [each for each in objects if not each["apiVersion"].startswith("monitoring.coreos.com/")]
    program = Path(__file__).parent / "validate_objects.py"
    ended = subprocess.run(
        [interpreter, str(program), *versions], input=json.dumps(own), capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found: list[str] = json.loads(ended.stdout)
    return found


def test_helm_lints_the_chart_without_a_warning():
    for values in VARIANTS.values():
        report = json.loads(helm(values, "lint").stdout)
        assert report["errors"] == []
        assert [each for each in report["messages"] if each["severity"] >= 2] == []


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_passes_the_schemas_of_all_supported_versions(name: str):
    """From 1.29 to the newest, strictly: an unknown field is a fault."""
    assert validated(render(name), VERSIONS) == []


def test_the_schemas_would_find_a_fault():
    broken = [{**each, "spec": {**each["spec"], "replica": 2}} for each in of_kind(render("defaults"), "Deployment")]
    assert len(validated(broken, VERSIONS[:1])) == 1


@pytest.mark.parametrize("name", VARIANTS)
def test_the_settings_in_the_config_map_pass_check(name: str):
    """The edge accepts what the chart writes, and takes the ports, secrets and times that the pod has."""
    objects = render(name)
    settings = parse_settings(settings_of(objects))
    [pod] = [each["spec"]["template"]["spec"] for each in of_kind(objects, "Deployment")]
    [container] = pod["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert [each.url for each in settings.listen] == [f"tcp://0.0.0.0:{ports['http']}"]
    assert settings.admin.listen == f"tcp://0.0.0.0:{ports['admin']}"
    assert (settings.secret_keys_env, settings.admin.token_env) == ("STANCHION_KEYS", "STANCHION_ADMIN_TOKEN")
    assert container["args"] == ["run", f"{container['volumeMounts'][0]['mountPath']}/edge.yaml"]
    least = settings.shutdown.delay_seconds + settings.shutdown.grace_seconds + 3
    assert pod["terminationGracePeriodSeconds"] > least
    replicas = one(objects, "Deployment")["spec"].get("replicas")
    assert settings.cluster.machines == (1 if settings.cluster.redis_url else replicas)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_pod_is_hardened_and_probed(name: str):
    [pod] = [each["spec"]["template"]["spec"] for each in of_kind(render(name), "Deployment")]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    paths = {probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}
    assert container["envFrom"] == [{"secretRef": {"name": "stanchion"}}]
    assert not of_kind(render(name), "Secret"), "the chart makes no key"


def test_only_what_is_asked_for_is_rendered():
    kinds = {name: {each["kind"] for each in render(name)} for name in VARIANTS}
    always = {"ConfigMap", "Deployment", "Service", "Pod"}
    assert kinds["defaults"] == {*always, "PodDisruptionBudget"}
    assert kinds["autoscaling"] == {*always, "PodDisruptionBudget", "HorizontalPodAutoscaler"}
    assert kinds["policies and monitoring"] == {
        *always, "PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor", "PrometheusRule",
    }  # fmt: skip
    assert kinds["everything else"] == always


def test_autoscaling_is_by_load_and_never_by_waiting_visitors():
    scaler = one(render("autoscaling"), "HorizontalPodAutoscaler")["spec"]
    assert {metric["type"] for metric in scaler["metrics"]} == {"Resource", "Pods"}
    assert "waiting" not in json.dumps(scaler)
    assert scaler["behavior"]["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300
    assert "replicas" not in one(render("autoscaling"), "Deployment")["spec"]


def test_the_admin_port_is_not_in_the_service_of_visitors():
    objects = render("defaults")
    assert [port["name"] for port in one(objects, "Service")["spec"]["ports"]] == ["http"]
    assert one(objects, "Service", "stanchion-admin")["spec"]["clusterIP"] == "None"
    policy = one(render("policies and monitoring"), "NetworkPolicy")["spec"]["ingress"]
    assert [[port["port"] for port in rule["ports"]] for rule in policy] == [["http"], ["admin"]]
    assert all(rule["from"] for rule in policy)


def test_monitoring_has_the_rules_of_prometheus():
    objects = render("policies and monitoring")
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text("utf-8"))
    assert one(objects, "PrometheusRule")["spec"] == rules
    monitor = one(objects, "ServiceMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    [endpoint] = monitor["spec"]["endpoints"]
    assert endpoint["port"] == "admin"
    labels = one(objects, "Service", "stanchion-admin")["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_other_settings_start_other_pods():
    def checksum(values: dict[str, Any]) -> str:
        template = one(rendered(values), "Deployment")["spec"]["template"]
        found: str = template["metadata"]["annotations"]["checksum/settings"]
        return found

    assert checksum({}) == checksum({}) != checksum({"settings": {"workers": 3}})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"autoscaling": {"enabled": True}}, "autoscaling needs settings.cluster.redis_url"),
        ({**REDIS, "autoscaling": {"enabled": True, "minReplicas": 9}}, "must not be above"),
        ({"replicas": 0}, "replicas"),
        ({"replica": 3}, "replica"),
        ({"settings": {"listen": ["tcp://0.0.0.0:1"]}}, "listen"),
        ({"settings": {"cluster": {"machines": 3}}}, "machines"),
        ({"settings": {"rooms": []}}, "rooms"),
        ({"existingSecret": ""}, "existingSecret"),
        ({"service": {"type": "Loadbalancer"}}, "service"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"topologySpread": {"zone": "Always"}}, "zone"),
    ],
)
def test_values_that_cannot_work_are_refused_with_a_reason(values: dict[str, Any], words: str):
    ended = helm(values)
    assert ended.returncode == 1
    assert words in ended.stderr


def test_the_chart_has_the_version_of_the_package():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    version = re.search(r"^version = (.+)$", (DEPLOY.parent / "setup.cfg").read_text("utf-8"), re.M)
    assert version is not None
    assert chart["version"] == chart["appVersion"] == version.group(1)


def test_the_charts_copy_of_the_rules_is_the_rules():
    """Helm reads no file outside of a chart."""
    copy = CHART / "files" / "rules.yaml"
    assert copy.read_text("utf-8") == (DEPLOY / "prometheus" / "rules.yaml").read_text("utf-8")


# Kustomize


def kustomized(folder: str) -> list[dict[str, Any]]:
    kubectl = need("kubectl", "your Kubernetes distribution")
    ended = subprocess.run(
        [kubectl, "kustomize", str(DEPLOY / "kustomize" / folder)], capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return [each for each in yaml.safe_load_all(ended.stdout) if each]


def test_the_base_is_the_chart_with_its_defaults():
    """One truth: `python -m tests.deploy.write_base` writes the base anew."""
    base = list(yaml.safe_load_all((DEPLOY / "kustomize" / "base" / "stanchion.yaml").read_text("utf-8")))
    assert base == as_base(render("defaults"))


def as_base(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the objects of the chart as Kustomize's base: without Helm's labels, its test and its checksum."""
    text = json.dumps([each for each in objects if each["kind"] != "Pod"])
    base: list[dict[str, Any]] = json.loads(text)
    for each in base:
        for labels in (each["metadata"]["labels"], *_template_labels(each)):
            for name in ("helm.sh/chart", "app.kubernetes.io/managed-by"):
                labels.pop(name, None)
        if each["kind"] == "Deployment":
            del each["spec"]["template"]["metadata"]["annotations"]
    return base


def _template_labels(each: dict[str, Any]) -> list[dict[str, str]]:
    return [each["spec"]["template"]["metadata"]["labels"]] if each["kind"] == "Deployment" else []


@pytest.mark.parametrize("folder", ["base", "overlays/one-zone", "overlays/redis"])
def test_every_overlay_passes_the_schemas_and_its_settings_pass_check(folder: str):
    objects = kustomized(folder)
    assert validated(objects, (VERSIONS[0], VERSIONS[-1])) == []
    [maps] = of_kind(objects, "ConfigMap")
    settings = parse_settings(maps["data"]["edge.yaml"])
    deployment = one(objects, "Deployment")
    [volume] = [each for each in deployment["spec"]["template"]["spec"]["volumes"] if each["name"] == "settings"]
    assert volume["configMap"]["name"] == maps["metadata"]["name"]
    scaled = of_kind(objects, "HorizontalPodAutoscaler")
    assert bool(scaled) == (settings.cluster.redis_url is not None)
    if not scaled:
        assert settings.cluster.machines == deployment["spec"]["replicas"]
