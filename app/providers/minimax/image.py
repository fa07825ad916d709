"""Pictures over MiniMax's `POST /v1/image_generation`."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any

import httpx2

from app.clock import Clock
from app.errors import ProviderBadAnswer, ProviderBadInput, ProviderRefused
from app.providers.base import GeneratedImage, ImageRequest, RateListener
from app.providers.minimax.common import as_int, call, check, unreadable
from app.providers.pictures import in_style, media_type_of, nearest_ratio
from app.providers.wire import Wire, encodable

ASPECT_RATIOS = ("1:1", "16:9", "4:3", "3:2", "2:3", "3:4", "9:16", "21:9")
PROMPT_CHARS = 1500
ANSWER_BYTES = 24 * 1024 * 1024


class MiniMaxImage:
    """An `ImageProvider` for one MiniMax key. `http_client` stays the caller's to close."""

    name = "minimax"
    redraws = False
    """`subject_reference` only takes over a person's looks; it does not draw a picture anew."""

    def __init__(
        self,
        api_key: str,
        base_url: str,
        http_client: httpx2.AsyncClient,
        *,
        clock: Clock,
        model: str = "image-01",
        on_rate: RateListener | None = None,
    ) -> None:
        self._wire = Wire(self.name, api_key, base_url, http_client, clock, on_rate)
        self._model = model

    async def generate(self, request: ImageRequest, *, timeout_s: float) -> GeneratedImage:
        """Return one picture of about one megapixel; see `ImageProvider.generate`."""
        if request.source is not None:
            raise self._wire.error(ProviderBadInput, "there is no drawing from a picture")
        prompt = encodable(in_style(request.prompt, request.style))
        if not 1 <= len(prompt) <= PROMPT_CHARS:
            raise self._wire.error(ProviderBadInput, f"the prompt must have 1 to {PROMPT_CHARS} characters")
        wanted: dict[str, Any] = {
            "model": self._model,
            "prompt": prompt,
            "aspect_ratio": nearest_ratio(request.aspect_ratio, ASPECT_RATIOS),
            "n": 1,
            # Bytes at once instead of a link, which would need a second call to a host nobody documents.
            "response_format": "base64",
        }
        if request.seed is not None:
            wanted["seed"] = request.seed
        body, answer = await call(
            self._wire, "POST", "v1/image_generation", timeout_s=timeout_s, max_bytes=ANSWER_BYTES, json=wanted
        )
        check(self._wire, body, answer)
        data = body.get("data")
        images = data.get("image_base64") if isinstance(data, dict) else None
        if isinstance(images, list) and images and isinstance(images[0], str):
            return await self._picture(images[0])
        if _all_blocked(body):
            raise self._wire.error(ProviderRefused, "the result was withheld (failed_count)", answer)
        raise unreadable(self._wire, answer, "picture")

    async def _picture(self, encoded: str) -> GeneratedImage:
        try:
            payload = encoded.rpartition(",")[2] if encoded.startswith("data:") else encoded
            data = await asyncio.to_thread(base64.b64decode, payload, validate=True)
        except (binascii.Error, ValueError):
            raise self._wire.error(ProviderBadAnswer, "the picture is no base64") from None
        media_type = media_type_of(data)
        if media_type is None:
            raise self._wire.error(ProviderBadAnswer, "what came is no PNG, JPEG or WebP")
        return GeneratedImage(data, media_type, self.name)


def _all_blocked(body: dict[str, Any]) -> bool:
    """Tell whether `metadata` says that content safety blocked the picture; its counts may be strings."""
    metadata = body.get("metadata")
    return isinstance(metadata, dict) and (as_int(metadata.get("failed_count")) or 0) > 0
