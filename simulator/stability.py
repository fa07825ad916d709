"""Stability's image generation and balance. Forms are multipart only, pictures are real PNG files."""

from __future__ import annotations

import base64

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator.chat_text import directives
from simulator.media import png, size_of
from simulator.multipart import MultipartError, media_type, parse_multipart
from simulator.provider_call import ProviderCall, early_fault, serve
from simulator.world import World

RATIOS = ("1:1", "16:9", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21")
STYLES = frozenset(
    [
        "3d-model",
        "analog-film",
        "anime",
        "cinematic",
        "comic-book",
        "digital-art",
        "enhance",
        "fantasy-art",
        "isometric",
        "line-art",
        "low-poly",
        "modeling-compound",
        "neon-punk",
        "origami",
        "photographic",
        "pixel-art",
        "tile-texture",
    ]
)
FIELDS = {
    "core": {"prompt", "negative_prompt", "aspect_ratio", "seed", "style_preset", "output_format"},
    "ultra": {"prompt", "negative_prompt", "aspect_ratio", "seed", "style_preset", "output_format", "image",
              "strength"},
    "sd3": {"prompt", "negative_prompt", "aspect_ratio", "seed", "style_preset", "output_format", "image", "strength",
            "mode", "model", "cfg_scale"},
}  # fmt: skip
SD3_MODELS = ("sd3.5-large", "sd3.5-large-turbo", "sd3.5-medium", "sd3.5-flash")
MAX_BODY = 10 * 1024 * 1024
FLAGGED = (
    "Your request was flagged by our content moderation system, as a result your request was denied and you were "
    "not charged."
)
NO_CREDITS = (
    "You lack sufficient credits to make this request. Please purchase more credits at "
    "https://platform.stability.ai/account/credits and try again."
)


class Stability:
    """The endpoints below `/stability`."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> list[Route]:
        """Return the routes, relative to the base URL."""
        return [
            Route("/v2beta/stable-image/generate/{model}", self.generate, methods=["POST"]),
            Route("/v1/user/balance", self.balance, methods=["GET"]),
        ]

    async def generate(self, request: Request) -> Response:
        """POST /v2beta/stable-image/generate/{core|ultra|sd3}."""
        if request.path_params["model"] not in FIELDS:
            return JSONResponse({"id": self._id(), "name": "not_found", "errors": ["no such route"]}, 404)
        response = await serve(self.world, request, "stability", f"generate.{request.path_params['model']}",
                               costly=True, handler=self._generate, unauthorized=self._unauthorized)  # fmt: skip
        response.headers.setdefault("x-request-id", self._id())
        return response

    async def balance(self, request: Request) -> Response:
        """GET /v1/user/balance."""
        return await serve(self.world, request, "stability", "balance", costly=False, handler=self._balance,
                           unauthorized=self._unauthorized_v1)  # fmt: skip

    async def _balance(self, call: ProviderCall) -> Response:
        call.begin()
        return await early_fault(call) or JSONResponse({"credits": 1000.0 - 3 * len(call.key.admitted)})

    async def _generate(self, call: ProviderCall) -> Response:
        form, faults = await _read_form(call.request)
        prompt = form.get("prompt", "")
        broken = call.begin(prompt)
        if broken:
            return self._problem(429, "rate_limit_exceeded", "You have exceeded the rate limit.", call)
        if len(await call.request.body()) > MAX_BODY:
            return self._problem(413, "payload_too_large", "body: must not be larger than 10 MiB", call)
        faults = faults or check_form(call.request.path_params["model"], form, call.request.headers.get("accept", ""))
        if faults:
            call.outcome = "bad_request"
            return JSONResponse({"id": self._id(), "name": "bad_request", "errors": faults}, 400)
        refused = self._fault_answer(call) or await early_fault(call)
        return refused or await self._picture(call, form)

    async def _picture(self, call: ProviderCall, form: dict[str, str]) -> Response:
        wishes = directives(form["prompt"])
        seconds = wishes.get("seconds", "")
        duration = float(seconds) if seconds.replace(".", "", 1).isdigit() else call.key.speed.image_s
        await self.world.sleep(self.world.spread(duration, call.key.speed))
        seed = int(form.get("seed") or 0) or self.world.rng.randrange(1, 2**32 - 1)
        width, height = size_of(form.get("aspect_ratio", "1:1"), self.world.config.image_px)
        filtered = call.suffers("filter") or "filter" in wishes
        reason = "CONTENT_FILTERED" if filtered else "SUCCESS"
        call.outcome = "content_filter" if filtered else "ok"
        # A filtered picture comes all the same, only blurred beyond recognition.
        data = png("blurred" if filtered else form["prompt"], seed, width, height)
        if call.request.headers.get("accept") == "application/json":
            body = {"image": base64.b64encode(data).decode(), "finish_reason": reason, "seed": seed}
            return JSONResponse(body, headers={"content-type": "application/json; type=image/png"})
        return Response(data, headers={"finish-reason": reason, "seed": str(seed)}, media_type="image/png")

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


async def _read_form(request: Request) -> tuple[dict[str, str], list[str]]:
    content_type = request.headers.get("content-type", "")
    body = await request.body()
    if media_type(content_type) != "multipart/form-data":
        return {}, ["content-type: must be multipart/form-data"]
    try:
        parts = parse_multipart(content_type, body)
        return {part.name: part.text if part.filename is None else part.filename for part in parts}, []
    except MultipartError as error:
        return {}, [f"body: {error}"]


def check_form(model: str, form: dict[str, str], accept: str) -> list[str]:
    """Return what is wrong with a generate request, one line per field."""
    faults = [f"{name}: unknown field" for name in form if name not in FIELDS[model] and name != "none"]
    if accept not in ("", "*/*", "image/*", "application/json"):
        faults.append("accept: must be one of image/*, application/json")
    prompt = form.get("prompt")
    if not prompt:
        faults.append("prompt: is required")
    long = (name for name in ("prompt", "negative_prompt") if len(form.get(name, "")) > 10_000)
    faults += [f"{name}: must be at most 10000 characters" for name in long]
    faults += _check_choice(form, "aspect_ratio", RATIOS) + _check_choice(form, "output_format", ("png",))
    faults += _check_choice(form, "style_preset", sorted(STYLES)) + _check_choice(form, "model", SD3_MODELS)
    seed = form.get("seed", "0")
    if not (seed.isascii() and seed.isdigit()) or int(seed) > 4_294_967_294:
        faults.append("seed: must be a number between 0 and 4294967294")
    return faults


def _check_choice(form: dict[str, str], name: str, allowed: tuple[str, ...] | list[str]) -> list[str]:
    value = form.get(name)
    return [] if value is None or value in allowed else [f"{name}: must be one of {', '.join(allowed)}"]
