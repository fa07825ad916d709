"""Finding the container engine, understanding what it says, and saying what went wrong, against a stand-in for it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops import docker
from ops.checks import check
from ops.engine import containers, find_engine
from ops.envfile import ROOT
from ops.failures import OpsError
from ops.ports import free_port
from tests.unit.ops.files import env_file

# What a command answers lies in files beside it: WORD says what, WORD.code with which exit code.
STAND_IN = """#!/bin/sh
here=$(dirname "$0")
for word in "$@"; do
  case $word in compose|-*) continue ;; info|version|ps|inspect|build|up|healthcheck|logs) break ;; esac
done
echo "$0 $*" >>"$here/asked"
[ -f "$here/$word" ] && cat "$here/$word"
exit $(cat "$here/$word.code" 2>/dev/null || echo 0)
"""


class Place:
    """A directory that is the whole PATH."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def install(self, *names: str) -> None:
        """Put a stand-in there under these names."""
        for name in names:
            (self.directory / name).write_text(STAND_IN)
            (self.directory / name).chmod(0o700)

    def answers(self, word: str, text: str = "", code: int = 0) -> None:
        """Let the command that holds this word say so from now on."""
        (self.directory / word).write_text(text)
        (self.directory / f"{word}.code").write_text(str(code))

    @property
    def asked(self) -> str:
        """Every command so far."""
        path = self.directory / "asked"
        return path.read_text() if path.exists() else ""


@pytest.fixture(name="place")
def a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A PATH with nothing but sh, cat and dirname; the engine found there is forgotten afterwards."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for tool in ("sh", "cat", "dirname"):
        found = next(path for part in os.defpath.split(":") if (path := Path(part or "/bin") / tool).exists())
        (directory / tool).symlink_to(found)
    monkeypatch.setenv("PATH", str(directory))
    find_engine.cache_clear()
    yield Place(directory)
    find_engine.cache_clear()


def inspected(
    service: str, *, state: str = "running", health: dict[str, Any] | None = None, port: str = "8080"
) -> dict[str, Any]:
    """A container as `inspect` tells of it."""
    return {
        "Id": f"id-of-{service}",
        "RestartCount": 0,
        "State": {
            "Status": state,
            "StartedAt": "2026-01-01T00:00:00.123456789Z",
            "Pid": 7,
            "ExitCode": 3,
            **(health or {}),
        },
        "Config": {
            "Labels": {"com.docker.compose.service": service, "com.docker.compose.project.working_dir": str(ROOT)},
            "Healthcheck": {"Test": ["CMD", "true"]},
        },
        "HostConfig": {"PortBindings": {"8080/tcp": [{"HostIp": "", "HostPort": port}]} if service == "nginx" else {}},
    }


def test_without_an_engine_a_sentence_says_so(place: Place) -> None:
    """Nothing is guessed at."""
    assert find_engine() == (None, "No container engine is installed here.")


def test_an_engine_that_does_not_answer_is_named(place: Place) -> None:
    """Docker that is not started, or not this user's, is told apart from none."""
    place.install("docker")
    place.answers("info", code=1)
    engine, reason = find_engine()
    assert engine is None
    assert reason.startswith("docker is installed, but its engine does not answer")


def test_docker_comes_before_podman(place: Place) -> None:
    """Where both work, Docker with its own Compose is used."""
    place.install("docker", "podman", "podman-compose")
    engine, _ = find_engine()
    assert engine is not None
    assert (engine.binary, engine.compose) == ("docker", ("docker", "compose"))


def test_podman_is_used_with_podman_compose(place: Place) -> None:
    """Where there is no Docker."""
    place.install("podman", "podman-compose")
    engine, _ = find_engine()
    assert engine is not None
    assert (engine.binary, engine.compose) == ("podman", ("podman-compose",))


def test_an_engine_without_compose_is_told(place: Place) -> None:
    """The sentence says what is missing."""
    place.install("podman")
    place.answers("version", code=125)
    assert find_engine()[1] == "podman works, but podman-compose or podman compose does not."


