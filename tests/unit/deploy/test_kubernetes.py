"""What the manifests mean: who is which instance, who holds which keys, who may talk to whom."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest

from app.main import DRAIN_S
from app.settings import MAX_INSTANCES, CommonSettings
from app.web.ops import OpsPages, ops_routes
from ops.envfile import KEY_NAMES, ROOT
from tests.unit.deploy.conftest import overlay
from tests.unit.deploy.kustomize import Document, containers, render


def one(documents: list[Document], kind: str, name: str) -> Document:
    """The document of that kind and name."""
    (found,) = (each for each in documents if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def template(documents: list[Document], kind: str, name: str) -> Document:
    """The pods' labels and spec of a workload."""
    found: Document = one(documents, kind, name)["spec"]["template"]
    return found


def variables(container: Document) -> dict[str, Any]:
    """A container's own variables, each as its value or where it comes from."""
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container.get("env", [])}


def shared(documents: list[Document]) -> dict[str, str]:
    """How many instances there are and where, as all are told."""
    data: dict[str, str] = one(documents, "ConfigMap", "quartet-instances")["data"]
    return data


def test_the_ordinal_is_the_instance(documents: list[Document]) -> None:
    """Pod quartet-instance-k is told that it is instance k, for every k up to the count that all are told."""
    stateful = one(documents, "StatefulSet", "quartet-instance")["spec"]
    (instance,) = stateful["template"]["spec"]["containers"]
    assert stateful["ordinals"]["start"] == 1
    assert variables(instance)["INSTANCE_ID"] == {
        "fieldRef": {"fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']"}
    }
    assert str(stateful["replicas"]) == shared(documents)["INSTANCE_COUNT"]
    assert {"configMapRef": {"name": "quartet-instances"}} in instance["envFrom"]


def test_nginx_finds_each_instance_under_an_address_of_its_own(documents: list[Document]) -> None:
    """In the order of their ids; each address is a Service with an IP that selects this one pod, ready or not."""
    addresses = shared(documents)["INSTANCE_ADDRESSES"].split(",")
    assert len(addresses) == int(shared(documents)["INSTANCE_COUNT"])
    (instance,) = template(documents, "StatefulSet", "quartet-instance")["spec"]["containers"]
    listening = {port["name"]: port["containerPort"] for port in instance["ports"]}
    assert variables(instance)["PORT"] == str(listening["http"])
    for number, address in enumerate(addresses, start=1):
        name, _, port = address.partition(":")
        assert name == f"quartet-instance-{number}"
        spec = one(documents, "Service", name)["spec"]
        assert spec["selector"]["statefulset.kubernetes.io/pod-name"] == name
        assert "clusterIP" not in spec
        assert spec["publishNotReadyAddresses"] is True
        assert [(entry["port"], entry["targetPort"]) for entry in spec["ports"]] == [(int(port), "http")]
    (nginx,) = template(documents, "Deployment", "quartet-nginx")["spec"]["containers"]
    assert {"configMapRef": {"name": "quartet-instances"}} in nginx["envFrom"]


def test_a_container_is_given_its_own_key_set_and_no_other(documents: list[Document]) -> None:
    """Of the volume with all sets only the directory of the own number is mounted, in this container alone."""
    spec = template(documents, "StatefulSet", "quartet-instance")["spec"]
    (volume,) = (each for each in spec["volumes"] if each["name"] == "key-sets")
    sources = [source["secret"] for source in volume["projected"]["sources"]]
    assert [source["name"] for source in sources] == [f"quartet-keys-{k}" for k in range(1, MAX_INSTANCES + 1)]
    for k, source in enumerate(sources, start=1):
        assert source["optional"] is True, "a set that is missing must not keep the other instances from starting"
        assert {item["key"]: item["path"] for item in source["items"]} == {name: f"{k}/{name}" for name in KEY_NAMES}
    mounts = [(box["name"], mount) for box in containers({"spec": {"template": {"spec": spec}}}) for mount in
              box.get("volumeMounts", []) if mount["name"] == "key-sets"]  # fmt: skip
    ((container, mount),) = mounts
    assert container == "instance"
    assert mount["subPathExpr"] == "$(INSTANCE_ID)"
    (instance,) = spec["containers"]
    assert mount["mountPath"] in variables(instance)["SECRETS_DIR"].split(":")


def test_no_secret_stands_in_a_manifest_or_in_an_instances_environment(documents: list[Document]) -> None:
    """The instance's variables come from ConfigMaps and from its pod alone, and no ConfigMap holds a secret."""
    (instance,) = template(documents, "StatefulSet", "quartet-instance")["spec"]["containers"]
    assert all("configMapRef" in source for source in instance["envFrom"])
    assert not [name for name, value in variables(instance).items() if "secretKeyRef" in (value or {})]
    for document in documents:
        if document["kind"] == "ConfigMap":
            assert not {name for name in document["data"] if re.search("KEY$|TOKEN|PASSWORD|STORE_URL", name)} - {
                "DISCORD_PUBLIC_KEY"
            }


