"""What the operator's tool makes of the backup script's words, and where backups go."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import IO, Any

import pytest

from app.jobs.schema import MIGRATIONS
from app.jobs.sqlite_backup import write_backup
from app.jobs.sqlite_engine import SqliteEngine
from ops import backup, docker
from ops.backup import Place, drop_old, size, target_of, told
from ops.failures import Exit, OpsError
from ops.system import Paths
from tests.unit.ops.files import env_file

REPORT = b'{"schema": 2, "bytes": 1, "open_jobs": 0, "rows": {"jobs": 0}}'


@pytest.mark.parametrize(
    ("count", "said"), [(640_000, "640 kB"), (1_234_567, "1.2 MB"), (250_000_000, "250 MB"), (3e9, "3.0 GB")]
)
def test_sizes_are_read_at_a_glance(count: int, said: str) -> None:
    """Two or three figures and a unit."""
    assert size(count) == said


def test_where_a_backup_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is relative to where the operator stands; without one it has the time in it."""
    monkeypatch.setenv("QUARTET_CWD", str(tmp_path))
    assert target_of(Path("kept.db"), tmp_path / "data") == tmp_path / "kept.db"
    assert target_of(Path("/mnt/kept.db"), tmp_path / "data") == Path("/mnt/kept.db")
    made = target_of(None, tmp_path / "data")
    assert made.parent == tmp_path / "data" / "backups" and made.match("quartet-*T*Z.db")
    assert drop_old(Paths(tmp_path / "data"), 1) == []


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("redis://:s3cret@10.0.0.9:6380/0", "redis-cli -h 10.0.0.9 -p 6380 --rdb"),
        ("rediss://user:s3cret@store.example/0", "redis-cli -h store.example -p 6379 --rdb"),
        ("unix://:s3cret@/run/redis.sock?db=0", "redis-cli -s /run/redis.sock --rdb"),
        ("redis+sentinel://:s3cret@one:26379,two:26379/main/0", "redis-cli -h HOST -p PORT --rdb"),
    ],
)
def test_a_server_has_its_own_way(tmp_path: Path, url: str, command: str) -> None:
    """The exact command for each form of STORE_URL; a password is never part of it."""
    file = env_file(tmp_path, STORE_URL=f"'{url}'")
    with pytest.raises(OpsError) as caught:
        Place(file.path, containers=False)
    assert command in caught.value.hint and "s3cret" not in caught.value.hint
    assert caught.value.code is Exit.CONFIGURATION


class TestContainers:
    """The script runs in a container, and the backup comes over a pipe."""

    @pytest.fixture(name="piped")
    def a_container(self, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
        """A stand-in for the engine that sends what `self.sent` holds; returns the commands it was given."""
        commands: list[list[str]] = []

        def piped(_: Path, arguments: list[str], *, source: IO[bytes] | None = None, out: Any = None) -> Any:
            commands.append([*arguments])
            if out is not None:
                out.write(self.sent)
            received = source.read() if source is not None else b""
            noise = b"Container quartet-register-run Creating\n"
            if received == b"bad":
                return subprocess.CompletedProcess(arguments, 1, b"", noise + b"x.db is damaged\n")
            return subprocess.CompletedProcess(
                arguments, 0, None if out else noise + REPORT, noise + REPORT + b"\nbye\n"
            )

        monkeypatch.setattr(docker, "piped", piped)
        return commands

    sent = b""

    async def test_what_comes_is_verified_and_kept(self, tmp_path: Path, piped: list[list[str]]) -> None:
        """The report is found among the engine's words; what came is a whole store, private, under its name."""
        engine = SqliteEngine(tmp_path / "there.db", MIGRATIONS)
        await engine.open()
        write_backup(engine.path, tmp_path / "sent.db")
        await engine.close()
        self.sent = (tmp_path / "sent.db").read_bytes()
        report = Place(env_file(tmp_path).path, containers=True).backup(tmp_path / "kept.db.gz")
        assert report["schema"] == 2 and report["bytes"] == len(self.sent)
        assert (tmp_path / "kept.db.gz").stat().st_mode & 0o777 == 0o600
        assert piped[0][-2:] == ["make", backup.STREAM] and "-T" in piped[0]

    def test_a_pipe_that_broke_leaves_nothing(self, tmp_path: Path, piped: list[list[str]]) -> None:
        """Half a backup is found out here, whatever the script said, and is gone."""
        self.sent = b"SQLite format 3\0" + b"\0" * 500
        with pytest.raises(OpsError, match="damaged or no database"):
            Place(env_file(tmp_path).path, containers=True).backup(tmp_path / "kept.db")
        assert [path.name for path in tmp_path.iterdir()] == [".env.multi"]
        assert len(piped) == 1

    def test_what_the_script_says_is_passed_on(self, tmp_path: Path, piped: list[list[str]]) -> None:
        """Its last words become the error."""
        (tmp_path / "bad.db").write_bytes(b"bad")
        with pytest.raises(OpsError, match=r"^x\.db is damaged\.$"):
            Place(env_file(tmp_path).path, containers=True).restore(tmp_path / "bad.db")
        assert piped[0][-2:] == ["restore", backup.STREAM]


def test_a_restoration_is_told() -> None:
    """Where the old store lies, whether anything could be taken over, and what became of jobs in doubt."""
    report = {
        "schema": 2,
        "rows": {"jobs": 7, "turns": 3},
        "kept_aside": "quartet.db.before-restore-1",
        "merged": False,
    }
    lost = {**report, "merged": False, "still_owed": 1, "ended_quietly": 2}
    lines = "\n".join(told(lost, containers=True))
    words = ["in the containers' volume", "before-restore-1", "could not be read", "1 will be answered, 2 were ended"]
    assert [said for said in words if said not in lines] == []
    calm = "\n".join(told({**report, "merged": True, "still_owed": 0, "ended_quietly": 0}, containers=False))
    assert "taken over" in calm and "in doubt" not in calm
