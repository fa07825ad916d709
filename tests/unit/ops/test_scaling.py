"""More or fewer than the four instances of docker-compose.yml."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from ops.envfile import KEY_NAMES, ROOT, EnvFile
from ops.scaling import compose_environment, override, services
from tests.unit.ops.files import env_file


def test_four_instances_need_no_second_file(tmp_path: Path) -> None:
    """What docker-compose.yml says is enough, and nothing is written."""
    assert override(env_file(tmp_path, DATA_DIR=f"'{tmp_path}/data'")) == []
    assert not (tmp_path / "data").exists()


def test_a_fifth_instance_is_like_the_fourth_with_its_own_keys() -> None:
    """It has its number, its address and its own key set, and nginx is told of it in the right place."""
    changed = services(5)
    fifth = changed["instance-5"]
    assert fifth["extends"]["service"] == "instance-4"
    assert Path(fifth["extends"]["file"]).exists()
    assert fifth["environment"]["INSTANCE_ID"] == "5"
    used = re.findall(r"\$\{(\w+_API_KEY\w*)", json.dumps(fifth["environment"]))
    assert sorted(used) == sorted(f"{name}_5" for name in KEY_NAMES)
    address = fifth["networks"]["default"]["ipv4_address"]
    for proxy in ("nginx", "nginx-tls"):
        told = changed[proxy]["environment"]["INSTANCE_ADDRESSES"].split(",")
        assert len(told) == 5
        assert told[4] == f"{address}:8000"


def test_sixteen_instances_have_sixteen_addresses_outside_the_dynamic_half() -> None:
    """No two share one, and the engine hands none of them to anything else."""
    told = services(16)["nginx"]["environment"]["INSTANCE_ADDRESSES"].split(",")
    last = [int(address.removesuffix(":8000").rpartition(".")[2]) for address in told]
    assert len(set(last)) == 16
    assert max(last) < 128


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_instances_need_fewer_keys(tmp_path: Path, count: int) -> None:
    """Those beyond the count are put into a profile that nobody asks for, and Compose misses none of their keys."""
    file = EnvFile(tmp_path / ".env.multi", {"INSTANCE_COUNT": str(count)})
    changed = services(count)
    surplus = [f"instance-{number}" for number in range(count + 1, 5)]
    assert [name for name, service in changed.items() if service.get("profiles")] == surplus
    told = compose_environment(file, {})
    assert sorted(told) == sorted(f"{name}_{number}" for name in KEY_NAMES for number in range(count + 1, 5))


@pytest.mark.parametrize("count", [2, 6])
def test_prometheus_is_told_of_every_instance(tmp_path: Path, count: int) -> None:
    """In place of the four that deploy/prometheus names, by a file that its container may read."""
    [path] = override(env_file(tmp_path, DATA_DIR=f"'{tmp_path}/data'", INSTANCE_COUNT=str(count)))
    (mount,) = json.loads(path.read_text())["services"]["prometheus"]["volumes"]
    source, _, place = mount.removesuffix(":ro").partition(":")
    (written_out,) = yaml.safe_load((ROOT / "deploy/prometheus/targets/instances.yml").read_text())
    assert place == "/etc/prometheus/targets/instances.yml" and len(written_out["targets"]) == 4
    (told,) = json.loads(Path(source).read_text())
    assert told["targets"] == [f"instance-{number}:8000" for number in range(1, count + 1)]
    assert Path(source).stat().st_mode & 0o777 == 0o644


def test_the_second_file_holds_no_key(tmp_path: Path) -> None:
    """Only the variables' names are in it."""
    more = {f"{name}_{number}": f"sk-secret-{number}" for name in KEY_NAMES for number in (5, 6)}
    [path] = override(env_file(tmp_path, DATA_DIR=f"'{tmp_path}/data'", INSTANCE_COUNT="6", **more))
    text = path.read_text()
    assert "sk-" not in text
    assert "${OPENAI_API_KEY_6:?" in text


def test_a_sqlite_path_of_the_host_does_not_reach_the_containers(tmp_path: Path) -> None:
    """There the file lies on the shared volume; a server's address is passed on as it is."""
    natively = EnvFile(tmp_path / "a", {"STORE_URL": "sqlite:////srv/quartet.db"})
    assert compose_environment(natively, {"PATH": "/bin"}) == {"PATH": "/bin", "STORE_URL": ""}
    shared = EnvFile(tmp_path / "b", {"STORE_URL": "redis://valkey:6379/0"})
    assert compose_environment(shared, {"PATH": "/bin"}) == {"PATH": "/bin"}
