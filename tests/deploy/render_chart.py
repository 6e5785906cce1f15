"""Render or lint a chart with Helm's own library: `render_chart.py render|lint CHART VALUES`, values as JSON.

It runs in the tools' environment. Prints the manifests as YAML documents; on a fault it prints the fault and exits 1.
"""

import json
import sys

from helm_python import HelmError
from helm_python.chart import Chart, lint


def main(action: str, chart: str, values: str) -> int:
    given = json.loads(values)
    try:
        if action == "lint":
            report = lint(chart, given, strict=True, kube_version="v1.29.0")
            print(json.dumps(report))
            return 1 if report["errors"] else 0
        with Chart.load(chart) as loaded:
            merged = loaded.merge_values(given)
            loaded.validate_schema(merged)
            manifests = loaded.render(given, name="stanchion", namespace="shop", is_install=True)
    except HelmError as fault:
        print(fault, file=sys.stderr)
        return 1
    for path in sorted(manifests):
        print(f"---\n# {path}\n{manifests[path]}" if path.endswith(".yaml") else "", end="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
