"""Stability's image generation, upscaling and balance. Forms are multipart only, pictures are real files."""

from __future__ import annotations

import base64
from collections.abc import Collection
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator.chat_text import directives
from simulator.ledger import digest
from simulator.media import Pattern, as_jpeg, as_png, size_of
from simulator.provider_call import ProviderCall, early_fault, serve
from simulator.stability_form import GENERATORS, MAX_BODY, UPSCALERS, Form, check_form, read_form
from simulator.world import World

FLAGGED = (
    "Your request was flagged by our content moderation system, as a result your request was denied and you were "
    "not charged."
)
NO_CREDITS = (
    "You lack sufficient credits to make this request. Please purchase more credits at "
    "https://platform.stability.ai/account/credits and try again."
)


CONSERVATIVE_PIXELS = 4_000_000
"""The conservative way makes about four megapixels of everything."""


class Stability:
    """The endpoints below `/stability`."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> list[Route]:
        """Return the routes, relative to the base URL."""
        return [
            Route("/v2beta/stable-image/generate/{model}", self.generate, methods=["POST"]),
            Route("/v2beta/stable-image/upscale/{model}", self.upscale, methods=["POST"]),
            Route("/v1/user/balance", self.balance, methods=["GET"]),
            Route("/v1/user/account", self.account, methods=["GET"]),
        ]

    async def generate(self, request: Request) -> Response:
        """POST /v2beta/stable-image/generate/{core|ultra|sd3}."""
        return await self._serve(request, "generate", GENERATORS)

    async def upscale(self, request: Request) -> Response:
        """POST /v2beta/stable-image/upscale/{fast|conservative}."""
        return await self._serve(request, "upscale", UPSCALERS)

    async def _serve(self, request: Request, kind: str, models: Collection[str]) -> Response:
        model = request.path_params["model"]
        if model not in models:
            return JSONResponse({"id": self._id(), "name": "not_found", "errors": ["no such route"]}, 404)
        response = await serve(self.world, request, "stability", f"{kind}.{model}", costly=True, handler=self._work,
                               unauthorized=self._unauthorized)  # fmt: skip
        response.headers.setdefault("x-request-id", self._id())
        return response

    async def balance(self, request: Request) -> Response:
        """GET /v1/user/balance."""
        return await serve(self.world, request, "stability", "balance", costly=False, handler=self._balance,
                           unauthorized=self._unauthorized_v1)  # fmt: skip

    async def _balance(self, call: ProviderCall) -> Response:
        call.begin()
        if call.suffers("quota"):
            return JSONResponse({"credits": 0.0})
        return await early_fault(call) or JSONResponse({"credits": 1000.0 - 3 * len(call.key.admitted)})

    async def account(self, request: Request) -> Response:
        """GET /v1/user/account."""
        return await serve(self.world, request, "stability", "account", costly=False, handler=self._account,
                           unauthorized=self._unauthorized_v1)  # fmt: skip

    async def _account(self, call: ProviderCall) -> Response:
        call.begin()
        organization = {"id": call.key.organization, "name": "Simulated", "role": "OWNER", "is_default": True}
        account = {"id": f"user-{call.key.label}", "email": "simulated@example.invalid", "profile_picture": ""}
        return await early_fault(call) or JSONResponse({**account, "organizations": [organization]})

    async def _work(self, call: ProviderCall) -> Response:
        form = await read_form(call.request)
        broken = call.begin(form.text.get("prompt", ""))
        if broken:
            return self._problem(429, "rate_limit_exceeded", "You have exceeded the rate limit.", call)
        if len(await call.request.body()) > MAX_BODY:
            return self._problem(413, "payload_too_large", "body: must not be larger than 10 MiB", call)
        model = call.request.path_params["model"]
        faults = form.faults or check_form(model, form, call.request.headers.get("accept", ""))
        if faults:
            call.outcome = "bad_request"
            return JSONResponse({"id": self._id(), "name": "bad_request", "errors": faults}, 400)
        refused = self._fault_answer(call) or await early_fault(call)
        return refused or await self._picture(call, form)

    async def _picture(self, call: ProviderCall, form: Form) -> Response:
        wishes = directives(form.text.get("prompt", ""))
        seconds = wishes.get("seconds", "")
        duration = float(seconds) if seconds.replace(".", "", 1).isdigit() else call.key.speed.image_s
        await self.world.sleep(self.world.spread(duration, call.key.speed))
        seed = int(form.text.get("seed") or 0) or self.world.rng.randrange(1, 2**32 - 1)
        filtered = call.suffers("filter") or "filter" in wishes
        reason = "CONTENT_FILTERED" if filtered else "SUCCESS"
        call.outcome = "content_filter" if filtered else "ok"
        pattern, (width, height) = self._drawn(call.request.path_params["model"], form, seed)
        # A filtered picture comes all the same, only blurred beyond recognition.
        pattern = Pattern.of("blurred", seed) if filtered else pattern
        kind = form.text.get("output_format", "png")
        data = (as_jpeg if kind == "jpeg" else as_png)(pattern, width, height)
        if call.request.headers.get("accept") == "application/json":
            body = {"image": base64.b64encode(data).decode(), "finish_reason": reason, "seed": seed}
            return JSONResponse(body, headers={"content-type": f"application/json; type=image/{kind}"})
        return Response(data, headers={"finish-reason": reason, "seed": str(seed)}, media_type=f"image/{kind}")

    def _drawn(self, model: str, form: Form, seed: int) -> tuple[Pattern, tuple[int, int]]:
        """Return what is drawn, and how large: a source gives its shape, and to an enlargement all it shows."""
        side, prompt = self.world.config.image_px, form.text.get("prompt", "")
        source, size = form.image, form.size
        if source is None or size is None:
            style = form.text.get("style_preset", "")
            wished = Pattern.of(f"{prompt}\0{style}" if style else prompt, seed)
            return wished, size_of(form.text.get("aspect_ratio", "1:1"), side)
        seen = Pattern.seen_in(source) or Pattern.of(digest(source), 0)
        if model in UPSCALERS:
            factor = 4.0 if model == "fast" else (CONSERVATIVE_PIXELS / size.pixels) ** 0.5
            return seen, (round(size.width * factor), round(size.height * factor))
        wished = Pattern.of(f"{prompt}\0{digest(source)}", seed)
        # The stronger the change, the less of the source is left; what is left are its shapes.
        rows = seen.rows if float(form.text.get("strength", "1")) < 1 else wished.rows
        return replace(wished, rows=rows), size_of(f"{size.width}:{size.height}", side)

    def _fault_answer(self, call: ProviderCall) -> Response | None:
        fault = call.fault
        if call.suffers("refusal") or "refuse" in directives(call.prompt):
            return self._problem(403, "content_moderation", FLAGGED, call)
        if fault is None:
            return None
        if fault.kind == "429":
            headers = {"retry-after": str(int(fault.retry_after))} if fault.retry_after is not None else None
            return self._problem(429, "rate_limit_exceeded", "You have exceeded the rate limit.", call, headers)
        if fault.kind == "quota":
            return self._problem(402, "payment_required", NO_CREDITS, call)
        if fault.kind in ("500", "503"):
            return self._problem(int(fault.kind), "internal_error", "An unexpected error occurred.", call)
        return None

    def _problem(
        self, status: int, name: str, message: str, call: ProviderCall, headers: dict[str, str] | None = None
    ) -> Response:
        call.outcome = call.outcome if call.outcome != "ok" else name
        return JSONResponse({"id": self._id(), "name": name, "errors": [message]}, status, headers)

    def _unauthorized(self, request: Request, secret: str) -> Response:
        message = "authorization: invalid or missing header value"
        return JSONResponse({"id": self._id(), "name": "unauthorized", "errors": [message]}, 401)

    def _unauthorized_v1(self, request: Request, secret: str) -> Response:
        shown = f"{secret[:7]}{'*' * 11}{secret[-4:]}"
        message = f"Incorrect API key provided: {shown}. You can find your API key at https://stability.ai."
        return JSONResponse({"id": self._id(), "message": message, "name": "unauthorized"}, 401)

    def _id(self) -> str:
        return f"{self.world.rng.getrandbits(128):032x}"