def test_the_written_overlay_has_one_secret_for_each_key_set_and_every_setting(tmp_path: Path) -> None:
    """Set k is in Secret k alone; each variable that was set arrives unchanged, quotes and line breaks included."""
    documents = render(overlay("written-6", tmp_path))
    for k in range(1, 7):
        data = one(documents, "Secret", f"quartet-keys-{k}")["data"]
        values = {name: base64.b64decode(value).decode() for name, value in data.items()}
        assert set(values) == set(KEY_NAMES)
        assert all(value.endswith(f"of-set-{k}") for value in values.values())
    settings = one(documents, "ConfigMap", "quartet-settings")["data"]
    assert settings["SYSTEM_PROMPT"] == "Two\nlines, 'quoted' = #1"
    assert settings["DISCORD_APPLICATION_ID"] == "1200000000000000000"
    assert "of-set-" not in str(settings)
    store = one(documents, "Secret", "quartet-store")["data"]
    password = base64.b64decode(store["VALKEY_PASSWORD"]).decode()
    url = base64.b64decode(store["STORE_URL"]).decode()
    assert url == f"redis://:{password}@quartet-valkey:6379/0"
    again = one(render(overlay("written-6", tmp_path)), "Secret", "quartet-store")["data"]
    assert again == store, "the store keeps its password, else no instance could open it any more"
    for path in (tmp_path / "written-6").glob("*.env"):
        assert path.stat().st_mode & 0o077 == 0


def test_any_shared_setting_passes(tmp_path: Path) -> None:
    """Every variable that instances share is either set for the cluster or taken over from the file."""
    from ops.kubernetes import shared_settings
    from tests.unit.ops.files import env_file

    names = {name.upper() for name in CommonSettings.model_fields}
    file = env_file(tmp_path, **dict.fromkeys(names, "1"))
    assert set(shared_settings(file)) == names - {"STORE_URL", "DATA_DIR", "INSTANCE_COUNT"}
    secret = {name for name, field in CommonSettings.model_fields.items() if "Secret" in str(field.annotation)}
    assert secret == set(), "a secret belongs into a Secret, not among the settings"


def test_a_store_elsewhere_may_be_reached_and_nothing_of_valkey_is_made(tmp_path: Path) -> None:
    """The instances are let out to its port; its URL is in the Secret alone."""
    documents = render(overlay("written-outside", tmp_path))
    assert not [each for each in documents if each["metadata"]["name"] == "quartet-valkey"]
    (rule,) = one(documents, "NetworkPolicy", "store")["spec"]["egress"]
    assert 6380 in [port["port"] for port in rule["ports"]]
    assert base64.b64decode(one(documents, "Secret", "quartet-store")["data"]["STORE_URL"]).startswith(b"rediss://")
    assert "initContainers" not in template(documents, "StatefulSet", "quartet-instance")["spec"]


