"""Logs: one JSON object a line on standard output, every text redacted, uvicorn's lines and ours in the same shape.

Lines are made where something is logged and written by a thread: a reader that does not keep up (a full pipe) must not
hold up the event loop. What it does not take in time is dropped and counted, and nothing else waits.

`journal` writes the lines that there are several of for each job. They skip structlog, which costs more than all else
about an interaction's line; the shape is the same.
"""

from __future__ import annotations

import json
import logging
import queue
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.redaction import MASK, redact

_QUIET = ("httpx2", "httpcore2", "openai", "uvicorn.access", "asyncio")
"""Libraries that log whole URLs, and with them interaction tokens, or every request."""

_SECRET_NAME = re.compile(r"(?i)(.*[_-])?(token|secret|password|authorization|signature|api[_-]?key|cookie)")
"""What stands under such a name is masked whatever it looks like."""

_LARGEST_KNOWN = 80
"""Short texts come again and again: names, states, and each id in several lines."""

_LONGEST_ID = 20
"""Digits of an id; no key or token is made of digits alone."""

MOST_WAITING = 10_000
"""Lines that may wait for a slow reader."""

_FLUSH_WITHIN_S = 2.0

_JOURNAL = logging.getLogger("journal")
_LEVELS = {logging.INFO: "info", logging.WARNING: "warning"}
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode


def configure(level: str, instance: int, secrets: Sequence[str]) -> None:
    """Set up logging for this process; `secrets` are masked wherever they appear."""
    mask = _Mask(secrets)

    def add_instance(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return _placed(event, instance)

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
    handler = LineWriter(sys.stdout)
    handler.setFormatter(_Lines(instance, mask, formatter))
    logging.root.handlers = [handler]
    logging.root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def wanted(level: int) -> bool:
    """Whether a line of the journal at this level would be written."""
    return _JOURNAL.isEnabledFor(level)


def journal(event: str, facts: Mapping[str, Any], level: int = logging.INFO) -> None:
    """Write one line of what happens to jobs."""
    if _JOURNAL.isEnabledFor(level):
        _JOURNAL.handle(logging.LogRecord(_JOURNAL.name, level, "", 0, event, (facts,), None))


def dropped() -> int:
    """How many lines no reader took in time, since the start."""
    return sum(handler.dropped for handler in logging.root.handlers if isinstance(handler, LineWriter))


class LineWriter(logging.Handler):
    """Formats where it is called, writes on a thread of its own."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.dropped = 0
        self._stream = stream
        self._lines: queue.SimpleQueue[str | threading.Event] = queue.SimpleQueue()
        threading.Thread(target=self._write, name="log-write", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line; drop it if too many wait."""
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
            return
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


class _Lines(logging.Formatter):
    """The journal's records as they are, all others through structlog."""

    def __init__(self, instance: int, mask: _Mask, others: logging.Formatter) -> None:
        super().__init__()
        self._instance = instance
        self._mask = mask
        self._others = others

    def format(self, record: logging.LogRecord) -> str:
        if record.name != _JOURNAL.name or not isinstance(record.args, Mapping):
            return self._others.format(record)
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        fields = {
            "event": record.msg,
            **self._mask.fields(record.args),
            "level": _LEVELS.get(record.levelno) or record.levelname.lower(),
            "logger": record.name,
            "timestamp": f"{at[:-6]}Z",
        }
        return _ENCODE(_placed(fields, self._instance))


def _placed(event: EventDict, instance: int) -> EventDict:
    """Add whose line it is. A job under lease (it has a fence) is worked on with this instance's key set."""
    event["instance"] = instance
    if "fence" in event:
        event["key_set"] = instance
    return event


class _Mask:
    """Takes the secrets out of everything that is logged."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = tuple(secrets)
        self._known = lru_cache(maxsize=4096)(self._redacted)

    def fields(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Mask a line's fields."""
        return {name: self._value(name, value) for name, value in event.items()}

    def _value(self, name: str, value: Any) -> Any:
        """Return what JSON can hold of `value`, redacted however deep it lies; unknown objects by their `repr`."""
        if type(value) is str:
            return MASK if _names_secret(name) else self._text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self._text(str(key)): self._value(str(key), part) for key, part in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(name, part) for part in value]
        if _names_secret(name):
            return MASK
        if isinstance(value, bytes | bytearray):
            return self._text(value.decode("utf-8", "replace"))
        return self._text(str(value) if isinstance(value, str) else repr(value))

    def _text(self, text: str) -> str:
        if len(text) <= _LONGEST_ID and text.isascii() and text.isdigit():
            return text
        return self._known(text) if len(text) <= _LARGEST_KNOWN else self._redacted(text)

    def _redacted(self, text: str) -> str:
        """Redact; half a surrogate pair would make the line unprintable, and logging would then print it raw."""
        return redact(text.encode("utf-8", "replace").decode(), self._secrets)


@lru_cache(maxsize=1024)
def _names_secret(name: str) -> bool:
    return _SECRET_NAME.fullmatch(name) is not None
