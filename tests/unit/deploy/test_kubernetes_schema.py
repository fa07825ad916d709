"""The manifests are what the Kubernetes API takes, by its own schemas; no cluster is needed."""

from __future__ import annotations

import base64
import copy
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml  # type: ignore[import-untyped]

from tests.unit.deploy.conftest import overlay
from tests.unit.deploy.kustomize import Document, render

VERSIONS = ["1.28", "1.34"]
KUSTOMIZE = next(
    (
        command
        for program, command in (("kustomize", ["kustomize", "build"]), ("kubectl", ["kubectl", "kustomize"]))
        if shutil.which(program)
    ),
    None,
)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_document_fits_the_schema(documents: list[Document], version: str) -> None:
    """Strictly: a field that the API does not know is a fault, too."""
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "replicas"), "four"),
        (("spec", "replica"), 4),
        (("spec", "template", "spec", "containers", 0, "readinessProbe", "httpget"), {"path": "/"}),
        (("spec", "ordinals"), 1),
    ],
)
def test_the_checker_finds_a_misspelt_field_and_a_wrong_type(tmp_path: Path, path: Any, value: Any) -> None:
    """The test above can fail."""
    documents = render(overlay("example", tmp_path))
    broken = copy.deepcopy(next(one for one in documents if one["metadata"]["name"] == "quartet-instance"))
    place: Any = broken
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)


def _plain(documents: list[Document]) -> dict[str, Any]:
    """Documents by kind and name, without the hashes of generated names."""
    text = re.sub(
        r"(quartet-(?:settings|instances|proxy|valkey|nginx|discord|store|keys-\d+))-[a-z0-9]{10}\b",
        r"\1",
        json.dumps(documents),
    )
    return {f"{document['kind']} {document['metadata']['name']}": document for document in json.loads(text)}


def _decoded(documents: dict[str, Any]) -> dict[str, Any]:
    for name, document in documents.items():
        if name.startswith("Secret"):
            document["data"] = {key: base64.b64decode(value).decode() for key, value in document["data"].items()}
    return documents


@pytest.mark.skipif(KUSTOMIZE is None, reason="neither kustomize nor kubectl is installed")
def test_kustomize_itself_renders_the_same(directory: Path, documents: list[Document]) -> None:
    """What the other tests look at is what `kubectl apply -k` sends; and references follow the generated names."""
    assert KUSTOMIZE is not None
    done = subprocess.run([*KUSTOMIZE, str(directory)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    theirs = list(yaml.safe_load_all(done.stdout))
    assert _decoded(_plain(theirs)) == _decoded(_plain(documents))
    made = {one["metadata"]["name"] for one in theirs if one["kind"] in ("ConfigMap", "Secret")}
    text = json.dumps([one for one in theirs if one["kind"] in ("Deployment", "StatefulSet")])
    for name in made:
        assert f'"{name}"' in text, f"nothing refers to {name}"
