"""The manifests, rendered."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ops.checks import check
from ops.envfile import KEY_NAMES, ROOT
from ops.kubernetes import KUBERNETES, write_overlay
from tests.unit.deploy.kustomize import Document, render
from tests.unit.ops.files import env_file

SETS = ["example", "eight", "sixteen", "written-4", "written-6", "written-outside"]


def overlay(name: str, directory: Path) -> Path:
    """A directory with a kustomization: the repository's example, one with more instances, or one written by ops."""
    if name == "example":
        return KUBERNETES / "overlays" / "example"
    out = directory / name
    if name.startswith("written"):
        count = {"written-6": 6}.get(name, 4)
        changes = {"INSTANCE_COUNT": str(count), "SYSTEM_PROMPT": "\"Two\\nlines, 'quoted' = #1\""}
        changes |= {f"{key}_{k}": f"sk-{key}-of-set-{k}" for key in KEY_NAMES for k in range(5, count + 1)}
        if name == "written-outside":
            changes["STORE_URL"] = "rediss://:pw@valkey.example.com:6380/0"
        file = env_file(directory, **changes)
        report = check(file)
        assert report.settings is not None, report.faults
        write_overlay(file, report.settings, out, host="bot.example.com", image="registry.example.com:5000/quartet:1.2")
        return out
    out.mkdir()
    base, *components = (
        os.path.relpath(KUBERNETES / part, out) for part in ("base", "components/valkey", f"components/{name}")
    )
    (out / "kustomization.yaml").write_text(
        f"namespace: quartet\nresources: [{base}]\ncomponents: [{', '.join(components)}]\n"
    )
    return out


@pytest.fixture(name="directory", params=SETS)
def a_directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Each overlay in turn."""
    return overlay(request.param, tmp_path)


@pytest.fixture(name="documents")
def its_documents(directory: Path) -> list[Document]:
    """What it renders to."""
    return render(directory)


__all__ = ["ROOT", "overlay"]
