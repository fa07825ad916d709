"""An operator upgrades and rolls back a running native system, whose program comes from a checkout."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.jobs.schema import MIGRATIONS, OLDEST_COMPATIBLE
from ops.envfile import ROOT
from ops.health import get
from ops.nginx import find_nginx
from tests.acceptance.native_kit import Bot

pytestmark = [
    pytest.mark.processes,
    pytest.mark.nginx,
    pytest.mark.timeout(240),
    pytest.mark.skipif(find_nginx() is None, reason="nginx with njs is not installed"),
]

NEWER = len(MIGRATIONS) + 1


class Upgradable(Bot):
    """A bot whose checkout is its own."""

    @property
    def _schema(self) -> Path:
        return self.checkout / "app" / "jobs" / "schema.py"

    def pull(self, *, oldest: int) -> None:
        """Make the checkout's program one of the next schema, which programs from `oldest` on work with."""
        text = (ROOT / "app" / "jobs" / "schema.py").read_text().rstrip()
        assert text.endswith('""",\n)')
        text = text.removesuffix(")") + "    \"ALTER TABLE jobs ADD COLUMN mood TEXT NOT NULL DEFAULT ''\",\n)\n"
        was = f"OLDEST_COMPATIBLE = {OLDEST_COMPATIBLE}\n"
        assert text.count(was) == 1
        self._schema.write_text(text.replace(was, f"OLDEST_COMPATIBLE = {oldest}\n"))

    def go_back(self) -> None:
        """Check this version out again."""
        shutil.copyfile(ROOT / "app" / "jobs" / "schema.py", self._schema)

    @property
    def schema(self) -> int:
        """The store's schema."""
        with closing(sqlite3.connect(self.paths.data_dir / "quartet.db")) as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])

    def serves(self) -> bool:
        """Whether the public port answers."""
        return get(f"http://127.0.0.1:{self.base}/health")[0] == 200


@pytest.fixture(name="bot")
def a_bot(tmp_path: Path) -> Iterator[Upgradable]:
    """Two instances of a checkout of their own; ended whatever happens."""
    checkout = tmp_path / "checkout"
    for name in ("ops", "proxy", "app", "scripts"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    bot = Upgradable(checkout, tmp_path / "of the operator", 0)
    prepared = Bot.prepare(checkout, bot.directory, INSTANCE_COUNT="2")
    bot.base = prepared.base
    yield bot
    assert bot.run("stop").returncode == 0
    assert bot.alive() == []


def test_additions_come_and_go_with_a_rolling_restart(bot: Upgradable) -> None:
    """The first instance of the new version adds to the store while the other of the old one works on it; and back."""
    bot.start()
    bot.pull(oldest=OLDEST_COMPATIBLE)
    upgraded = bot.run("restart", timeout=100)
    assert upgraded.returncode == 0, upgraded.stderr
    assert bot.schema == NEWER
    bot.go_back()
    rolled_back = bot.run("restart", timeout=100)
    assert rolled_back.returncode == 0, rolled_back.stderr
    assert bot.schema == NEWER
    assert "newer schema than this version, which works with it" in bot.paths.log("instance-1").read_text()


def test_a_change_is_not_made_under_the_others(bot: Upgradable) -> None:
    """`restart` stops at the first instance, and the other goes on; `stop` and `start` upgrade; the copy leads back."""
    bot.start()
    bot.pull(oldest=NEWER)
    refused = bot.run("restart", timeout=100)
    assert refused.returncode == 1
    assert "Stop all instances, then start all of them anew" in refused.stderr
    assert "The other instances go on as they were" in refused.stderr
    assert (bot.schema, bot.serves()) == (len(MIGRATIONS), True)

    assert bot.run("stop").returncode == 0
    bot.start()
    assert bot.schema == NEWER
    assert bot.run("stop").returncode == 0

    bot.go_back()
    kept = bot.paths.data_dir / f"quartet.db.schema-{len(MIGRATIONS)}"
    restored = bot.run("restore", str(kept), "--native")
    assert restored.returncode == 0, restored.stderr
    bot.start()
    assert (bot.schema, bot.serves()) == (len(MIGRATIONS), True)
