"""Pictures over Stability AI's `POST /v2beta/stable-image/generate/core` (platform.stability.ai/docs/api-reference)."""

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
from app.providers.pictures import media_type_of, nearest_ratio
from app.providers.wire import Answer, Wire, encodable, kind_of_status

ASPECT_RATIOS = ("1:1", "16:9", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21")
IMAGE_BYTES = 32 * 1024 * 1024
PROMPT_CHARS = 10_000
# "more than 150 requests in 10 seconds: timed out for 60 seconds"; no header is documented.
_TIMED_OUT_S = 60.0
_PATH = "v2beta/stable-image/generate/core"
_BY_NAME: dict[str, type[ProviderError]] = {
    "content_moderation": ProviderRefused,
    "unauthorized": ProviderKeyRejected,
    "payment_required": ProviderQuotaExhausted,
    "rate_limit_exceeded": ProviderRateLimited,
}


class StabilityImage:
    """An `ImageProvider` for one Stability key. `http_client` stays the caller's to close."""

    name = "stability"

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
        """Return a PNG of about 1.5 megapixels; see `ImageProvider.generate`."""
        prompt = encodable(request.prompt)
        if not 1 <= len(prompt) <= PROMPT_CHARS:
            raise self._wire.error(ProviderBadInput, f"the prompt must have 1 to {PROMPT_CHARS} characters")
        fields = {
            "prompt": prompt,
            "aspect_ratio": nearest_ratio(request.aspect_ratio, ASPECT_RATIOS),
            "output_format": "png",
        }
        # Nothing but multipart is accepted, though there is no file in it: a name of None makes a plain field.
        files = {name: (None, value.encode()) for name, value in fields.items()}
        headers = {"accept": "image/*", "accept-encoding": "identity"}
        http_request = self._wire.request("POST", _PATH, timeout_s, files=files, headers=headers)
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
