"""OpenAI's chat completions, models and moderations, as an independent client of that API expects them."""

from __future__ import annotations

import json
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from simulator.chat_text import directives, text_of
from simulator.openai_answer import Answer
from simulator.openai_errors import check_request, error, quota, rate_limited, unauthorized
from simulator.openai_moderation import moderated_texts, verdict
from simulator.provider_call import ProviderCall, early_fault, serve
from simulator.world import World

MODELS = ("gpt-5.4", "gpt-5.4-mini", "gpt-5-mini", "gpt-4.1", "gpt-4o", "gpt-4o-mini")


class OpenAI:
    """The endpoints below `/openai/v1`."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> list[Route]:
        """Return the routes, relative to the base URL."""
        return [
            Route("/chat/completions", self.chat, methods=["POST"]),
            Route("/models", self.models, methods=["GET"]),
            Route("/models/{model}", self.model, methods=["GET"]),
            Route("/moderations", self.moderations, methods=["POST"]),
        ]

    async def chat(self, request: Request) -> Response:
        """POST /chat/completions, streaming or whole."""
        return await self._serve(request, "chat.completions", True, self._chat)

    async def models(self, request: Request) -> Response:
        """GET /models."""
        return await self._serve(request, "models", False, self._models)

    async def model(self, request: Request) -> Response:
        """GET /models/{id}."""
        return await self._serve(request, "models", False, self._model)

    async def moderations(self, request: Request) -> Response:
        """POST /moderations."""
        return await self._serve(request, "moderations", False, self._moderations)

    async def _serve(self, request: Request, route: str, costly: bool, handler: Any) -> Response:
        response = await serve(
            self.world, request, "openai", route, costly=costly, handler=handler, unauthorized=unauthorized
        )
        response.headers.setdefault("x-request-id", f"req_{self.world.rng.getrandbits(96):024x}")
        response.headers.setdefault("openai-version", "2020-10-01")
        return response

    async def _models(self, call: ProviderCall) -> Response:
        call.begin()
        headers = {"openai-organization": call.key.organization}
        refused = (_fault_answer(call, headers) if call.fault else None) or await early_fault(call)
        return refused or JSONResponse({"object": "list", "data": [_model(name) for name in MODELS]}, headers=headers)

    async def _model(self, call: ProviderCall) -> Response:
        call.begin()
        name = call.request.path_params["model"]
        if name not in MODELS:
            message = f"The model `{name}` does not exist or you do not have access to it."
            return error(404, message, "invalid_request_error", "model_not_found", "model")
        return await early_fault(call) or JSONResponse(_model(name))

    async def _moderations(self, call: ProviderCall) -> Response:
        body = await _json_body(call.request)
        texts = moderated_texts(body.get("input"))
        call.begin(" ".join(texts or []))
        if texts is None:
            return error(400, "Missing required parameter: 'input'.", "invalid_request_error", None, "input")
        refused = _fault_answer(call, {}) if call.fault else None
        model = str(body.get("model") or "omni-moderation-latest")
        reply = {"id": f"modr-{call.number}", "model": model, "results": [verdict(text) for text in texts]}
        return refused or await early_fault(call) or JSONResponse(reply)

    async def _chat(self, call: ProviderCall) -> Response:
        body = await _json_body(call.request)
        messages = body.get("messages") if isinstance(body, dict) else None
        questions = [m for m in messages or [] if isinstance(m, dict) and m.get("role") == "user"]
        prompt = text_of(questions[-1].get("content")) if questions else ""
        broken = call.begin(prompt)
        headers = _limit_headers(call)
        if broken:
            return rate_limited(str(body.get("model")), call.key.limits.rpm, broken[1], headers)
        refused = _fault_answer(call, headers) or check_request(body, self.world.config.chat_context_chars)
        if refused is None:
            refused = await early_fault(call)
        if refused is not None:
            call.outcome = call.outcome if call.outcome != "ok" else "refused"
            return refused
        answer = Answer(self.world, call, body, prompt)
        if body.get("stream"):
            return StreamingResponse(answer.stream(), media_type="text/event-stream", headers=headers)
        return JSONResponse(await answer.whole(), headers=headers)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_760_000_000, "owned_by": "system"}


async def _json_body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _limit_headers(call: ProviderCall) -> dict[str, str]:
    rpm = call.key.limits.rpm or 10_000
    used = call.key.in_last_minute(time.monotonic())
    return {
        "x-ratelimit-limit-requests": str(rpm), "x-ratelimit-remaining-requests": str(max(0, rpm - used)),
        "x-ratelimit-reset-requests": f"{60 / rpm:.3f}s", "x-ratelimit-limit-tokens": "2000000",
        "x-ratelimit-remaining-tokens": "1999000", "x-ratelimit-reset-tokens": "30ms",
        "openai-processing-ms": "42", "openai-organization": call.key.organization,
    }  # fmt: skip


def _fault_answer(call: ProviderCall, headers: dict[str, str]) -> Response | None:
    """Return the API's own answer to a fault or to a wish in the prompt."""
    fault = call.fault
    kind = fault.kind if fault else ""
    if kind == "refusal" or "refuse" in directives(call.prompt):
        call.outcome = "refusal"
        message = "Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try again with a different prompt."  # noqa: E501
        return error(400, message, "invalid_request_error", "invalid_prompt", None)
    if fault is None:
        return None
    if kind == "429":
        call.outcome = "fault_429"
        return rate_limited("the model", call.key.limits.rpm, fault.retry_after, headers)
    if kind == "quota":
        call.outcome = "quota"
        return quota(str(fault.code or "insufficient_quota"))
    if kind == "503":
        call.outcome = "fault_503"
        return error(503, "The server is overloaded.", "service_unavailable_error", "server_is_overloaded", None)
    if kind == "500":
        call.outcome = "fault_500"
        return error(500, "The server had an error while processing your request.", "server_error", None, None)
    return None