@pytest.mark.parametrize("key", ["Health", "Healthcheck"])
def test_dockers_verdict_on_health_is_believed(place: Place, key: str) -> None:
    """Both names under which engines tell it are understood; what has ended tells how."""
    place.install("docker")
    place.answers("ps", "one\ntwo\n")
    told = [inspected("nginx", health={key: {"Status": "starting"}}), inspected("instance-1", state="exited")]
    place.answers("inspect", json.dumps(told))
    engine, _ = find_engine()
    assert engine is not None
    first, second = containers(engine)
    assert (first.service, first.state, first.exit_code) == ("instance-1", "exited", 3)
    assert (second.service, second.health, second.published) == ("nginx", "starting", frozenset({8080}))


def test_podman_is_asked_for_a_check(place: Place) -> None:
    """Its own timers may not run, so a check is run on the spot."""
    place.install("podman", "podman-compose")
    place.answers("ps", "one\n")
    place.answers("inspect", json.dumps([inspected("nginx", health={"Health": {"Status": "starting"}})]))
    engine, _ = find_engine()
    assert engine is not None
    assert containers(engine, judge=True)[0].health == "healthy"
    place.answers("healthcheck", code=1)
    assert containers(engine, judge=True)[0].health == "starting"


def test_a_check_is_run_only_where_it_is_wanted(place: Place) -> None:
    """It is a process each time: who only wants to know what there is starts none."""
    place.install("podman", "podman-compose")
    place.answers("ps", "one\n")
    place.answers("inspect", json.dumps([inspected("nginx"), inspected("instance-1")]))
    engine, _ = find_engine()
    assert engine is not None
    containers(engine)
    containers(engine, judge=True, but=["nginx", "instance-1"])
    assert "healthcheck" not in place.asked
    assert [found.service for found in containers(engine, judge=True, only=["nginx"])] == ["nginx"]
    assert place.asked.count("healthcheck") == 1


def test_containers_of_another_file_are_none_of_ours(place: Place, tmp_path: Path) -> None:
    """`stop` for a file whose ports nobody publishes must not end somebody else's containers."""
    place.install("docker")
    place.answers("ps", "one\n")
    place.answers("inspect", json.dumps([inspected("nginx", port="18080")]))
    ours = env_file(tmp_path, PUBLIC_PORT="18080")
    assert docker.is_up(ours.path)
    (tmp_path / "other").mkdir()
    assert not docker.is_up(env_file(tmp_path / "other", PUBLIC_PORT="28080").path)


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Error: Pool overlaps with other one on this address space", "CONTAINER_SUBNET"),
        ("Bind for 0.0.0.0:8080 failed: port is already allocated", "port"),
        ("write /var/lib/docker: no space left on device", "disk is full"),
    ],
)
def test_what_the_engine_says_is_explained(place: Place, tmp_path: Path, said: str, hint: str) -> None:
    """Its last lines are shown, with what to do about them; no key is among them."""
    place.install("docker")
    place.answers("up", f"{said}\n", code=1)
    file = env_file(tmp_path, PUBLIC_PORT=str(free_port(0, {0})), OPS_PORT=str(free_port(0, {0})))
    settings = check(file).settings
    assert settings is not None
    with pytest.raises(OpsError) as raised:
        docker.up(file, settings, lambda _: None)
    assert said in str(raised.value)
    assert hint in raised.value.hint
    assert "sk-" not in str(raised.value) + place.asked


def test_a_container_that_ended_is_shown_with_its_log(place: Place, tmp_path: Path) -> None:
    """Nobody waits two minutes for what is over already."""
    place.install("docker")
    file = env_file(tmp_path)
    settings = check(file).settings
    assert settings is not None
    place.answers("ps", "one\n")
    place.answers("inspect", json.dumps([inspected("instance-1", state="exited")]))
    place.answers("logs", "STORE_URL: is wrong\n")
    with pytest.raises(OpsError, match="instance-1 ended with exit code 3") as raised:
        docker.up(file, settings, lambda _: None)
    assert "STORE_URL: is wrong" in str(raised.value)
