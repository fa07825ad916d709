"""Logs: one JSON object a line on standard output, every text redacted, uvicorn's lines and ours in the same shape."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.redaction import MASK, redact

_QUIET = ("httpx2", "httpcore2", "openai", "uvicorn.access", "asyncio")
"""Libraries that log whole URLs, and with them interaction tokens, or every request."""

_SECRET_NAME = re.compile(r"(?i)(.*[_-])?(token|secret|password|authorization|signature|api[_-]?key|cookie)")
"""What stands under such a name is masked whatever it looks like."""


def configure(level: str, instance: int, secrets: Sequence[str]) -> None:
    """Set up logging for this process; `secrets` are masked wherever they appear."""

    def add_instance(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["instance"] = instance
        return event

    def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {name: _masked(name, value, secrets) for name, value in event.items()}

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
            mask,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.root.handlers = [handler]
    logging.root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _masked(name: str, value: Any, secrets: Sequence[str]) -> Any:
    """Return what JSON can hold of `value`, redacted however deep it lies; unknown objects by their `repr`."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {_text(str(key), secrets): _masked(str(key), part, secrets) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(name, part, secrets) for part in value]
    if _SECRET_NAME.fullmatch(name):
        return MASK
    if isinstance(value, bytes | bytearray):
        value = value.decode("utf-8", "replace")
    return _text(value if isinstance(value, str) else repr(value), secrets)


def _text(text: str, secrets: Sequence[str]) -> str:
    """Redact; half a surrogate pair would make the line unprintable, and logging would then print it raw."""
    return redact(text.encode("utf-8", "replace").decode(), secrets)
