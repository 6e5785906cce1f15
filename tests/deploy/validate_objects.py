"""Validate Kubernetes objects against the schemas of some versions: `validate_objects.py 1.29 1.37 < objects.json`.

It runs in the tools' environment. Prints the faults as a JSON list of texts.
"""

import json
import sys

import kubernetes_validate


def main(*versions: str) -> None:
    faults = []
    for each in json.load(sys.stdin):
        for version in versions:
            try:
                kubernetes_validate.validate(each, version, strict=True)
            except kubernetes_validate.ValidationError as fault:
                faults.append(f"{each['kind']} in {version}: {fault.message} at {list(fault.path)}")
    print(json.dumps(faults))


if __name__ == "__main__":
    main(*sys.argv[1:])
