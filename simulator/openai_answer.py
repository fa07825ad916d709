"""One chat completion: its text, its pace and its frames on the wire."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from simulator.chat_text import compose, directives, text_of, tokens
from simulator.openai_errors import error_frame
from simulator.provider_call import ProviderCall
from simulator.wire import abort
from simulator.world import World


class Answer:
    """One completion: its text, its pace and its frames."""

    def __init__(self, world: World, call: ProviderCall, body: dict[str, Any], prompt: str) -> None:
        self.world = world
        self.call = call
        self.body = body
        self.id = f"chatcmpl-{call.number}"
        self.created = int(time.time())
        self.speed = call.key.speed
        self.cut = False
        wishes = directives(prompt)
        text = compose(body["messages"])
        # A real model never says the same thing twice; with this a second run of one job shows.
        pieces = tokens(f"{text} ({self.id})" if "vary" in wishes else text)
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or len(pieces)
        self.pieces = pieces[:limit]
        self.finish = "length" if len(pieces) > limit else "stop"
        if call.suffers("filter") or "filter" in wishes:
            self.pieces, self.finish = self.pieces[:3], "content_filter"
            call.outcome = "content_filter"
        if body.get("stream") and (at := wishes.get("cut", "")).isdigit():
            self._cut_at(int(at))
        self.prompt_tokens = sum(len(tokens(text_of(m.get("content")))) + 4 for m in body["messages"])
        self.seconds = float(wishes["seconds"]) if wishes.get("seconds", "").replace(".", "", 1).isdigit() else None

    def _cut_at(self, characters: int) -> None:
        """Let the answer break off after so many characters, if it is that long."""
        text = "".join(self.pieces)
        if characters < len(text):
            self.pieces, self.cut = tokens(text[:characters]), True

    def usage(self) -> dict[str, Any]:
        """Return the token counts."""
        done = len(self.pieces)
        return {
            "prompt_tokens": self.prompt_tokens, "completion_tokens": done, "total_tokens": self.prompt_tokens + done,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0,
                                          "rejected_prediction_tokens": 0},
        }  # fmt: skip

    async def whole(self) -> dict[str, Any]:
        """Return the completion in one piece, after the time it takes."""
        await self.world.sleep(self._first_wait() + self._pace() * len(self.pieces))
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(self.pieces),
            "refusal": None,
            "annotations": [],
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish}
        return {"id": self.id, "object": "chat.completion", "created": self.created, "model": self.body["model"],
                "choices": [choice], "usage": self.usage(), "system_fingerprint": "fp_simulator",
                "service_tier": "default"}  # fmt: skip

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the frames: role, content, finish, usage if asked for, `[DONE]`."""
        options = self.body.get("stream_options") or {}
        await self.world.sleep(self._first_wait())
        if self.call.suffers("error_frame"):
            yield _frame(error_frame(self.call.fault.code if self.call.fault else None))
            self.call.outcome = "error_frame"
            return
        yield self._chunk({"role": "assistant", "content": "", "refusal": None}, None)
        async for piece in self._paced():
            yield self._chunk({"content": piece}, None)
        if self.cut or self.call.suffers("cut", "done_then_drop"):
            self.call.outcome = f"fault_{self.call.fault.kind}" if self.call.fault else "cut"
            await asyncio.sleep(0.02)  # what was written has to leave before the reset
            abort(self.call.request.scope)
            return
        if self.call.suffers("no_finish"):
            self.call.outcome = "no_finish"
            return
        yield self._chunk({}, self.finish)
        if options.get("include_usage"):
            last = {**self._base(), "choices": [], "usage": self.usage()}
            yield _frame(last)
        yield b"data: [DONE]\n\n"

    async def _paced(self) -> AsyncIterator[str]:
        """Yield pieces at the key's speed, several at once where the pace is finer than a timer can be."""
        pace = self._pace()
        group = max(1, round(0.02 / pace)) if pace > 0 else len(self.pieces)
        shown = self.pieces
        if self.call.suffers("cut"):
            shown = shown[: len(shown) // 2]
        elif self.call.suffers("done_then_drop"):
            shown = []
            await self.world.sleep(pace * len(self.pieces))
        for at in range(0, len(shown), group):
            if at == 0:
                # How soon a user sees the first word is measured from here.
                self.world.ledger.add("provider_first", provider="openai", call=self.call.number)
            yield "".join(shown[at : at + group])
            await self.world.sleep(pace * group)
            if self.world.closing.is_set():
                return

    def _first_wait(self) -> float:
        return 0.0 if self.seconds is not None else self.world.spread(self.speed.ttft_s, self.speed)

    def _pace(self) -> float:
        if self.call.suffers("trickle") and self.call.fault is not None:
            return self.call.fault.seconds / max(1, len(self.pieces))
        if self.seconds is not None:
            return self.seconds / max(1, len(self.pieces))
        return self.world.spread(1 / self.speed.tokens_per_s, self.speed)

    def _base(self) -> dict[str, Any]:
        return {"id": self.id, "object": "chat.completion.chunk", "created": self.created,
                "model": self.body["model"], "service_tier": "default",
                "system_fingerprint": "fp_simulator"}  # fmt: skip

    def _chunk(self, delta: dict[str, Any], finish: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**self._base(), "choices": [choice]}
        if (self.body.get("stream_options") or {}).get("include_usage"):
            chunk["usage"] = None
        if (self.body.get("stream_options") or {}).get("include_obfuscation", True) and delta.get("content"):
            chunk["obfuscation"] = "x" * (1 + len(delta["content"]) % 7)
        return _frame(chunk)


def _frame(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n\n"
