"""What a text would be flagged for, by OpenAI's moderation (`POST /moderations`, free of charge).

Source: developers.openai.com/docs/guides/moderation and `CreateModerationResponse` of OpenAI's OpenAPI description. Its
rate limit is not the chat's, so its headers say nothing of the key's budget and are not listened to.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import httpx2

from app.clock import Clock
from app.errors import ProviderBadAnswer
from app.providers.openai_errors import kind_of
from app.providers.wire import Answer, Wire, encodable

MODEL = "omni-moderation-latest"
UNNAMED = "other"
"""Stands for a category where a text is flagged and none is named."""

_ANSWER_BYTES = 256 * 1024


class OpenAIModeration:
    """A `Moderator` for one OpenAI key, or an endpoint at `base_url` (`https://…/v1`) that has the same.

    `http_client` stays the caller's to close.
    """

    name = "openai"

    def __init__(self, api_key: str, base_url: str, http_client: httpx2.AsyncClient, *, clock: Clock) -> None:
        self._wire = Wire(self.name, api_key, base_url, http_client, clock)

    async def flags(self, text: str, *, timeout_s: float) -> Collection[str]:
        """Return the categories a text is flagged for; see `Moderator.flags`."""
        content = {"model": MODEL, "input": encodable(text)}
        request = self._wire.request("POST", "moderations", timeout_s, json=content)
        answer = await self._wire.call(request, timeout_s=timeout_s, max_bytes=_ANSWER_BYTES)
        body = await self._wire.json(answer)
        if not 200 <= answer.status < 300:
            raise self._refused(answer, body)
        results = body.get("results")
        if not isinstance(results, list) or not results:
            raise self._unreadable()
        return frozenset(category for result in results for category in self._flagged(result))

    def _flagged(self, result: Any) -> list[str]:
        if not isinstance(result, dict) or not isinstance(result.get("flagged"), bool):
            raise self._unreadable()
        if not result["flagged"]:
            return []
        categories = result.get("categories")
        if not isinstance(categories, dict):
            raise self._unreadable()
        # Some categories may be null: the model has not looked for them.
        return [name for name, flagged in categories.items() if flagged is True] or [UNNAMED]

    def _refused(self, answer: Answer, body: dict[str, Any]) -> Exception:
        error = body.get("error")
        fields = error if isinstance(error, dict) else {"message": str(error)}
        code, kind, said = (fields.get(name) for name in ("code", "type", "message"))
        return self._wire.error(kind_of(code, kind, answer.status), f"{code or kind}: {said}", answer)

    def _unreadable(self) -> Exception:
        return self._wire.error(ProviderBadAnswer, "the answer holds no moderation result")
