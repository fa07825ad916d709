"""The frame around every provider call: who calls, does the key allow it, what goes wrong, what the ledger says."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from simulator.faults import Fault
from simulator.keys import KeyState
from simulator.ledger import digest
from simulator.wire import CutBody, Dripping, Dropped, bearer, endless, hang
from simulator.world import World

WIRE_BEFORE = frozenset({"500", "503", "hang", "reset", "huge", "garbage"})


@dataclass(slots=True)
class ProviderCall:
    """One call in progress. What an endpoint learns about it goes into the ledger's closing line."""

    world: World
    request: Request
    provider: str
    route: str
    costly: bool
    key: KeyState
    fault: Fault | None = None
    number: int = 0
    started: float = field(default_factory=time.monotonic)
    prompt: str = ""
    task_id: str | None = None
    outcome: str = "ok"
    status: int = 200
    counted: bool = False
    closed: bool = False

    def begin(self, prompt: str = "") -> tuple[str, float] | None:
        """Count the call against its key and open it in the ledger; return the broken limit, if any."""
        self.prompt = prompt
        now = time.monotonic()
        self.key.calls += 1
        broken = self.key.over_limit(now) if self.costly else None
        if broken:
            self.key.refused += 1
            self.outcome = f"over_{broken[0]}"
        elif self.costly:
            self.key.admit(now)
            self.key.in_flight += 1
            self.key.peak_in_flight = max(self.key.peak_in_flight, self.key.in_flight)
            self.counted = True
        line = self.world.ledger.add(
            "provider_call", provider=self.provider, route=self.route, key=self.key.label, costly=self.costly,
            admitted=not broken, prompt=digest(prompt) if prompt else None, head=prompt[:80] or None,
            fault=self.fault.kind if self.fault else None, in_flight=self.key.in_flight,
        )  # fmt: skip
        self.number = line["n"]
        return broken

    def end(self, status: int, outcome: str = "") -> None:
        """Close the call in the ledger, once."""
        if self.closed:
            return
        self.closed = True
        if self.counted:
            self.key.in_flight -= 1
        self.world.ledger.add(
            "provider_done", provider=self.provider, route=self.route, key=self.key.label, call=self.number,
            status=status, outcome=outcome or self.outcome, start=round(self.started, 6),
            ms=round((time.monotonic() - self.started) * 1000, 2), task_id=self.task_id,
            prompt=digest(self.prompt) if self.prompt else None, costly=self.costly,
        )  # fmt: skip

    def suffers(self, *kinds: str) -> bool:
        """Say whether this call's fault is one of `kinds`."""
        return self.fault is not None and self.fault.kind in kinds


Handler = Callable[[ProviderCall], Awaitable[Response]]
Refusal = Callable[[Request, str], Response]


async def serve(
    world: World, request: Request, provider: str, route: str, *, costly: bool, handler: Handler, unauthorized: Refusal
) -> Response:
    """Run `handler` inside the frame; `unauthorized(request, secret)` makes the provider's own 401."""
    secret = bearer(request)
    key = world.keys.find(provider, secret)
    if key is None:
        world.ledger.add("provider_call", provider=provider, route=route, key="unknown", costly=False, admitted=False)
        await request.body()
        return unauthorized(request, secret)
    fault = world.faults.draw(provider, route, key.label)
    call = ProviderCall(world, request, provider, route, costly, key, fault)
    try:
        if call.suffers("401", "403"):
            await request.body()
            call.begin()
            call.outcome = "rejected_key"
            response = unauthorized(request, secret)
            if call.suffers("403") and response.status_code == 401:
                response.status_code = 403
        else:
            response = await handler(call)
        return await _on_the_wire(call, response)
    except BaseException:
        call.end(0, "caller_gone")
        raise


async def early_fault(call: ProviderCall) -> Response | None:
    """Return the answer of a fault that replaces the work; call it after `begin`."""
    fault = call.fault
    if fault is None or fault.kind not in WIRE_BEFORE:
        if fault is not None and fault.kind == "slow":
            await call.world.sleep(fault.seconds)
        return None
    call.outcome = f"fault_{fault.kind}"
    if fault.kind == "hang":
        await hang(call.world, call.request, fault.seconds)
        return Response("upstream timed out", 504, media_type="text/plain")
    if fault.kind == "huge":
        return StreamingResponse(endless(fault.bytes, b'{"choices":"'), media_type="application/json")
    if fault.kind == "garbage":
        return Response('{"half": "an ans', 200, media_type="application/json")
    if fault.kind == "reset":
        return Dropped()
    return Response(f"<html><h1>{fault.kind}</h1></html>", int(fault.kind), media_type="text/html")


async def _on_the_wire(call: ProviderCall, response: Response) -> Response:
    if isinstance(response, StreamingResponse):
        response.body_iterator = _closing(call, response.status_code, response.body_iterator)
        return response
    call.end(response.status_code)
    if call.suffers("cut"):
        return CutBody(response)
    if call.suffers("trickle") and call.fault is not None:
        return Dripping(call.world, response, call.fault.seconds)
    if call.suffers("done_then_drop"):
        return Dropped()
    return response


async def _closing(call: ProviderCall, status: int, body: AsyncIterable[Any]) -> AsyncIterator[bytes]:
    """Pass a stream on and close the call when it ends or its reader has gone."""
    outcome = "caller_gone"
    try:
        async for chunk in body:
            yield chunk
        outcome = ""
    finally:
        call.end(status, outcome)
