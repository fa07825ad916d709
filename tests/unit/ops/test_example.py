"""`.env.multi.example` and `docker-compose.yml` keep step with the settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from app.settings import CommonSettings
from ops.checks import VARIABLES, OperatorSettings
from ops.cli import app
from ops.envfile import KEY_NAMES, ROOT, read_env_file
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
    # The image has its own DATA_DIR, and the store lies in it.
    wanted = {name.upper() for name in CommonSettings.model_fields} - {"STORE_URL"}
    assert wanted <= set(environment)
    for name in wanted - {"INSTANCE_COUNT", "DATA_DIR"}:
        assert environment[name].startswith(f"${{{name}:")


def test_only_the_public_port_is_open_to_the_world(compose: dict[str, Any]) -> None:
    """The operator's pages are bound to loopback, and no instance publishes a port of its own."""
    services = compose["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["nginx"]
    public, ops = services["nginx"]["ports"]
    assert public.endswith(":8080")
    assert ops.startswith("127.0.0.1:")


def test_the_containers_share_one_volume_and_run_without_privileges(compose: dict[str, Any]) -> None:
    """All instances write one store, on a read-only file system otherwise, without capabilities."""
    for k in range(1, 5):
        service = compose["services"][f"instance-{k}"]
        assert service["volumes"] == ["quartet-data:/data"]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


def test_the_batch_file_offers_the_docker_part_with_the_same_words() -> None:
    """Windows needs CRLF to find the labels, and every word there is a command here."""
    batch = (ROOT / "deploy-multi.bat").read_bytes()
    assert batch.count(b"\n") == batch.count(b"\r\n")
    words = set(re.findall(r'if "%command%"=="(\w+)" goto \1', batch.decode()))
    assert words == {"start", "stop", "restart", "status", "logs", "register"}
    assert words <= {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
