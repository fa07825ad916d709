"""`deploy-multi.sh kubernetes`: turns `.env.multi` into a kustomize overlay: the settings, and one Secret per key set.

It stands on deploy/kubernetes/base, and is applied with `kubectl apply -k`. It holds the keys, so its directory is its
owner's alone and is not for a repository.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

from app.settings import SQLITE_PREFIX, CommonSettings
from ops.checks import OperatorSettings
from ops.envfile import KEY_NAMES, ROOT, EnvFile, read_env_file
from ops.failures import Exit, OpsError

KUBERNETES = ROOT / "deploy" / "kubernetes"
DEFAULT_OUT = KUBERNETES / "mine"
BASE_INSTANCES = 4
PORT = 8000
# What belongs to one host, or is made here for the cluster.
_NOT_PASSED = {"STORE_URL", "DATA_DIR", "INSTANCE_COUNT"}
_OF_NGINX = ("REAL_IP_FROM", "REAL_IP_HEADER")
_LABELS = {"app.kubernetes.io/name": "quartet", "app.kubernetes.io/component": "instance"}


def write_overlay(file: EnvFile, settings: OperatorSettings, out: Path, *, host: str, image: str) -> None:
    """Write the overlay into `out`, over what an earlier run wrote; the store's password stays as it was.

    `host` is the public host name ("": no Ingress), `image` the instances' image with its tag. Raises `OpsError` where
    the file is one host's alone.
    """
    if settings.instance_addresses:
        raise OpsError(
            "INSTANCE_ADDRESSES: are of hosts, and the cluster gives its instances addresses of its own.",
            hint="Take a file with all key sets and without INSTANCE_ADDRESSES and INSTANCES_HERE.",
            code=Exit.CONFIGURATION,
        )
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    out.chmod(0o700)
    shared = shared_settings(file)
    (out / "settings").mkdir(exist_ok=True)
    for name, value in shared.items():
        (out / "settings" / name).write_text(value)
    count, inside = settings.instance_count, is_inside(settings)
    _write_env(out / "discord.env", {"DISCORD_TOKEN": settings.discord_token.get_secret_value()})
    _write_env(out / "store.env", _store(out / "store.env") if inside else {"STORE_URL": settings.store_url})
    for number in range(1, count + 1):
        _write_env(out / f"keys-{number}.env", {name: file.values[f"{name}_{number}"].strip() for name in KEY_NAMES})
    more = [_service(number) for number in range(BASE_INSTANCES + 1, count + 1)]
    more += [] if inside else [_store_policy(settings.store_url)]
    (out / "more.yaml").write_text("---\n".join(json.dumps(document, indent=2) + "\n" for document in more))
    head = "# Written by ./deploy-multi.sh kubernetes; changes made here are lost.\n"
    kustomization = _kustomization(out, count, inside=inside, more=bool(more), image=image)
    kustomization["configMapGenerator"] += [
        {"name": "quartet-settings", "behavior": "merge", "files": [f"{name}=settings/{name}" for name in shared]},
        {"name": "quartet-nginx", "behavior": "merge", "literals": _nginx_settings(file)},
    ]
    if host:
        _receive_at(host, kustomization, out)
    (out / "kustomization.yaml").write_text(head + json.dumps(kustomization, indent=2) + "\n")


def is_inside(settings: OperatorSettings) -> bool:
    """Whether the store is to run in the cluster: pods on several nodes share no file, so SQLite becomes Valkey."""
    return settings.store_url.startswith(SQLITE_PREFIX)


def shared_settings(file: EnvFile) -> dict[str, str]:
    """What of the file all instances share and is no secret."""
    passed = {name.upper() for name in CommonSettings.model_fields} - _NOT_PASSED
    return {name: value for name, value in file.values.items() if name in passed and value.strip()}


def _nginx_settings(file: EnvFile) -> list[str]:
    return [f"{name}={value}" for name in _OF_NGINX if (value := file.values.get(name, "").strip())]


def _store(path: Path) -> dict[str, str]:
    """The store within the cluster: its password is made once."""
    known = read_env_file(path).values.get("VALKEY_PASSWORD", "") if path.exists() else ""
    password = known or secrets.token_hex(32)
    return {"STORE_URL": f"redis://:{password}@quartet-valkey:6379/0", "VALKEY_PASSWORD": password}


def _write_env(path: Path, values: dict[str, str]) -> None:
    """Write what kustomize reads: one `NAME=value` a line, the value as it is to the line's end."""
    text = "".join(f"{name}={value}\n" for name, value in values.items())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        handle.write(text)


def _service(number: int) -> dict[str, Any]:
    """The address of an instance beyond those of the base."""
    pod = f"quartet-instance-{number}"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": pod, "labels": _LABELS},
        "spec": {
            "publishNotReadyAddresses": True,
            "selector": {"app.kubernetes.io/name": "quartet", "statefulset.kubernetes.io/pod-name": pod},
            "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
        },
    }


def _store_policy(url: str) -> dict[str, Any]:
    """Let the instances out to a store that lies elsewhere, by its ports (a Sentinel's and its servers' may differ)."""
    ports = {6379, *(int(port) for port in re.findall(r":(\d+)(?=[,/?]|$)", url.rpartition("@")[2]))}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "store"},
        "spec": {
            "podSelector": {"matchLabels": _LABELS},
            "policyTypes": ["Egress"],
            "egress": [{"ports": [{"protocol": "TCP", "port": port} for port in sorted(ports)]}],
        },
    }


def _kustomization(out: Path, count: int, *, inside: bool, more: bool, image: str) -> dict[str, Any]:
    name, _, tag = image.rpartition(":") if ":" in image.rpartition("/")[2] else (image, "", "latest")
    addresses = ",".join(f"quartet-instance-{number}:{PORT}" for number in range(1, count + 1))
    literals = [f"INSTANCE_COUNT={count}", f"INSTANCE_ADDRESSES={addresses}"]
    secret_parts = ["discord", "store", *(f"keys-{number}" for number in range(1, count + 1))]
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "quartet",
        "resources": [_place("base", out), *(["more.yaml"] if more else [])],
        "components": [_place("components/valkey", out)] if inside else [],
        "images": [{"name": "quartet", "newName": name, "newTag": tag}],
        "replicas": [{"name": "quartet-instance", "count": count}],
        "configMapGenerator": [{"name": "quartet-instances", "behavior": "merge", "literals": literals}],
        "secretGenerator": [{"name": f"quartet-{part}", "envs": [f"{part}.env"]} for part in secret_parts],
    }


def _receive_at(host: str, kustomization: dict[str, Any], out: Path) -> None:
    """Add the Ingress, with its host name."""
    places = ("/spec/tls/0/hosts/0", "/spec/rules/0/host")
    patch = json.dumps([{"op": "replace", "path": place, "value": host} for place in places])
    kustomization["components"].append(_place("components/ingress", out))
    kustomization["patches"] = [{"target": {"kind": "Ingress", "name": "quartet"}, "patch": patch}]


def _place(part: str, out: Path) -> str:
    return os.path.relpath(KUBERNETES / part, out)
