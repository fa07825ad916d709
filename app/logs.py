"""Logs: one JSON object a line on standard output, every text redacted, uvicorn's lines and ours in the same shape.

Lines are made where something is logged and written by a thread: a reader that does not keep up (a full pipe) must not
hold up the event loop. What it does not take in time is dropped and counted, and nothing else waits.

`journal` writes the lines that there are several of for each job. They skip structlog and logging's records, which cost
more than all else about an interaction's line; the shape is the same.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.journal_lines import JOURNAL, JournalLines, whose
from app.masking import Mask

_QUIET = ("httpx2", "httpcore2", "openai", "uvicorn.access", "asyncio")
"""Libraries that log whole URLs, and with them interaction tokens, or every request."""

MOST_WAITING = 10_000
"""Lines that may wait for a slow reader."""

_FLUSH_WITHIN_S = 2.0

_JOURNAL = logging.getLogger(JOURNAL)


def configure(level: str, instance: int, secrets: Sequence[str]) -> None:
    """Set up logging for this process; `secrets` are masked wherever they appear."""
    mask = Mask(secrets)

    def add_instance(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.update(whose(event, instance))
        return event

    def masked(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return mask.fields(event)

    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_instance,
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            masked,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )
    handler = LineWriter(sys.stdout, JournalLines(instance, mask))
    handler.setFormatter(formatter)
    logging.root.handlers = [handler]
    logging.root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def wanted(level: int) -> bool:
    """Whether a line of the journal at this level would be written."""
    return _JOURNAL.isEnabledFor(level)


def journal(event: str, facts: Mapping[str, Any], level: int = logging.INFO) -> None:
    """Write one line of what happens to jobs."""
    if not _JOURNAL.isEnabledFor(level):
        return
    for handler in logging.root.handlers:
        if isinstance(handler, LineWriter) and handler.journal is not None:
            handler.take(handler.journal.line(event, facts, level))
            return
    _JOURNAL.log(level, "%s %s", event, facts)


def dropped() -> int:
    """How many lines no reader took in time, since the start."""
    return sum(handler.dropped for handler in logging.root.handlers if isinstance(handler, LineWriter))


class LineWriter(logging.Handler):
    """Formats where it is called, writes on a thread of its own."""

    def __init__(self, stream: TextIO, journal: JournalLines | None = None) -> None:
        super().__init__()
        self.dropped = 0
        self.journal = journal
        self._stream = stream
        self._lines: queue.SimpleQueue[str | threading.Event] = queue.SimpleQueue()
        threading.Thread(target=self._write, name="log-write", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
        else:
            self.take(line)

    def take(self, line: str) -> None:
        """Take a line; drop it if too many wait."""
        if self._lines.qsize() >= MOST_WAITING:
            self.dropped += 1
        else:
            self._lines.put(line)

    def flush(self) -> None:
        """Wait until what was logged is written, for a moment at the most; `logging` does so at the process's end."""
        written = threading.Event()
        self._lines.put(written)
        written.wait(_FLUSH_WITHIN_S)

    def _write(self) -> None:
        while True:
            batch = [self._lines.get()]
            while not self._lines.empty():
                batch.append(self._lines.get())
            text = "".join(f"{line}\n" for line in batch if isinstance(line, str))
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):  # nobody reads any more, or the stream is closed: there is nobody to tell
                self.dropped += sum(isinstance(line, str) for line in batch)
            for written in batch:
                if isinstance(written, threading.Event):
                    written.set()
