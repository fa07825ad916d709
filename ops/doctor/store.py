"""The store: a SQLite file of this host, or Redis or Valkey."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from app.errors import StoreUnavailable
from app.jobs.file_system import file_system_of, why_unfit
from app.jobs.redis_checks import examine
from app.jobs.redis_engine import RedisEngine
from app.jobs.schema import MIGRATIONS
from app.jobs.sqlite_migration import oldest_of
from app.redaction import excerpt
from app.settings import SQLITE_PREFIX
from ops.doctor.asking import aside
from ops.doctor.case import Case
from ops.doctor.finding import Finding, fault, not_checked, ok, warning
from ops.doctor.machine import size
from ops.doctor.place import Kind
from ops.envfile import ROOT

STORE = "store"
INTACT = "store, integrity"
CHECK_WITHIN_S = 15.0
SLOW_MS = 50.0
LARGE_WAL = 256 * 1024 * 1024


async def store(case: Case) -> Sequence[Finding]:
    """Whether it can be used, and whether it is sound."""
    url = case.settings.store_url
    if not url.startswith(SQLITE_PREFIX):
        return await _redis(case, url)
    if case.place.kind is Kind.CONTAINERS:
        advice = "docker compose --env-file .env.multi run --rm tools doctor"
        return [not_checked(STORE, "its file lies in the containers' volume", advice)]
    path = Path(url.removeprefix(SQLITE_PREFIX))
    return await aside(lambda: examine_file(path if path.is_absolute() else ROOT / path))


def examine_file(path: Path) -> list[Finding]:
    """Look at the file without changing it."""
    if reason := why_unfit(path):
        about, _, advice = reason.partition(": ")
        return [fault(STORE, f"{path} {about}", f"{advice[:1].upper()}{advice[1:]}.")]
    kind = file_system_of(path)
    if not path.exists():
        return [ok(STORE, f"{path} ({kind}) will be made at the first start")]
    beside = [path, *(other for end in ("-wal", "-shm") if (other := Path(f"{path}{end}")).exists())]
    locked = [other.name for other in beside if not os.access(other, os.R_OK | os.W_OK)]
    if locked or not os.access(path.parent, os.W_OK):
        detail = f"{', '.join(locked) or path.parent} can't be written by this user"
        return [fault(STORE, detail, f"Give {path.parent} and all in it to the user that runs the bot.")]
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=2, isolation_level=None,
                                     check_same_thread=False)  # fmt: skip
    except sqlite3.Error as error:
        return [fault(STORE, f"{path} can't be opened: {error}", "See docs/store.md.")]
    try:
        return [_facts(connection, path, kind), *_integrity(connection)]
    except sqlite3.DatabaseError as error:
        advice = "Stop everything, keep a copy of the file, and restore the last backup: see docs/backup.md."
        return [fault(STORE, f"{path} can't be read: {error}", advice)]
    finally:
        connection.close()


def _facts(connection: sqlite3.Connection, path: Path, kind: str) -> Finding:
    began = time.perf_counter()
    mode = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    took = (time.perf_counter() - began) * 1000
    wal = Path(f"{path}-wal")
    ahead = wal.stat().st_size if wal.exists() else 0
    file = f"{size(path.stat().st_size)} on {kind}, read in {took:.1f} ms"
    detail = f"SQLite {sqlite3.sqlite_version}, {mode.upper()}, {file}"
    if version > len(MIGRATIONS):
        detail = f"{detail}; written by a later version (schema {version}, here {len(MIGRATIONS)})"
        if oldest_of(connection, version) <= len(MIGRATIONS):
            return ok(STORE, f"{detail}, which this one works with")
        advice = "Go back to that version, or restore the backup made before it: see docs/backup.md."
        return fault(STORE, detail, advice)
    if mode.lower() != "wal" and version:
        return warning(STORE, f"{detail}: not in WAL mode", "The next start sets it; if not, see docs/store.md.")
    if ahead > LARGE_WAL:
        detail = f"{detail}; its -wal file has grown to {size(ahead)}"
        return warning(STORE, detail, "Something reads it without end: see which program holds it open (lsof).")
    later = "" if version == len(MIGRATIONS) else f"; schema {version} is migrated at the next start"
    return ok(STORE, detail + later)


def _integrity(connection: sqlite3.Connection) -> list[Finding]:
    """Read every page, but for no longer than `CHECK_WITHIN_S`."""
    timer = threading.Timer(CHECK_WITHIN_S, connection.interrupt)
    timer.start()
    try:
        said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        return [not_checked(INTACT, f"the file is too large to look through in {CHECK_WITHIN_S:g} s ({error})")]
    finally:
        timer.cancel()
    if said == "ok":
        return [ok(INTACT, "quick_check finds nothing")]
    advice = "Stop everything, keep a copy of the file, and restore the last backup: see docs/backup.md."
    return [fault(INTACT, excerpt(said, limit=120), advice)]


async def _redis(case: Case, url: str) -> Sequence[Finding]:
    engine = RedisEngine(url)
    where = str(engine.address)
    advice = "Check STORE_URL, and that the server runs and lets this machine in: see docs/store.md."
    try:
        await engine.open()
        began = time.perf_counter()
        await engine.time()
        took = (time.perf_counter() - began) * 1000
        report = await engine.ask(examine)
    except StoreUnavailable as error:
        return [fault(STORE, excerpt(str(error), case.secrets), advice)]
    finally:
        await engine.close()
    version = ".".join(map(str, report.version)) or "of unknown version"
    answered = f"Redis or Valkey {version} at {where} answers in {took:.1f} ms"
    slow = "Put it nearer: each answer to Discord waits for it."
    found = ok(STORE, answered) if took < SLOW_MS else warning(STORE, answered, slow)
    return [found, *(warning("store, safety", remark, "See docs/store.md.") for remark in report.remarks)]
