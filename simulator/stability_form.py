"""What Stability takes: the fields of each endpoint, their limits, and the pictures that may come with them.

Source: platform.stability.ai/docs/api-reference, "Stable Image Core", "Ultra", "Stable Diffusion 3.5", "Upscale".
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from starlette.requests import Request

from simulator.multipart import MultipartError, media_type, parse_multipart
from simulator.pictures import Size, size_in

RATIOS = ("1:1", "16:9", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21")
STYLES = (
    "3d-model", "analog-film", "anime", "cinematic", "comic-book", "digital-art", "enhance", "fantasy-art",
    "isometric", "line-art", "low-poly", "modeling-compound", "neon-punk", "origami", "photographic", "pixel-art",
    "tile-texture",
)  # fmt: skip
_DRAWN = {"prompt", "negative_prompt", "aspect_ratio", "seed", "style_preset", "output_format"}
FIELDS = {
    "core": _DRAWN,
    "ultra": _DRAWN | {"image", "strength"},
    "sd3": _DRAWN | {"image", "strength", "mode", "model", "cfg_scale"},
    "fast": {"image", "output_format"},
    "conservative": {"image", "prompt", "negative_prompt", "seed", "output_format", "creativity"},
}
GENERATORS = ("core", "ultra", "sd3")
UPSCALERS = ("fast", "conservative")
SD3_MODELS = ("sd3.5-large", "sd3.5-large-turbo", "sd3.5-medium", "sd3.5-flash")
FORMATS = ("png", "jpeg")
"""Of the real service's formats those that can be made here; `webp` is the third."""
MAX_BODY = 10 * 1024 * 1024
FAST_PIXELS = range(1_024, 1_048_577)
CONSERVATIVE_PIXELS = range(4_096, 9_437_185)


@dataclass(frozen=True, slots=True)
class Form:
    """A form as it came: its texts, the picture in it, and what is wrong with the form itself."""

    text: dict[str, str] = field(default_factory=dict)
    image: bytes | None = None
    faults: tuple[str, ...] = ()

    @property
    def size(self) -> Size | None:
        """Return what the picture is, or None."""
        return size_in(self.image) if self.image is not None else None


async def read_form(request: Request) -> Form:
    """Read a request's form; what is wrong with it stands in `faults`."""
    content_type = request.headers.get("content-type", "")
    body = await request.body()
    if media_type(content_type) != "multipart/form-data":
        return Form(faults=("content-type: must be multipart/form-data",))
    try:
        parts = parse_multipart(content_type, body)
        text = {part.name: part.text for part in parts if part.filename is None}
    except MultipartError as error:
        return Form(faults=(f"body: {error}",))
    files = {part.name: part.data for part in parts if part.filename is not None}
    # Clients without a file send an empty one of this name, so that the form is multipart at all.
    unknown = tuple(f"{name}: unknown field" for name in files if name not in ("image", "none"))
    return Form(text, files.get("image"), unknown)


def check_form(model: str, form: Form, accept: str) -> list[str]:
    """Return what is wrong with a request, one line per field."""
    text = form.text
    faults = [f"{name}: unknown field" for name in text if name not in FIELDS[model] and name != "none"]
    if accept not in ("", "*/*", "image/*", "application/json"):
        faults.append("accept: must be one of image/*, application/json")
    if not text.get("prompt") and model != "fast":
        faults.append("prompt: is required")
    long = (name for name in ("prompt", "negative_prompt") if len(text.get(name, "")) > 10_000)
    faults += [f"{name}: must be at most 10000 characters" for name in long]
    faults += _check_choice(text, "aspect_ratio", RATIOS) + _check_choice(text, "output_format", FORMATS)
    faults += _check_choice(text, "style_preset", STYLES) + _check_choice(text, "model", SD3_MODELS)
    faults += _check_choice(text, "mode", ("text-to-image", "image-to-image"))
    seed = text.get("seed", "0")
    if not (seed.isascii() and seed.isdigit()) or int(seed) > 4_294_967_294:
        faults.append("seed: must be a number between 0 and 4294967294")
    faults += _check_number(text, "cfg_scale", 1, 10) + _check_number(text, "creativity", 0.2, 0.5)
    faults += _check_number(text, "strength", 0, 1)
    return faults + (_check_source(model, form) if model in GENERATORS else _check_enlarged(model, form))


def _check_source(model: str, form: Form) -> list[str]:
    """Check the picture to draw from: with it goes a strength, and for sd3 the mode; the shape is the picture's."""
    text, wants = form.text, form.text.get("mode") == "image-to-image"
    if form.image is None:
        return ["image: is required"] if wants else ["strength: requires an image"] if "strength" in text else []
    if "image" not in FIELDS[model]:
        return ["image: unknown field"]
    faults = _check_picture(form, sides=range(64, 16_385))
    if "strength" not in text:
        faults.append("strength: is required")
    if model == "sd3" and not wants:
        faults.append("mode: must be image-to-image where there is an image")
    if model == "sd3" and "aspect_ratio" in text:
        faults.append("aspect_ratio: is for text-to-image only")
    return faults


def _check_enlarged(model: str, form: Form) -> list[str]:
    if form.image is None:
        return ["image: is required"]
    if model == "fast":
        return _check_picture(form, sides=range(32, 1_537), pixels=FAST_PIXELS)
    return _check_picture(form, sides=range(64, 16_385), pixels=CONSERVATIVE_PIXELS, stretch=2.5)


def _check_picture(
    form: Form, *, sides: range, pixels: Collection[int] | None = None, stretch: float | None = None
) -> list[str]:  # fmt: skip
    size = form.size
    if size is None or size.kind == "gif":
        return ["image: must be a JPEG, PNG or WebP"]
    faults = []
    if size.width not in sides or size.height not in sides:
        faults.append(f"image: each side must be between {sides[0]} and {sides[-1]} pixels")
    if pixels is not None and size.pixels not in pixels:
        faults.append("image: the number of pixels is out of range")
    if stretch is not None and size.stretch > stretch:
        faults.append(f"image: the aspect ratio must be between 1:{stretch} and {stretch}:1")
    return faults


def _check_number(text: dict[str, str], name: str, low: float, high: float) -> list[str]:
    if name not in text:
        return []
    try:
        good = low <= float(text[name]) <= high
    except ValueError:
        good = False
    return [] if good else [f"{name}: must be a number between {low:g} and {high:g}"]


def _check_choice(text: dict[str, str], name: str, allowed: tuple[str, ...]) -> list[str]:
    value = text.get(name)
    return [] if value is None or value in allowed else [f"{name}: must be one of {', '.join(allowed)}"]
