"""`.env.multi.example` and `docker-compose.yml` keep step with the settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from app.settings import CommonSettings
from ops.checks import VARIABLES, OperatorSettings
from ops.envfile import KEY_NAMES, ROOT, read_env_file
from ops.supervisor import DRAIN_S
from tests.unit.ops.files import EXAMPLE

KEYS = [f"{name}_{k}" for k in range(1, 5) for name in KEY_NAMES]
ASSIGNMENT = re.compile(r"(?m)^(?:# )?([A-Z][A-Z0-9_]*)=")


def test_the_example_has_every_variable_exactly_once() -> None:
    """No variable is undocumented, none is documented that no longer exists."""
    assert sorted(ASSIGNMENT.findall(EXAMPLE.read_text())) == sorted([*VARIABLES, *KEYS])


def test_the_examples_defaults_are_the_codes_defaults(tmp_path: Path) -> None:
    """Removing a # changes nothing until the value is changed."""
    path = tmp_path / ".env.multi"
    path.write_text(re.sub(r"(?m)^# (?=[A-Z][A-Z0-9_]*=)", "", EXAMPLE.read_text()))
    file = read_env_file(path)
    assert file.faults == []
    shown: dict[str, Any] = {
        name: value for name, value in file.values.items() if name not in KEYS and not value.startswith("your-")
    }
    required: dict[str, Any] = {
        "discord_token": "t", "discord_application_id": "1", "discord_public_key": "ab" * 32,
    }  # fmt: skip
    spelled_out = OperatorSettings(**required, **{name.lower(): value for name, value in shown.items()})
    assert spelled_out == OperatorSettings(**required)


@pytest.fixture(name="compose")
def read_compose() -> dict[str, Any]:
    """`docker-compose.yml` as Compose sees it after merging, before it fills in variables."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_a_container_is_given_its_own_key_set_and_no_other(compose: dict[str, Any], k: int) -> None:
    """The keys of the other sets are not in the container's environment under any name."""
    environment = compose["services"][f"instance-{k}"]["environment"]
    assert environment["INSTANCE_ID"] == str(k)
    used = re.findall(r"\$\{(\w+_API_KEY\w*)", " ".join(environment.values()))
    assert sorted(used) == sorted(f"{name}_{k}" for name in KEY_NAMES)
    for name in KEY_NAMES:
        assert environment[name].startswith(f"${{{name}_{k}:?")


def test_a_container_is_given_every_shared_variable(compose: dict[str, Any]) -> None:
    """A variable set in .env.multi has the same effect with and without Docker."""
    environment = compose["services"]["instance-1"]["environment"]
    wanted = {name.upper() for name in CommonSettings.model_fields}
    assert wanted <= set(environment)
    for name in wanted - {"DATA_DIR"}:  # the image has its own
        assert environment[name].startswith(f"${{{name}:")


def test_a_container_can_post_what_comes_late(compose: dict[str, Any]) -> None:
    """Symptom: in containers a video that took longer than 15 minutes was never posted. Cause: the bot token reached
    the registration alone. Rule: what an instance is given natively it is given in a container.
    """
    for k in range(1, 5):
        assert compose["services"][f"instance-{k}"]["environment"]["DISCORD_TOKEN"] == "${DISCORD_TOKEN:-}"


def test_only_the_public_ports_are_open_to_the_world(compose: dict[str, Any]) -> None:
    """Everything the operator looks at is bound to loopback, and no instance publishes a port of its own."""
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    to_the_world = {name: [port for port in ports if port[:10] != "127.0.0.1:"] for name, ports in published.items()}
    assert {name: ports for name, ports in to_the_world.items() if ports} == {
        "nginx": ["${PUBLIC_HOST:-0.0.0.0}:${PUBLIC_PORT:-8080}:8080"],
        "nginx-tls": ["${PUBLIC_HOST:-0.0.0.0}:${TLS_PORT:-8443}:8443"],
    }
    assert [name for name in published if name.startswith("instance")] == []


def test_every_container_has_its_limits(compose: dict[str, Any]) -> None:
    """Without capabilities or new privileges, on a read-only file system, within memory, with logs that end."""
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["logging"]["options"]["max-size"], name
        assert service["restart"] == ("no" if name in ("register", "tools") else "unless-stopped"), name
        assert "depends_on" not in service, f"{name}: podman could not replace what something depends on"


def test_an_instance_is_given_longer_than_its_drain(compose: dict[str, Any]) -> None:
    """No engine kills an instance that is still handing over its work."""
    for k in range(1, 5):
        assert int(compose["services"][f"instance-{k}"]["stop_grace_period"].removesuffix("s")) > DRAIN_S


def test_the_containers_share_one_named_volume(compose: dict[str, Any]) -> None:
    """All instances write one store, which is a named volume and no directory of the host."""
    for k in range(1, 5):
        assert compose["services"][f"instance-{k}"]["volumes"] == ["quartet-data:/data"]
    assert "quartet-data" in compose["volumes"]
