"""Renders a kustomization as far as deploy/kubernetes uses kustomize; what it does not know is an error.

Generated names stay without the hash that kustomize appends. Where kustomize itself is installed, a test holds the two
against each other.
"""

from __future__ import annotations

import base64
import copy
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

Document = dict[str, Any]

_KNOWN = {
    "apiVersion", "kind", "namespace", "resources", "components", "configMapGenerator", "secretGenerator", "images",
    "replicas", "patches",
}  # fmt: skip
_CLUSTER_WIDE = {"Namespace"}


def render(directory: Path) -> list[Document]:
    """Return the documents that `kustomize build DIRECTORY` would print."""
    documents: list[Document] = []
    _apply(directory, documents)
    return documents


def _apply(directory: Path, documents: list[Document]) -> None:
    plan = yaml.safe_load((directory / "kustomization.yaml").read_text())
    unknown = set(plan) - _KNOWN
    assert not unknown, f"{directory}: this renderer does not know {unknown}"
    for resource in plan.get("resources", []):
        place = directory / resource
        documents += render(place) if place.is_dir() else _read(place)
    for entry in plan.get("configMapGenerator", []):
        _generate("ConfigMap", directory, entry, documents)
    for entry in plan.get("secretGenerator", []):
        _generate("Secret", directory, entry, documents)
    for component in plan.get("components", []):
        _apply(directory / component, documents)
    for patch in plan.get("patches", []):
        _patch(patch, documents)
    _transform(plan, documents)


def _transform(plan: Document, documents: list[Document]) -> None:
    if "namespace" in plan:
        for document in documents:
            if document["kind"] not in _CLUSTER_WIDE:
                document["metadata"]["namespace"] = plan["namespace"]
    for entry in plan.get("replicas", []):
        found = [one for one in documents if one["metadata"]["name"] == entry["name"] and "replicas" in one["spec"]]
        assert found, f"nothing has replicas under the name {entry['name']}"
        found[0]["spec"]["replicas"] = entry["count"]
    for entry in plan.get("images", []):
        for container in [one for document in documents for one in containers(document)]:
            if container["image"].rpartition(":")[0] == entry["name"]:
                container["image"] = f"{entry['newName']}:{entry['newTag']}"


def _read(path: Path) -> list[Document]:
    # Anchors make parts of a document the same object; a patch must change one of them only.
    return [copy.deepcopy(document) for document in yaml.safe_load_all(path.read_text()) if document]


def containers(document: Document) -> list[Document]:
    """The containers of a workload, those that run before included."""
    spec = document.get("spec", {}).get("template", {}).get("spec", {})
    return [*spec.get("initContainers", []), *spec.get("containers", [])]


def _generate(kind: str, directory: Path, entry: Document, documents: list[Document]) -> None:
    data: dict[str, str] = {}
    for source in entry.get("files", []):
        name, sign, path = source.partition("=")
        data[name if sign else Path(name).name] = (directory / (path if sign else name)).read_text()
    for source in entry.get("envs", []):
        lines = [line for line in (directory / source).read_text().splitlines() if line and not line.startswith("#")]
        data.update(line.split("=", 1) for line in lines)
    data.update(literal.split("=", 1) for literal in entry.get("literals", []))
    if kind == "Secret":
        data = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    if entry.get("behavior") == "merge":
        (one,) = (each for each in documents if (each["kind"], each["metadata"]["name"]) == (kind, entry["name"]))
        one["data"].update(data)
        return
    extra = {"type": "Opaque"} if kind == "Secret" else {}
    documents.append({"apiVersion": "v1", "kind": kind, "metadata": {"name": entry["name"]}, "data": data, **extra})


def _patch(patch: Document, documents: list[Document]) -> None:
    target = patch["target"]
    chosen = [
        each for each in documents if (each["kind"], each["metadata"]["name"]) == (target["kind"], target["name"])
    ]
    assert len(chosen) == 1, f"{target} names {len(chosen)} documents"
    for step in yaml.safe_load(patch["patch"]):
        *path, last = step["path"].removeprefix("/").split("/")
        place: Any = chosen[0]
        for part in path:
            place = place[int(part) if isinstance(place, list) else part]
        key: Any = int(last) if isinstance(place, list) else last
        assert step["op"] == "add" or (step["op"] == "replace" and place[key] is not None), step
        place[key] = step["value"]
