"""A store whose calls are timed: what its callers wait for, whichever engine lies underneath."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from typing import Any, Protocol

from app.errors import StoreUnavailable
from app.storage import Storage

PLAIN = ("open", "close", "time", "takes_new")
"""Fields of `Storage` that are functions, not one of its protocols."""


class OnStoreCall(Protocol):
    """Told of each call, like `jobs.put`; `failed` if the store could not serve it."""

    def __call__(self, operation: str, seconds: float, *, failed: bool) -> None: ...


def observed(storage: Storage, on_call: OnStoreCall, monotonic: Callable[[], float]) -> Storage:
    """Return the same storage, whose every call is told of."""
    parts = [field.name for field in fields(Storage) if field.name not in PLAIN]
    wrapped: dict[str, Any] = {name: _Observed(getattr(storage, name), name, on_call, monotonic) for name in parts}
    return replace(storage, **wrapped)


class _Observed:
    """Stands for one protocol's implementation."""

    def __init__(self, inner: object, part: str, on_call: OnStoreCall, monotonic: Callable[[], float]) -> None:
        self._inner = inner
        for name, method in inspect.getmembers(inner, inspect.iscoroutinefunction):
            if not name.startswith("_"):
                setattr(self, name, _timed(method, f"{part}.{name}", on_call, monotonic))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _timed(
    method: Callable[..., Awaitable[Any]], operation: str, on_call: OnStoreCall, monotonic: Callable[[], float]
) -> Callable[..., Awaitable[Any]]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        started, failed = monotonic(), False
        try:
            return await method(*args, **kwargs)
        except StoreUnavailable:
            failed = True
            raise
        finally:
            on_call(operation, monotonic() - started, failed=failed)

    return call
