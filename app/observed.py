"""A store whose calls are timed and watched: what its callers wait for, whichever engine lies underneath."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from typing import Any, Protocol

from app.errors import StoreUnavailable
from app.promise import Promise, promised
from app.storage import Storage

PLAIN = ("open", "close", "time", "takes_new")
"""Fields of `Storage` that are functions, not one of its protocols."""

PROMISES = ("jobs.put",)
"""What is called for every interaction: it needs no coroutine, and gets none by being watched."""

SILENT_AFTER_S = 1.6
"""Long enough for a store that is only slow. Nobody waits for a silent one: a proxy that gives each instance 0.6 s
would have tried them all in vain when Discord's 3 s are over."""


class OnStoreCall(Protocol):
    """Told of each call, like `jobs.put`; `failed` if the store could not serve it."""

    def __call__(self, operation: str, seconds: float, *, failed: bool) -> None: ...


class StoreWatch:
    """Whether the store answers at all, if only that it can't serve.

    An instance asks it something several times a second, so silence is noticed also where nobody wants anything; and
    whatever is answered ends it.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._unanswered_since = math.inf

    def begun(self, at: float) -> None:
        """A call begins."""
        if at < self._unanswered_since:
            self._unanswered_since = at

    def answered(self) -> None:
        """A call was answered."""
        self._unanswered_since = math.inf

    def silent(self) -> bool:
        """Whether everything that was asked for SILENT_AFTER_S has gone without an answer."""
        return self._monotonic() - self._unanswered_since > SILENT_AFTER_S


def observed(storage: Storage, on_call: OnStoreCall, monotonic: Callable[[], float], watch: StoreWatch) -> Storage:
    """Return the same storage, whose every call is told of, and watched."""
    parts = [field.name for field in fields(Storage) if field.name not in PLAIN]
    wrapped: dict[str, Any] = {
        name: _Observed(getattr(storage, name), name, on_call, monotonic, watch) for name in parts
    }
    return replace(storage, **wrapped)


class _Observed:
    """Stands for one protocol's implementation."""

    def __init__(
        self, inner: object, part: str, on_call: OnStoreCall, monotonic: Callable[[], float], watch: StoreWatch
    ) -> None:
        self._inner = inner
        for name, method in inspect.getmembers(inner, inspect.ismethod):
            operation = f"{part}.{name}"
            noted = _Call(operation, on_call, monotonic, watch)
            if operation in PROMISES:
                setattr(self, name, _timed_promise(method, noted))
            elif inspect.iscoroutinefunction(method) and not name.startswith("_"):
                setattr(self, name, _timed(method, noted))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Call:
    """What is noted of every call of one method."""

    __slots__ = ("_monotonic", "_on_call", "_operation", "_watch")

    def __init__(self, operation: str, on_call: OnStoreCall, monotonic: Callable[[], float], watch: StoreWatch) -> None:
        self._operation = operation
        self._on_call = on_call
        self._monotonic = monotonic
        self._watch = watch

    def begun(self) -> float:
        """A call begins; return when."""
        started = self._monotonic()
        self._watch.begun(started)
        return started

    def ended(self, started: float, error: BaseException | None) -> None:
        """It returned, or raised. Our own errors are answers, too, like a lease that is not current any more; and so is
        that the store can't be used, if it comes soon."""
        took = self._monotonic() - started
        failed = isinstance(error, StoreUnavailable)
        if error is None or (took < SILENT_AFTER_S / 2 if failed else isinstance(error, Exception)):
            self._watch.answered()
        self._on_call(self._operation, took, failed=failed)


def _timed(method: Callable[..., Awaitable[Any]], noted: _Call) -> Callable[..., Awaitable[Any]]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        started = noted.begun()
        try:
            result = await method(*args, **kwargs)
        except BaseException as error:
            noted.ended(started, error)
            raise
        noted.ended(started, None)
        return result

    return call


def _timed_promise(method: Callable[..., Awaitable[Any]], noted: _Call) -> Callable[..., Promise[Any]]:
    def call(*args: Any, **kwargs: Any) -> Promise[Any]:
        started = noted.begun()
        promise = promised(method(*args, **kwargs))
        promise.when_settled(lambda settled: noted.ended(started, settled.error))
        return promise

    return call
