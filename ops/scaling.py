"""More or fewer instances than the four that docker-compose.yml writes out: what Compose is told besides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops.envfile import KEY_NAMES, ROOT, EnvFile

WRITTEN_OUT = 4
FIRST_ADDRESS = 10  # instance k has CONTAINER_SUBNET.(10 + k)
SQLITE = "sqlite:"
SCRAPED = "/etc/prometheus/targets/instances.yml"
"""Where Prometheus reads in its container whom to ask; JSON is YAML as well."""

_SUBNET = "${CONTAINER_SUBNET:-10.203.44}"


def override(file: EnvFile) -> list[Path]:
    """Write the second compose file, if this many instances need one, below DATA_DIR; return it or nothing.

    An added instance is like the fourth, but for its number, its address and its own key set.
    """
    count = file.instance_count
    if count == WRITTEN_OUT:
        return []
    path = file.data_dir / "compose.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    targets = (path.parent / "prometheus-targets.json").absolute()
    _write(targets, [{"targets": [f"instance-{number}:8000" for number in range(1, count + 1)]}])
    targets.chmod(0o644)  # Prometheus runs as somebody else in its container
    scrapes = {"prometheus": {"volumes": [f"{targets}:{SCRAPED}:ro"]}}
    _write(path, {"services": services(count) | scrapes})
    return [path]


def _write(path: Path, value: Any) -> None:
    """Write it as JSON, unless it stands there already."""
    text = json.dumps(value, indent=1)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def services(count: int) -> dict[str, Any]:
    """What differs from docker-compose.yml with `count` instances. It holds no key, only their variables' names."""
    addresses = ",".join(f"{_address(number)}:8000" for number in range(1, count + 1))
    changed: dict[str, Any] = {
        name: {"environment": {"INSTANCE_ADDRESSES": addresses}} for name in ("nginx", "nginx-tls", "tools")
    }
    added = [f"{name}_{number}" for number in range(WRITTEN_OUT + 1, count + 1) for name in KEY_NAMES]
    changed["tools"]["environment"] |= {name: f"${{{name}:-}}" for name in added}
    for number in range(WRITTEN_OUT + 1, count + 1):
        keys = {name: f"${{{name}_{number}:?is missing in .env.multi}}" for name in KEY_NAMES}
        changed[f"instance-{number}"] = {
            "extends": {"file": str(ROOT / "docker-compose.yml"), "service": f"instance-{WRITTEN_OUT}"},
            "networks": {"default": {"ipv4_address": _address(number)}},
            "environment": {"INSTANCE_ID": str(number), **keys},
        }
    for number in range(count + 1, WRITTEN_OUT + 1):
        changed[f"instance-{number}"] = {"profiles": ["unwanted"]}
    return changed


def _address(number: int) -> str:
    return f"{_SUBNET}.{FIRST_ADDRESS + number}"


def compose_environment(file: EnvFile, environment: Mapping[str, str]) -> dict[str, str]:
    """What Compose finds in its environment, which it prefers to the env file.

    A SQLite file always lies on the containers' own volume, whatever path it has natively. Compose wants to know the
    keys of every instance it has read of, also of those it won't start.
    """
    told = dict(environment)
    if file.values.get("STORE_URL", "").startswith(SQLITE):
        told["STORE_URL"] = ""
    for number in range(file.instance_count + 1, WRITTEN_OUT + 1):
        told |= {f"{name}_{number}": "unwanted" for name in KEY_NAMES}
    return told
