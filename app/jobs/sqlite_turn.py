"""Whose turn it is to write: the instances of a host queue in the kernel for the file that they share.

SQLite itself waits for another process's transaction by sleeping and looking again, for longer each time: the file is
idle while everybody sleeps, and who comes last may be first. So who wants to write takes a lock of the kernel's
before, which wakes the next one at once. It is on the folder of the file (flock(2)), so there is no file to be made,
left behind or restored; it goes with the process that holds it, however that ends.

The turn is a courtesy, never a condition. A process that was stopped or frozen in its turn must not stop the others:
after a while they go on without it, as if there were no turns, until it is given back. What is right is up to SQLite's
own lock alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from pathlib import Path


class Turn:
    """The turn to write into one file, for one thread at a time. Where the folder can't be locked, nobody waits."""

    def __init__(self, path: Path) -> None:
        self._folder: int | None = None
        with contextlib.suppress(OSError):
            self._folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        self._changing = threading.Lock()
        self._asked, self._given = threading.Lock(), threading.Lock()
        self._asked.acquire()
        self._given.acquire()
        self._wanted = False
        self._queueing = False
        self._proxy: threading.Thread | None = None

    def take(self, within_s: float) -> bool:
        """Wait for the turn; False if it did not come in time, or can't come at all."""
        if self._folder is None or self._queueing:
            return False
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._queue(within_s)
        except OSError:
            return False
        return True

    def give_back(self) -> None:
        """Let the next one write."""
        assert self._folder is not None
        fcntl.flock(self._folder, fcntl.LOCK_UN)

    def close(self) -> None:
        """End. A thread that waits for somebody who never gives back is left to wait."""
        if self._folder is None:
            return
        with self._changing:
            folder, self._folder = self._folder, None
            if self._queueing:
                return
        if self._proxy is not None:
            self._asked.release()
            self._proxy.join()
        os.close(folder)

    def _queue(self, within_s: float) -> bool:
        """Have the proxy wait, since waiting for this lock can't be bounded, but waiting for the proxy can."""
        if self._proxy is None:
            self._proxy = threading.Thread(target=self._wait_for_turns, name="store-turn", daemon=True)
            self._proxy.start()
        self._wanted = self._queueing = True
        self._asked.release()
        if self._given.acquire(timeout=within_s):
            return True
        with self._changing:
            in_time, self._wanted = not self._wanted, False
        return in_time and self._given.acquire()

    def _wait_for_turns(self) -> None:
        while True:
            self._asked.acquire()
            folder = self._folder
            if folder is None:
                return
            try:
                fcntl.flock(folder, fcntl.LOCK_EX)
            except OSError:
                continue  # `_queueing` stays: who can't wait here once, does not try again
            with self._changing:
                self._queueing = False
                if self._wanted and self._folder is not None:
                    self._wanted = False
                    self._given.release()
                    continue
                fcntl.flock(folder, fcntl.LOCK_UN)  # nobody waited for it any more
                if self._folder is None:
                    os.close(folder)
                    return