def test_probes_ask_for_pages_there_are_and_a_store_that_is_down_restarts_nobody(documents: list[Document]) -> None:
    """Readiness asks for health, which is red without a store; what restarts a container asks whether it lives."""
    routes = {getattr(route, "path", "") for route in ops_routes(OpsPages(*[None] * 5)).routes}  # type: ignore[arg-type]
    (instance,) = template(documents, "StatefulSet", "quartet-instance")["spec"]["containers"]
    paths = {probe: instance[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/live", "readiness": "/health", "liveness": "/live"}
    assert set(paths.values()) <= routes
    for workload in (each for each in documents if each["kind"] in ("Deployment", "StatefulSet")):
        for container in workload["spec"]["template"]["spec"]["containers"]:
            named = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                asked = container[probe].get("httpGet") or container[probe].get("tcpSocket") or {}
                assert asked.get("port", next(iter(named))) in named


def test_an_instance_has_time_to_hand_over_its_work(documents: list[Document]) -> None:
    """Kubernetes kills later than an instance drains at most."""
    spec = template(documents, "StatefulSet", "quartet-instance")["spec"]
    assert spec["terminationGracePeriodSeconds"] >= DRAIN_S + 10


def test_selectors_match_the_pods_they_are_meant_for(documents: list[Document]) -> None:
    """Every workload, Service, budget and policy chooses pods that exist, and none chooses another component's."""
    pods = [
        each["spec"]["template"]["metadata"]["labels"]
        for each in documents
        if each["kind"] in ("Deployment", "StatefulSet")
    ]

    def chosen(labels: dict[str, str]) -> set[str]:
        wanted = {name: value for name, value in labels.items() if name != "statefulset.kubernetes.io/pod-name"}
        return {pod["app.kubernetes.io/component"] for pod in pods if wanted.items() <= pod.items()}

    for document in documents:
        kind, name, spec = document["kind"], document["metadata"]["name"], document.get("spec", {})
        if kind in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
            assert chosen(spec["selector"]["matchLabels"]) == {name.removeprefix("quartet-")}
        elif kind == "Service" and "pod-name" not in str(spec["selector"]):
            assert len(chosen(spec["selector"])) == 1
        elif kind == "NetworkPolicy" and spec["podSelector"]:
            assert len(chosen(spec["podSelector"]["matchLabels"])) == 1


def allowed(documents: list[Document], direction: str, component: str) -> set[tuple[str, int]]:
    """`(peer, port)` that the policies allow to or from a component; a peer is one, a namespace or an address."""
    found = set()
    for policy in (each["spec"] for each in documents if each["kind"] == "NetworkPolicy"):
        labels = policy["podSelector"].get("matchLabels", {})
        if labels.get("app.kubernetes.io/component", component) != component:
            continue
        for rule in policy.get(direction, []):
            peers = rule.get("from" if direction == "ingress" else "to", [{}])
            for peer in peers:
                selector = (peer.get("podSelector") or peer.get("namespaceSelector") or {}).get("matchLabels", {})
                address = peer.get("ipBlock", {}).get("cidr", "anybody")
                name = selector.get("app.kubernetes.io/component") or selector.get("kubernetes.io/metadata.name")
                found |= {(name or address, port["port"]) for port in rule["ports"]}
    return found


def test_only_what_has_to_may_talk(tmp_path: Path) -> None:
    """Everything is denied first; then anybody to nginx, nginx to instances, instances to store and internet."""
    documents = render(overlay("example", tmp_path))
    everything = one(documents, "NetworkPolicy", "default-deny")["spec"]
    assert (everything["podSelector"], set(everything["policyTypes"])) == ({}, {"Ingress", "Egress"})
    dns = {("kube-system", 53), ("169.254.20.10/32", 53)}
    assert allowed(documents, "ingress", "nginx") == {("anybody", 8080)}
    assert allowed(documents, "egress", "nginx") == {("instance", 8000)} | dns
    assert allowed(documents, "ingress", "instance") == {("nginx", 8000), ("monitoring", 8000)}
    internet = {("0.0.0.0/0", 443), ("::/0", 443)}
    assert allowed(documents, "egress", "instance") == {("valkey", 6379)} | internet | dns
    assert allowed(documents, "ingress", "valkey") == {("instance", 6379)}
    assert allowed(documents, "egress", "valkey") == dns
    (world,) = (rule for rule in one(documents, "NetworkPolicy", "instance")["spec"]["egress"])
    assert "169.254.0.0/16" in world["to"][0]["ipBlock"]["except"], "the node's metadata service hands out credentials"


def test_every_container_is_confined(documents: list[Document]) -> None:
    """Non-root, read-only, without capabilities, with bounded memory; no pod holds a token of the cluster."""
    for workload in (each for each in documents if each["kind"] in ("Deployment", "StatefulSet")):
        spec = workload["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(workload):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"]["cpu"]
            names = {volume["name"] for volume in spec["volumes"]} | {
                claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])
            }
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= names


def test_no_eviction_takes_more_than_one_instance_or_the_last_nginx(documents: list[Document]) -> None:
    """A node that is drained costs one instance at a time."""
    assert one(documents, "PodDisruptionBudget", "quartet-instance")["spec"]["maxUnavailable"] == 1
    assert one(documents, "PodDisruptionBudget", "quartet-nginx")["spec"]["minAvailable"] == 1
    assert one(documents, "Deployment", "quartet-nginx")["spec"]["replicas"] >= 2


@pytest.mark.parametrize("name", ["example"])
def test_the_image_is_the_overlays(tmp_path: Path, name: str) -> None:
    """Only the instances' image is replaced."""
    documents = render(overlay(name, tmp_path))
    images = {container["image"] for document in documents for container in containers(document)}
    assert images == {"registry.example.com/quartet:1.0.0", "nginx:1.29", "valkey/valkey:8.1-alpine"}


def test_nginx_is_given_every_file_of_the_proxy(documents: list[Document]) -> None:
    """A file that render.sh comes to need is not forgotten in the ConfigMap."""
    files = {path.name for path in (ROOT / "proxy").iterdir() if path.is_file()} - {"kustomization.yaml"}
    data = one(documents, "ConfigMap", "quartet-proxy")["data"]
    assert set(data) == files
    assert data["routing.js"] == (ROOT / "proxy" / "routing.js").read_text()
