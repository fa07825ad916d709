"""Discord's rate limits: per interaction token, and the count of invalid requests that ends in a ban."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.responses import JSONResponse, Response

from simulator.ledger import digest

INVALID_WINDOW_S = 600.0


@dataclass(slots=True)
class _Bucket:
    """A window that starts with its first call, as Discord's do."""

    limit: int
    window_s: float
    started: float = 0.0
    used: int = 0

    def wait(self, now: float) -> float:
        """Return how long a call has to wait; 0 if it may go."""
        if now >= self.started + self.window_s:
            self.started, self.used = now, 0
        return 0.0 if self.used < self.limit else self.started + self.window_s - now


@dataclass(slots=True)
class Verdict:
    """Whether a call may go, and the headers that say so."""

    retry_after: float
    headers: dict[str, str] = field(default_factory=dict)

    def response(self, *, code: int = 0) -> JSONResponse:
        """Return the 429 answer."""
        headers = {**self.headers, "Retry-After": str(int(self.retry_after) + 1), "X-RateLimit-Scope": "user"}
        body = {"message": "You are being rate limited.", "retry_after": round(self.retry_after, 3), "global": False,
                "code": code}  # fmt: skip
        return JSONResponse(body, 429, headers)


class WindowLimits:
    """One or more windows, each `(calls, seconds)`, per token, channel or whatever else the calls are counted by.

    As Discord does, the headers tell of one window only: the one that makes the caller wait, else the one with the
    fewest calls left, of equals the one that lasts longer.
    """

    def __init__(self, windows: Sequence[tuple[int, float]], name: str, keep: int = 20_000) -> None:
        self._windows = windows
        self._name = name
        self._keep = keep
        self._buckets: OrderedDict[str, list[_Bucket]] = OrderedDict()

    def take(self, key: str) -> Verdict:
        """Count a call and say whether it may go; a refused call is not counted."""
        now = time.monotonic()
        buckets = self._of(key)
        waits = [bucket.wait(now) for bucket in buckets]
        wait = max(waits)
        if wait:
            return Verdict(wait, self._headers(buckets[waits.index(wait)], now))
        for bucket in buckets:
            bucket.used += 1
        tight = min(buckets, key=lambda bucket: (bucket.limit - bucket.used, -(bucket.started + bucket.window_s)))
        return Verdict(0.0, self._headers(tight, now))

    def _of(self, key: str) -> list[_Bucket]:
        found = self._buckets.get(key)
        if found is None:
            found = self._buckets[key] = [_Bucket(limit, seconds) for limit, seconds in self._windows]
            while len(self._buckets) > self._keep:
                self._buckets.popitem(last=False)
        return found

    def _headers(self, bucket: _Bucket, now: float) -> dict[str, str]:
        reset_after = max(0.0, bucket.started + bucket.window_s - now)
        return {
            "X-RateLimit-Limit": str(bucket.limit),
            "X-RateLimit-Remaining": str(max(0, bucket.limit - bucket.used)),
            "X-RateLimit-Reset": f"{time.time() + reset_after:.3f}",
            "X-RateLimit-Reset-After": f"{reset_after:.3f}",
            "X-RateLimit-Bucket": digest(f"{self._name}:{bucket.limit}"),
        }


class InvalidRequests:
    """Counts 401, 403 and 429 answers over ten minutes; too many ban the caller's address."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._times: deque[float] = deque()
        self.peak = 0

    @property
    def count(self) -> int:
        """Return the count in the last ten minutes."""
        now = time.monotonic()
        while self._times and self._times[0] <= now - INVALID_WINDOW_S:
            self._times.popleft()
        return len(self._times)

    def note(self, response: Response) -> None:
        """Count an answer if it is an invalid one."""
        if response.status_code in (401, 403, 429) and response.headers.get("x-ratelimit-scope") != "shared":
            self._times.append(time.monotonic())
            self.peak = max(self.peak, self.count)

    def ban(self) -> Response | None:
        """Return Cloudflare's answer to a banned address, or None."""
        if self.count < self._limit:
            return None
        return Response("error code: 1015", 429, {"Retry-After": "600"}, "text/plain")
