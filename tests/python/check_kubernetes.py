"""Checks manifests against Kubernetes' schemas, and prints them as a JSON array.

check_kubernetes.py FILE [FILE...]; exit code 1 if one is not as its schema says. Kinds that clusters don't bring with them
have no schema here: they are printed unchecked, and have to be named in OTHERS.
"""

import json
import sys

import kubernetes_validate
import yaml

# The oldest that is taken care of, and the newest that there is a schema of.
VERSIONS = ["1.32", "1.37"]
OTHERS = {
    "kustomize.config.k8s.io/v1beta1/Kustomization",
    "kustomize.config.k8s.io/v1alpha1/Component",
    "monitoring.coreos.com/v1/PodMonitor",
    "monitoring.coreos.com/v1/PrometheusRule",
    "keda.sh/v1alpha1/ScaledObject",
    "rabbitmq.com/v1beta1/RabbitmqCluster",
}


class Strict(yaml.SafeLoader):
    """Says so when a key stands twice: the last one would count, and nobody would see."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.YAMLError(f"twice in one mapping, {node.start_mark}: {twice}")
        return super().construct_mapping(node, deep)


found, faults = [], []
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        for manifest in yaml.load_all(file, Loader=Strict):
            kind = f"{manifest['apiVersion']}/{manifest['kind']}"
            found.append({"file": path, "manifest": manifest})
            if kind in OTHERS:
                continue
            for version in VERSIONS:
                try:
                    kubernetes_validate.validate(manifest, version, strict=True)
                except kubernetes_validate.ValidationError as error:
                    faults.append(f"{path}: {kind}, Kubernetes {version}: {error}")
                except kubernetes_validate.SchemaNotFoundError:
                    faults.append(f"{path}: Kubernetes {version} knows no {kind}")
for fault in faults:
    print(fault, file=sys.stderr)
if faults:
    sys.exit(1)
json.dump(found, sys.stdout)
