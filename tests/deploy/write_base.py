"""Write Kustomize's base from the chart: `python -m tests.deploy.write_base`."""

import yaml

from tests.deploy.test_kubernetes import DEPLOY, as_base, render

HEADER = (
    "# Written from the Helm chart with its defaults by `python -m tests.deploy.write_base`. Change it in overlays.\n"
)

if __name__ == "__main__":
    text = yaml.safe_dump_all(as_base(render("defaults")), sort_keys=False, width=100)
    (DEPLOY / "kustomize" / "base" / "stanchion.yaml").write_text(HEADER + text, "utf-8")
