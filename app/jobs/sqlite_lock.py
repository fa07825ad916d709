"""Whoever holds the file's write lock and can't let go of it.

A process that was stopped (SIGSTOP, a debugger's leftovers, a frozen job) in the middle of a transaction keeps SQLite's
write lock for as long as it sleeps, and with it every instance of the host. Only its death releases the lock, and an
instance that dies loses nothing: its supervisor starts it anew, its jobs go on elsewhere. So a stopped holder is ended.

Linux tells the holder in /proc/locks: the write lock of write-ahead mode is byte 120 of the `-shm` file
(https://www.sqlite.org/walformat.html#wal_locks). Where that can't be read, as between containers, nothing is done.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import structlog

WAL_WRITE_LOCK_BYTE = 120
_LOCKS = Path("/proc/locks")

log = structlog.get_logger("store")


def end_stopped_holder(path: Path) -> int | None:
    """End the process that holds the write lock of the SQLite file at `path`, if it is stopped; return its pid."""
    pid = write_lock_holder(path)
    if pid is None or pid == os.getpid() or not is_stopped(pid):
        return None
    log.error("a stopped process holds the store's write lock and is ended", pid=pid)
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError) as error:
        log.error("it could not be ended", pid=pid, error=str(error))
        return None
    return pid


def write_lock_holder(path: Path) -> int | None:
    """Return the pid that holds the write lock; None if nobody does or it can't be known."""
    try:
        status = Path(f"{path}-shm").stat()
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return None
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in lines:
        # 12: POSIX  ADVISORY  WRITE 4711 fe:00:123456 120 120 (a waiter has "->" after the number)
        fields = line.split()
        if len(fields) == 8 and fields[3] == "WRITE" and fields[5] == place and fields[4].isdigit():
            first, last = int(fields[6]), fields[7]
            if first <= WAL_WRITE_LOCK_BYTE and (last == "EOF" or int(last) >= WAL_WRITE_LOCK_BYTE):
                return int(fields[4]) or None
    return None


def is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal (state `T` in /proc/PID/stat); one under a debugger (`t`) is not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "T"
