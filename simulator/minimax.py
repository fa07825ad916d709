"""MiniMax's images and V1 videos: business errors come as HTTP 200 with a `base_resp` code."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator.chat_text import directives
from simulator.ledger import digest
from simulator.media import mp4, png, size_of
from simulator.pictures import in_data_url, size_in
from simulator.provider_call import ProviderCall, early_fault, serve
from simulator.world import World

IMAGE_RATIOS = ("1:1", "16:9", "4:3", "3:2", "2:3", "3:4", "9:16", "21:9")
TEXT_MODELS = ("MiniMax-Hailuo-2.3", "MiniMax-Hailuo-02", "T2V-01-Director", "T2V-01")
FRAME_MODELS = ("MiniMax-Hailuo-2.3", "MiniMax-Hailuo-2.3-Fast", "MiniMax-Hailuo-02", "I2V-01-Director", "I2V-01-live",
                "I2V-01")  # fmt: skip
HAILUO = ("MiniMax-Hailuo-2.3", "MiniMax-Hailuo-2.3-Fast", "MiniMax-Hailuo-02")
MAX_FRAME_BYTES = 20 * 1024 * 1024
MIN_FRAME_PX = 300
MAX_FRAME_STRETCH = 2.5
MESSAGES = {
    0: "success", 1000: "unknown error", 1001: "request timeout", 1002: "rate limit", 1004: "not authorized",
    1008: "insufficient balance", 1013: "Internal service error", 1024: "internal error",
    1026: "input new_sensitive", 1027: "output new_sensitive", 1033: "system error", 1039: "token limit",
    1041: "conn limit", 1042: "invisible character ratio limit", 2013: "invalid params", 2045: "rate growth limit",
    2049: "invalid api key", 2056: "usage limit exceeded",
}  # fmt: skip
STAGES = ((0.1, "Preparing"), (0.3, "Queueing"), (1.0, "Processing"))


@dataclass(slots=True)
class Task:
    """One video task; it belongs to the key that made it."""

    id: str
    file_id: str
    owner: str
    prompt: str
    started: float
    duration: float
    fails_with: int = 0
    first_frame: str = ""
    """A digest of the picture it begins with."""

    def status(self, now: float) -> str:
        """Return the stage the task has reached."""
        share = (now - self.started) / self.duration if self.duration > 0 else 1.0
        for until, stage in STAGES:
            if share < until:
                return stage
        return "Fail" if self.fails_with else "Success"


class MiniMax:
    """The endpoints below `/minimax`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tasks: dict[str, Task] = {}
        self._links: dict[str, tuple[str, float]] = {}
        self._images: dict[str, bytes] = {}

    def routes(self) -> list[Route]:
        """Return the routes, relative to the base URL."""
        return [
            Route("/v1/image_generation", self.image, methods=["POST"]),
            Route("/v1/video_generation", self.create, methods=["POST"]),
            Route("/v1/query/video_generation", self.query, methods=["GET"]),
            Route("/v1/files/retrieve", self.retrieve, methods=["GET"]),
            Route("/download/{link}/output_aigc.mp4", self.download, methods=["GET"]),
            Route("/download/{link}/image.png", self.download_image, methods=["GET"]),
        ]

    async def image(self, request: Request) -> Response:
        """POST /v1/image_generation."""
        return await self._serve(request, "image_generation", True, self._image)

    async def create(self, request: Request) -> Response:
        """POST /v1/video_generation."""
        return await self._serve(request, "video_generation", True, self._create)

    async def query(self, request: Request) -> Response:
        """GET /v1/query/video_generation."""
        return await self._serve(request, "query", False, self._query)

    async def retrieve(self, request: Request) -> Response:
        """GET /v1/files/retrieve."""
        return await self._serve(request, "files.retrieve", False, self._retrieve)

    async def _serve(self, request: Request, route: str, costly: bool, handler: Any) -> Response:
        response = await serve(self.world, request, "minimax", route, costly=costly, handler=handler,
                               unauthorized=_unauthorized)  # fmt: skip
        response.headers.setdefault("Trace-Id", f"{self.world.rng.getrandbits(128):032x}")
        return response

    async def _image(self, call: ProviderCall) -> Response:
        body = await _json_body(call.request)
        prompt = str(body.get("prompt") or "")
        refused = await self._common(call, prompt, 1500, body.get("model") in ("image-01", "image-01-live"))
        ratio, count = body.get("aspect_ratio", "1:1"), body.get("n", 1)
        if refused is None and (ratio not in IMAGE_RATIOS or not isinstance(count, int) or not 1 <= count <= 9):
            refused = base_resp(call, 2013)
        if refused is not None:
            return refused
        await self.world.sleep(self.world.spread(call.key.speed.image_s, call.key.speed))
        blocked = call.suffers("filter") or "filter" in directives(prompt)
        call.outcome = "content_filter" if blocked else "ok"
        width, height = size_of(ratio, self.world.config.image_px)
        seed = int(body.get("seed") or self.world.rng.randrange(1, 2**31))
        pictures = [] if blocked else [png(prompt, seed + i, width, height) for i in range(count)]
        if body.get("response_format", "url") == "base64":
            data: dict[str, Any] = {"image_base64": [base64.b64encode(picture).decode() for picture in pictures]}
        else:
            data = {"image_urls": [self._image_url(call.request, picture) for picture in pictures]}
        counts = {"success_count": str(len(pictures)), "failed_count": str(count - len(pictures))}
        trace = f"{self.world.rng.getrandbits(128):032x}"
        return JSONResponse({"id": trace, "data": data, "metadata": counts, "base_resp": _base(0)})

    async def _create(self, call: ProviderCall) -> Response:
        body = await _json_body(call.request)
        prompt = str(body.get("prompt") or "")
        frame = body.get("first_frame_image")
        models = TEXT_MODELS if frame is None else FRAME_MODELS
        refused = await self._common(call, prompt, 2000, body.get("model") in models, required=frame is None)
        refused = refused or _check_video(call, body) or _check_frame(call, frame)
        if refused is not None:
            return refused
        wished = directives(prompt).get("seconds", "")
        duration = float(wished) if wished.replace(".", "", 1).isdigit() else call.key.speed.video_s
        task = Task(self._number(), self._number(), call.key.label, prompt, time.monotonic(),
                    self.world.spread(duration, call.key.speed),
                    first_frame=digest(str(frame)) if frame else "")  # fmt: skip
        if call.suffers("task_failed", "filter") and call.fault is not None:
            task.fails_with = int(call.fault.code or 1027)
        elif "filter" in directives(prompt):
            task.fails_with = 1027
        self.tasks[task.id] = task
        call.task_id = task.id
        return JSONResponse({"task_id": task.id, "base_resp": _base(0)})

    async def _query(self, call: ProviderCall) -> Response:
        call.task_id = call.request.query_params.get("task_id")
        call.begin()
        refused = _fault_answer(call) or await early_fault(call)
        if refused is not None:
            return refused
        task = self.tasks.get(call.task_id or "")
        if task is None or task.owner != call.key.label:
            return base_resp(call, 2013, "invalid params, task_id not found")
        status = task.status(time.monotonic())
        reply: dict[str, Any] = {"task_id": task.id, "status": status, "file_id": "",
                                 "base_resp": _base(task.fails_with if status == "Fail" else 0)}  # fmt: skip
        if status == "Success":
            reply |= {"file_id": task.file_id, "video_width": 1366, "video_height": 768}
        call.outcome = status.lower()
        return JSONResponse(reply)

    async def _retrieve(self, call: ProviderCall) -> Response:
        call.begin()
        refused = _fault_answer(call) or await early_fault(call)
        if refused is not None:
            return refused
        file_id = call.request.query_params.get("file_id", "")
        task = next((t for t in self.tasks.values() if t.file_id == file_id and t.owner == call.key.label), None)
        if task is None or task.status(time.monotonic()) != "Success":
            return base_resp(call, 2013, "invalid params, file_id not found")
        call.task_id = task.id
        link = f"{self.world.rng.getrandbits(128):032x}"
        self._links[link] = (task.id, time.monotonic() + self.world.config.video_url_lifetime_s)
        url = str(call.request.url_for("minimax_download", link=link)) + f"?Expires={int(time.time()) + 3600}"
        size = len(self._video(task))
        shown = {"file_id": int(task.file_id), "bytes": size, "created_at": int(time.time()),
                 "filename": "output_aigc.mp4", "purpose": "video_generation", "download_url": url}  # fmt: skip
        return JSONResponse({"file": shown, "base_resp": _base(0)})

    async def download(self, request: Request) -> Response:
        """GET the finished file: a signed link, so no Authorization header may come with it."""
        task_id, until = self._links.get(request.path_params["link"], ("", 0.0))
        status = 200
        if "authorization" in request.headers:
            status = 400
        elif time.monotonic() >= until:
            status = 403
        self.world.ledger.add("download", provider="minimax", status=status, task_id=task_id or None)
        if status != 200:
            return Response(f"<Error><Code>{'InvalidArgument' if status == 400 else 'AccessDenied'}</Code></Error>",
                            status, media_type="application/xml")  # fmt: skip
        return Response(self._video(self.tasks[task_id]), media_type="video/mp4")

    async def download_image(self, request: Request) -> Response:
        """GET a picture that was answered as a link."""
        picture = self._images.get(request.path_params["link"])
        return Response(picture, media_type="image/png") if picture else Response(status_code=403)

    async def _common(
        self, call: ProviderCall, prompt: str, limit: int, model_ok: bool, *, required: bool = True
    ) -> Response | None:  # fmt: skip
        if call.begin(prompt):
            return base_resp(call, 1002, keep_outcome=True)
        if (required and not prompt) or len(prompt) > limit or not model_ok:
            return base_resp(call, 2013)
        return _fault_answer(call) or await early_fault(call)

    def _video(self, task: Task) -> bytes:
        return mp4(task.prompt + task.first_frame, size=self.world.config.video_bytes)

    def _image_url(self, request: Request, picture: bytes) -> str:
        link = digest(picture)
        self._images[link] = picture
        return str(request.url_for("minimax_image", link=link))

    def _number(self) -> str:
        return str(self.world.rng.randrange(10**14, 10**15))


