"""Shows the logs of a native system's programs, and follows them across rotation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

Write = Callable[[str], None]
_TAIL_BYTES = 64_000


class _Follower:
    """Reads on in one log from where it was left; a rotated or emptied file is read from its start."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path
        self._position = 0
        self._inode = 0
        self._partial = b""

    def last_lines(self, count: int) -> list[str]:
        """Return the last `count` lines, and remember where they end."""
        lines = self.new_lines(tail=True)
        return lines[-count:] if count else []

    def new_lines(self, *, tail: bool = False) -> list[str]:
        """Return the complete lines written since the last look."""
        try:
            with self._path.open("rb") as log:
                size, inode = log.seek(0, 2), self._path.stat().st_ino
                if inode != self._inode or size < self._position:
                    self._inode, self._position, self._partial = inode, 0, b""
                start = max(self._position, size - _TAIL_BYTES) if tail else self._position
                log.seek(start)
                text = self._partial + log.read()
                self._position = log.tell()
        except OSError:  # not there yet, or between two names while it is rotated
            return []
        *lines, self._partial = text.split(b"\n")
        return [line.decode(errors="replace") for line in lines]


def show_logs(logs: Sequence[tuple[str, Path]], lines: int, *, follow: bool, write: Write) -> None:
    """Write the last lines of each log, several logs' lines with their names; `follow` goes on until interrupted."""
    followers = [_Follower(name, path) for name, path in logs]
    width = max((len(follower.name) for follower in followers), default=0)

    def put(follower: _Follower, found: Sequence[str]) -> None:
        prefix = f"{follower.name:<{width}} | " if len(followers) > 1 else ""
        for line in found:
            write(prefix + line)

    for follower in followers:
        put(follower, follower.last_lines(lines))
    while follow:
        time.sleep(0.2)
        for follower in followers:
            put(follower, follower.new_lines())
