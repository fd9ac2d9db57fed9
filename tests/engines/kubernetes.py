#!/usr/bin/python3
"""Says what is wrong with the manifests of examples/kubernetes, as far as that is to be seen without a cluster.

usage: kubernetes.py FOLDER            checks them
       kubernetes.py FOLDER map OUT    writes what the ConfigMap holds as the kubelet mounts it
"""

import os
import re
import sys

import yaml

VERSIONS = {
    "RuntimeClass": "node.k8s.io/v1",
    "ConfigMap": "v1",
    "Namespace": "v1",
    "Pod": "v1",
    "DaemonSet": "apps/v1",
}


class Loader(yaml.SafeLoader):
    """Takes no key twice."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key twice: {keys}"
        return super().construct_mapping(node, deep)


def load(folder):
    found = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".yaml"):
            for document in yaml.load_all(open(os.path.join(folder, name)), Loader):
                assert VERSIONS[document["kind"]] == document["apiVersion"], name
                assert re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", document["metadata"]["name"]), name
                found[document["kind"], document["metadata"]["name"]] = document
    return found


def check_pod(spec, namespaced, found):
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    for container in spec["containers"] + spec.get("initContainers", []):
        assert set(container) <= {"name", "image", "command", "securityContext", "resources", "volumeMounts", "ports"}, container
        assert re.fullmatch("[a-z0-9./-]+:[0-9.]+", container["image"]), container
        for mount in container.get("volumeMounts", []):
            assert mount["name"] in volumes and mount["mountPath"].startswith("/"), mount
    for volume in volumes.values():
        config = found["ConfigMap", volume["configMap"]["name"]]
        assert config["metadata"]["namespace"] == namespaced["metadata"]["namespace"]
    if "runtimeClassName" in spec:
        assert ("RuntimeClass", spec["runtimeClassName"]) in found


def main():
    folder = sys.argv[1]
    found = load(folder)
    config = found["ConfigMap", "sandboxd-policies"]["data"]
    if sys.argv[2:]:
        # As the kubelet does: the names are links, and ..data, which all of them lead through, is switched as one.
        out = sys.argv[3]
        os.makedirs(os.path.join(out, "..1"))
        os.symlink("..1", os.path.join(out, "..data"))
        for name, text in config.items():
            open(os.path.join(out, "..1", name), "w").write(text)
            os.symlink(f"..data/{name}", os.path.join(out, name))
        return
    assert {kind for kind, _ in found} == set(VERSIONS)
    for (kind, name), document in found.items():
        if kind == "DaemonSet":
            template = document["spec"]["template"]
            assert document["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"], name
            assert template["spec"]["hostPID"] is True, name
            assert ("Namespace", document["metadata"]["namespace"]) in found, name
            check_pod(template["spec"], document, found)
        elif kind == "Pod":
            check_pod(document["spec"], document, found)
            settings = yaml.load(config["sandboxd.yaml"], Loader)
            assert document["metadata"]["annotations"]["org.sandboxd.policy"] in settings["oci"]["selectable"]
        elif kind == "ConfigMap":
            for key, text in document["data"].items():
                assert re.fullmatch("[a-z0-9-]+[.]yaml", key) and isinstance(text, str), key
    assert found["RuntimeClass", "sandboxd"]["handler"] == "sandboxd"


if __name__ == "__main__":
    main()
