"""The demo's switchboard: who may ask, and what the supervisor is then told."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import httpx2
import pytest

from ops import operator
from ops.operator import Switchboard
from ops.supervisor import Program
from ops.system import System


class Recorder:
    """Stands where supervisord does, and writes down what it is asked."""

    asked: ClassVar[list[tuple[object, ...]]] = []

    def __init__(self, socket: str) -> None:
        assert socket == "the-socket"

    def programs(self) -> dict[str, Program]:
        return {
            "instance-1": Program("instance-1", "RUNNING", 11, 2.0),
            "instance-2": Program("instance-2", "STOPPED", 0, 0.0),
        }

    def signal(self, name: str, signal_name: str) -> None:
        self.asked.append(("signal", name, signal_name))

    def stop(self, name: str, *, wait: bool = True) -> None:
        self.asked.append(("stop", name, wait))

    def start(self, name: str) -> None:
        self.asked.append(("start", name))


@pytest.fixture(name="asked")
def a_supervisor(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What the supervisor was asked; `/stats` tells of one job."""
    monkeypatch.setattr(operator, "Supervisor", Recorder)
    monkeypatch.setattr(operator, "get_json", lambda url: {"recent_jobs": [{"id": "1"}]})
    Recorder.asked = []
    return Recorder.asked


def system(directory: Path) -> System:
    """Two instances that nobody runs."""
    return System("file", str(directory), "127.0.0.1:1", "127.0.0.1:2", [3, 4], "the-socket", ["nginx"])


def ask(board: Switchboard, method: str = "GET", wish: Any = None, token: str | None = None) -> httpx2.Response:
    """One request to the switchboard."""
    headers = {b"Authorization": f"Bearer {board.token if token is None else token}".encode()}
    return httpx2.request(method, board.url, json=wish, headers=headers, trust_env=False)


def test_the_state_names_instances_and_jobs(tmp_path: Path, asked: list[tuple[object, ...]]) -> None:
    """Before the system is there it says so; afterwards who runs, and the latest jobs."""
    with Switchboard() as board:
        assert ask(board).status_code == 503
        board.connect(system(tmp_path))
        found = ask(board).json()
    assert [(one["instance"], one["running"], one["pid"]) for one in found["instances"]] == [
        (1, True, 11),
        (2, False, 0),
    ]
    assert found["jobs"] == [{"id": "1"}]


def test_without_the_token_nothing_is_told_or_done(tmp_path: Path, asked: list[tuple[object, ...]]) -> None:
    """401 for both, and the supervisor hears nothing."""
    with Switchboard() as board:
        board.connect(system(tmp_path))
        for token in ("wrong", "ключ"):
            assert ask(board, token=token).status_code == 401
            assert ask(board, "POST", {"act": "kill", "instance": 1}, token).status_code == 401
    assert asked == []


def test_a_kill_leaves_no_time_and_off_stays_off(tmp_path: Path, asked: list[tuple[object, ...]]) -> None:
    """To kill is SIGKILL; off freezes first, so that the TERM of an orderly stop comes too late to tidy up."""
    with Switchboard() as board:
        board.connect(system(tmp_path))
        assert ask(board, "POST", {"act": "kill", "instance": 2}).status_code == 200
        assert ask(board, "POST", {"act": "off", "instance": 1}).status_code == 200
        assert ask(board, "POST", {"act": "on", "instance": 1}).status_code == 200
    assert asked == [
        ("signal", "instance-2", "KILL"),
        ("signal", "instance-1", "STOP"),
        ("stop", "instance-1", False),
        ("signal", "instance-1", "KILL"),
        ("start", "instance-1"),
    ]


@pytest.mark.parametrize(
    "wish",
    [{"act": "kill", "instance": 3}, {"act": "kill", "instance": "1"}, {"act": "dance", "instance": 1}, [], None],
)
def test_a_wrong_wish_is_refused(tmp_path: Path, asked: list[tuple[object, ...]], wish: Any) -> None:
    """400 with a reason, and nothing happens."""
    with Switchboard() as board:
        board.connect(system(tmp_path))
        answer = ask(board, "POST", wish)
    assert answer.status_code == 400 and answer.json()["error"]
    assert asked == []