def _check_video(call: ProviderCall, body: dict[str, Any]) -> Response | None:
    new, with_frame = body["model"] in HAILUO, "first_frame_image" in body
    resolution = body.get("resolution", "768P" if new else "720P")
    duration = body.get("duration", 6)
    allowed = {("768P", 6), ("768P", 10), ("1080P", 6)} if new else {("720P", 6)}
    if with_frame and body["model"] == "MiniMax-Hailuo-02":
        allowed |= {("512P", 6), ("512P", 10)}
    return None if (resolution, duration) in allowed else base_resp(call, 2013)


def _check_frame(call: ProviderCall, frame: Any) -> Response | None:
    """Refuse a first frame that is no JPG, PNG or WebP, too large, too small or too long."""
    if frame is None or (isinstance(frame, str) and frame.startswith(("https://", "http://"))):
        return None
    data = in_data_url(frame) if isinstance(frame, str) else None
    if data is None or len(data) >= MAX_FRAME_BYTES:
        return base_resp(call, 2013, "invalid params, first_frame_image")
    size = size_in(data)
    if size is None or size.kind == "gif":
        return base_resp(call, 2013, "invalid params, first_frame_image: unsupported format")
    if min(size.width, size.height) <= MIN_FRAME_PX or size.stretch > MAX_FRAME_STRETCH:
        return base_resp(call, 2013, "invalid params, first_frame_image: size or aspect ratio")
    return None


def _base(code: int, message: str = "") -> dict[str, Any]:
    return {"status_code": code, "status_msg": message or MESSAGES.get(code, "error")}


def base_resp(call: ProviderCall, code: int, message: str = "", *, keep_outcome: bool = False) -> Response:
    """Return a business error: HTTP 200 with a code."""
    if not keep_outcome:
        call.outcome = f"base_resp_{code}"
    return JSONResponse({"base_resp": _base(code, message)})


def _unauthorized(request: Request, secret: str) -> Response:
    return JSONResponse({"base_resp": _base(1004, "login fail: Please carry the API secret key in the header")})


def _fault_answer(call: ProviderCall) -> Response | None:
    """Return MiniMax's own answer to a fault or to a wish in the prompt."""
    fault = call.fault
    if call.suffers("refusal") or "refuse" in directives(call.prompt):
        return base_resp(call, 1026)
    if fault is None:
        return None
    codes = {"429": 1002, "quota": 1008, "500": 1000, "error_frame": 1000}
    if fault.kind == "base_resp":
        return base_resp(call, int(fault.code or 1000))
    return base_resp(call, codes[fault.kind]) if fault.kind in codes else None


async def _json_body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
