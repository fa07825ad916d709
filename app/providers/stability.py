"""Pictures over Stability AI's v2beta: from text (`generate/core`), from a picture (`generate/sd3`), and made larger.

Source: platform.stability.ai/docs/api-reference, "Stable Image Core", "Stable Diffusion 3.5" and "Upscale".
"""

from __future__ import annotations

from typing import Any

import httpx2

from app.clock import Clock
from app.errors import (
    ProviderBadAnswer,
    ProviderBadInput,
    ProviderError,
    ProviderKeyRejected,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRefused,
)
from app.providers.base import GeneratedImage, ImageRequest, RateListener
from app.providers.pictures import Measured, in_style, measure, media_type_of, nearest_ratio
from app.providers.wire import Answer, Wire, encodable, kind_of_status

ASPECT_RATIOS = ("1:1", "16:9", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21")
IMAGE_BYTES = 32 * 1024 * 1024
PROMPT_CHARS = 10_000
# "more than 150 requests in 10 seconds: timed out for 60 seconds"; no header is documented.
_TIMED_OUT_S = 60.0
_CORE = "v2beta/stable-image/generate/core"
_SD3 = "v2beta/stable-image/generate/sd3"
_FAST = "v2beta/stable-image/upscale/fast"
_CONSERVATIVE = "v2beta/stable-image/upscale/conservative"
SMALLEST_SOURCE_PX = 64
_FAST_SIDES = (32, 1536)
_FAST_PIXELS = 1_048_576
_CONSERVATIVE_PIXELS = 9_437_184
_CONSERVATIVE_STRETCH = 2.5
_BY_NAME: dict[str, type[ProviderError]] = {
    "content_moderation": ProviderRefused,
    "unauthorized": ProviderKeyRejected,
    "payment_required": ProviderQuotaExhausted,
    "rate_limit_exceeded": ProviderRateLimited,
}


class StabilityImage:
    """An `ImageProvider` and `Upscaler` for one Stability key. `http_client` stays the caller's to close."""

    name = "stability"
    redraws = True

    def __init__(
        self,
        api_key: str,
        base_url: str,
        http_client: httpx2.AsyncClient,
        *,
        clock: Clock,
        on_rate: RateListener | None = None,
    ) -> None:
        self._wire = Wire(self.name, api_key, base_url, http_client, clock, on_rate)

    async def generate(self, request: ImageRequest, *, timeout_s: float) -> GeneratedImage:
        """Return a PNG of about 1.5 megapixels, or of 1 if it has a source; see `ImageProvider.generate`."""
        fields: dict[str, str] = {"output_format": "png"}
        if request.seed is not None:
            fields["seed"] = str(request.seed)
        if request.source is not None:
            # Not all of this endpoint's documented versions know the presets, so the style goes along in words.
            fields |= {"prompt": self._prompt(in_style(request.prompt, request.style))}
            fields |= {"mode": "image-to-image", "strength": f"{request.strength:g}"}
            return await self._post(_SD3, fields, timeout_s, self._source(request.source))
        fields |= {
            "prompt": self._prompt(request.prompt),
            "aspect_ratio": nearest_ratio(request.aspect_ratio, ASPECT_RATIOS),
        }
        if request.style is not None:
            fields["style_preset"] = request.style
        return await self._post(_CORE, fields, timeout_s)

    async def upscale(self, picture: bytes, prompt: str, *, timeout_s: float) -> GeneratedImage:
        """Return the picture at four times its width and height or, where it is too large for that, at 4 megapixels.

        A JPEG, because a PNG of this size would be larger than most places in Discord take. See `Upscaler.upscale`.
        """
        measured = self._measured(picture)
        fields, upload = {"output_format": "jpeg"}, (picture, measured.media_type)
        low, high = _FAST_SIDES
        sides = (measured.width, measured.height)
        if measured.pixels <= _FAST_PIXELS and all(low <= side <= high for side in sides):
            return await self._post(_FAST, fields, timeout_s, upload)
        shape_fits = measured.shorter >= SMALLEST_SOURCE_PX and measured.stretch <= _CONSERVATIVE_STRETCH
        if not shape_fits or measured.pixels > _CONSERVATIVE_PIXELS:
            said = f"a picture of {measured.width}×{measured.height} pixels can't be made larger"
            raise self._wire.error(ProviderBadInput, said)
        return await self._post(_CONSERVATIVE, fields | {"prompt": self._prompt(prompt)}, timeout_s, upload)

    def _prompt(self, text: str) -> str:
        prompt = encodable(text)
        if not 1 <= len(prompt) <= PROMPT_CHARS:
            raise self._wire.error(ProviderBadInput, f"the prompt must have 1 to {PROMPT_CHARS} characters")
        return prompt

    def _source(self, picture: bytes) -> tuple[bytes, str]:
        measured = self._measured(picture)
        if measured.shorter < SMALLEST_SOURCE_PX:
            raise self._wire.error(ProviderBadInput, f"each side must have {SMALLEST_SOURCE_PX} pixels or more")
        return picture, measured.media_type

    def _measured(self, picture: bytes) -> Measured:
        measured = measure(picture)
        if measured is None or measured.media_type == "image/gif":
            raise self._wire.error(ProviderBadInput, "the picture is no PNG, JPEG or WebP")
        return measured

    async def _post(
        self, path: str, fields: dict[str, str], timeout_s: float, upload: tuple[bytes, str] | None = None
    ) -> GeneratedImage:
        # Nothing but multipart is accepted, also where there is no file in it: a name of None makes a plain field.
        files: dict[str, Any] = {name: (None, value.encode()) for name, value in fields.items()}
        if upload is not None:
            data, media_type = upload
            files["image"] = (f"image.{media_type.partition('/')[2]}", data, media_type)
        headers = {"accept": "image/*", "accept-encoding": "identity"}
        http_request = self._wire.request("POST", path, timeout_s, files=files, headers=headers)
        answer = await self._wire.call(http_request, timeout_s=timeout_s, max_bytes=IMAGE_BYTES)
        if answer.status != httpx2.codes.OK:
            raise await self._failure(answer)
        return self._picture(answer)

    def _picture(self, answer: Answer) -> GeneratedImage:
        reason = answer.headers.get("finish-reason", "SUCCESS").upper()
        if reason == "CONTENT_FILTERED":
            raise self._wire.error(ProviderRefused, "the result was blurred (CONTENT_FILTERED)", answer)
        media_type = media_type_of(answer.body)
        if reason != "SUCCESS" or media_type is None:
            said = f"no picture (finish-reason {reason}): {answer.head}"
            raise self._wire.error(ProviderBadAnswer, said, answer)
        return GeneratedImage(answer.body, media_type, self.name)

    async def _failure(self, answer: Answer) -> ProviderError:
        """Read both envelopes: `{"name", "errors": [...]}` of v2beta and `{"name", "message"}` of v1."""
        body: dict[str, Any] = await self._wire.json(answer, wait_s=_TIMED_OUT_S)
        name, errors = body.get("name"), body.get("errors")
        told = [str(line) for line in errors] if isinstance(errors, list) else [str(body.get("message", ""))]
        by_name = _BY_NAME.get(name) if isinstance(name, str) else None
        kind = by_name or kind_of_status(answer.status)
        wait_s = _TIMED_OUT_S if kind is ProviderRateLimited else None
        return self._wire.error(kind, f"{name}: {'; '.join(told)}", answer, wait_s=wait_s)
