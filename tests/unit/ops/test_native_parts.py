"""The parts of native mode that need no process: configuration, sockets, ports, logs."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ops import ports
from ops.failures import OpsError
from ops.logtail import show_logs
from ops.processes import holder_of
from ops.status import duration
from ops.supervisor import configuration
from ops.system import SOCKET_LIMIT, Paths, System, load_system, socket_path


def system(directory: Path, count: int = 4) -> System:
    return System(
        env_file=str(directory / ".env.multi"),
        data_dir=str(directory),
        public="0.0.0.0:8080",
        ops="127.0.0.1:8081",
        ports=list(range(8101, 8101 + count)),
        socket="/run/s",
        nginx=["nginx"],
    )


def test_the_supervisors_configuration_holds_no_path() -> None:
    """Blanks, `;`, `#` and `%` in a path have a meaning in that file, so none is written into it."""
    directory = Path("/some where; #1 100%")
    text = configuration(system(directory))
    assert str(directory) not in text
    assert text.count("[program:instance-") == 4


def test_a_killed_instance_is_started_again_without_back_off() -> None:
    """startsecs=0 is what keeps supervisord from waiting longer each time and giving up at last."""
    section = configuration(system(Path("/x"))).partition("[program:instance-1]")[2].partition("[program:")[0]
    assert "startsecs=0\n" in section
    assert "autorestart=true\n" in section
    wait = next(line for line in section.splitlines() if line.startswith("stopwaitsecs="))
    assert int(wait.partition("=")[2]) > 30


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Later commands know the system that was started."""
    paths = Paths(tmp_path)
    paths.make()
    system(tmp_path).save()
    assert load_system(paths.run) == system(tmp_path)
    assert load_system(tmp_path / "elsewhere") is None


def test_a_socket_moves_to_a_short_path_where_the_data_directorys_is_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unix socket's path has 108 bytes; the place it moves to is its user's alone."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    monkeypatch.setenv("TMPDIR", "/tmp")
    long = Paths(tmp_path / ("d" * 100))
    found = socket_path(long)
    assert len(os.fsencode(found)) <= SOCKET_LIMIT
    assert found.parent.stat().st_mode & 0o077 == 0
    assert found != socket_path(Paths(tmp_path / ("e" * 100)))
    short = Paths(Path("/tmp/q"))
    assert socket_path(short).parent == short.run


def test_a_taken_port_is_told_with_its_variable_and_holder() -> None:
    """The operator learns which variable, which port, and which process."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(OpsError) as caught:
            ports.require_free("PUBLIC_PORT", port)
        assert f"PUBLIC_PORT: port {port}" in str(caught.value)
        assert f"pid {os.getpid()}" in str(caught.value)
    assert holder_of(port) == ""
    ports.require_free("PUBLIC_PORT", port)


def test_the_next_free_block_is_chosen_and_said_when_no_base_port_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another system on this machine only moves this one's instances; a port of nginx is never chosen."""
    monkeypatch.setattr(ports, "is_free", lambda port, host="": port not in (8103, 8201))
    found, remark = ports.instance_ports(0, 4, avoid=[8302])
    assert found == [8401, 8402, 8403, 8404]
    assert "8401-8404" in remark


def test_a_base_port_that_was_set_is_not_moved() -> None:
    """What the operator asked for is done or refused."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(OpsError, match="INSTANCE_BASE_PORT"):
            ports.instance_ports(port, 1, avoid=[])


def test_the_last_lines_of_each_log_are_shown_with_its_name(tmp_path: Path) -> None:
    """A line still being written and one without UTF-8 do no harm; a missing log is just empty."""
    (tmp_path / "a.log").write_bytes(b"1\n2\n3\nhal")
    (tmp_path / "bb.log").write_bytes(b"\xff\n")
    shown: list[str] = []
    logs = [("a", tmp_path / "a.log"), ("bb", tmp_path / "bb.log"), ("c", tmp_path / "c.log")]
    show_logs(logs, 2, follow=False, write=shown.append)
    assert shown == ["a  | 2", "a  | 3", "bb | �"]


def test_following_goes_on_across_rotation(tmp_path: Path) -> None:
    """Lines that come later are shown, and so are those of the file that takes the log's place."""
    log = tmp_path / "a.log"
    log.write_text("old\n")
    shown: list[str] = []

    class EnoughError(Exception):
        """Ends the endless following."""

    def write(line: str) -> None:
        shown.append(line)
        if line == "old":
            with log.open("a") as file:
                file.write("new\n")
        elif line == "new":
            log.rename(tmp_path / "a.log.1")
            log.write_text("rotated\n")
        else:
            raise EnoughError

    with pytest.raises(EnoughError):
        show_logs([("a", log)], 10, follow=True, write=write)
    assert shown == ["old", "new", "rotated"]


@pytest.mark.parametrize(("seconds", "shown"), [(5.9, "5s"), (423, "7m03s"), (18_720, "5h12m"), (273_600, "3d04h")])
def test_durations_are_short(seconds: float, shown: str) -> None:
    """An uptime fits into a table."""
    assert duration(seconds) == shown
