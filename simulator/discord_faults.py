"""How Discord goes wrong on request."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from simulator import discord_errors as codes
from simulator.discord_errors import DiscordProblem
from simulator.discord_limits import Verdict
from simulator.faults import Fault
from simulator.wire import CutBody, Dripping, Dropped, endless, hang
from simulator.world import World

PROBLEMS = {
    "10015": (404, codes.UNKNOWN_WEBHOOK),
    "10008": (404, codes.UNKNOWN_MESSAGE),
    "10003": (404, codes.UNKNOWN_CHANNEL),
    "50001": (403, codes.MISSING_ACCESS),
    "50007": (403, codes.CANNOT_SEND_TO_USER),
    "50013": (403, codes.MISSING_PERMISSIONS),
    "50027": (401, codes.INVALID_WEBHOOK_TOKEN),
}


async def faulty_answer(world: World, fault: Fault, request: Request) -> Response | None:
    """Return the wrong answer, or None where the call is performed all the same (`slow`, `done_then_drop`)."""
    kind = fault.kind
    if kind in PROBLEMS:
        return DiscordProblem(*PROBLEMS[kind]).response()
    if kind == "429":
        retry_after = fault.retry_after if fault.retry_after is not None else 1.0
        headers = {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "0",
                   "X-RateLimit-Reset-After": f"{retry_after:.3f}", "X-RateLimit-Bucket": "fault"}  # fmt: skip
        return Verdict(retry_after, headers).response()
    if kind in ("500", "503"):
        return JSONResponse({"message": f"{kind}: Internal Server Error", "code": 0}, int(kind))
    return await _wire_fault(world, fault, request)


async def _wire_fault(world: World, fault: Fault, request: Request) -> Response | None:
    whole = JSONResponse({"id": "1", "content": "x" * 400})
    if fault.kind == "reset":
        return Dropped()
    if fault.kind == "cut":
        return CutBody(whole)
    if fault.kind == "trickle":
        return Dripping(world, whole, fault.seconds)
    if fault.kind == "huge":
        return StreamingResponse(endless(fault.bytes, b'{"content":"'), media_type="application/json")
    if fault.kind == "garbage":
        return Response("<html>upstream error</html>", 502, media_type="text/html")
    if fault.kind == "hang":
        await hang(world, request, fault.seconds)
        return Response(json.dumps({"message": "timeout", "code": 0}), 504, media_type="application/json")
    if fault.kind == "slow":
        await world.sleep(fault.seconds)
    return None
