"""Every provider call behind one face, so that one contract can be put to all of them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx2

from app.providers.base import ChatRequest, ImageRequest, RateHints, VideoRequest
from app.providers.minimax import MiniMaxImage, MiniMaxVideo
from app.providers.openai_chat import OpenAIChat
from app.providers.openai_moderation import OpenAIModeration
from app.providers.stability import StabilityImage
from tests.kit.clock import FakeClock

KEY = "sk-test-0aKey9That8Nobody7May6See5"
LISTENER = Callable[[RateHints], None]
NOW = 1_760_000_000.0
PROMPT = "a fox\ud83d in the snow"
"""With a lone surrogate, as Discord's JSON may hold one and no request body can."""


def png_head(width: int, height: int) -> bytes:
    """Return as much of a PNG as it takes to know its size."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


def chat(client: httpx2.AsyncClient, url: str, key: str = KEY, on_rate: LISTENER | None = None) -> OpenAIChat:
    """Return a chat provider that talks to `url`."""
    return OpenAIChat(key, url, "gpt-test", client, max_output_tokens=500, clock=FakeClock(NOW), on_rate=on_rate)


async def ask(provider: OpenAIChat, timeout_s: float = 5.0, prompt: str = "hello", **more: Any) -> list[Any]:
    """Return all chunks of an answer; `more` are further fields of the request."""
    stream = provider.stream(ChatRequest(prompt, "be brief", "user-hash", **more), timeout_s=timeout_s)
    async with aclosing(stream) as chunks:
        return [chunk async for chunk in chunks]


@dataclass(frozen=True)
class Subject:
    """One call of one provider: `call(client, url, key, timeout_s)`."""

    name: str
    provider: str
    call: Callable[[httpx2.AsyncClient, str, str, float], Awaitable[Any]]


async def _chat(client: httpx2.AsyncClient, url: str, key: str, timeout_s: float) -> Any:
    provider = chat(client, url, key)
    await provider.warm()
    return await ask(provider, timeout_s, PROMPT)


async def _moderate(client: httpx2.AsyncClient, url: str, key: str, timeout_s: float) -> Any:
    return await OpenAIModeration(key, url, client, clock=FakeClock(NOW)).flags(PROMPT, timeout_s=timeout_s)


async def _stability(client: httpx2.AsyncClient, url: str, key: str, timeout_s: float) -> Any:
    provider = StabilityImage(key, url, client, clock=FakeClock(NOW))
    return await provider.generate(ImageRequest(PROMPT), timeout_s=timeout_s)


async def _redraw(client: httpx2.AsyncClient, url: str, key: str, timeout_s: float) -> Any:
    provider = StabilityImage(key, url, client, clock=FakeClock(NOW))
    return await provider.generate(ImageRequest(PROMPT, source=png_head(640, 480)), timeout_s=timeout_s)


async def _upscale(client: httpx2.AsyncClient, url: str, key: str, timeout_s: float) -> Any:
    provider = StabilityImage(key, url, client, clock=FakeClock(NOW))
    return await provider.upscale(png_head(1536, 1536), PROMPT, timeout_s=timeout_s)


async def _image(client: httpx2.AsyncClient, url: str, key: str, timeout_s: float) -> Any:
    provider = MiniMaxImage(key, url, client, clock=FakeClock(NOW))
    return await provider.generate(ImageRequest(PROMPT), timeout_s=timeout_s)


def _video(client: httpx2.AsyncClient, url: str, key: str) -> MiniMaxVideo:
    return MiniMaxVideo(key, url, client, clock=FakeClock(NOW))


async def _create(client: httpx2.AsyncClient, url: str, key: str, timeout_s: float) -> Any:
    return await _video(client, url, key).create(VideoRequest(PROMPT), timeout_s=timeout_s)


async def _create_from_frame(client: httpx2.AsyncClient, url: str, key: str, timeout_s: float) -> Any:
    request = VideoRequest(PROMPT, "data:image/png;base64,AAAA")
    return await _video(client, url, key).create(request, timeout_s=timeout_s)


async def _poll(client: httpx2.AsyncClient, url: str, key: str, timeout_s: float) -> Any:
    return await _video(client, url, key).poll("106916112212032", timeout_s=timeout_s)


async def _retrieve(client: httpx2.AsyncClient, url: str, key: str, timeout_s: float) -> Any:
    return await _video(client, url, key).retrieve("176844028768320", timeout_s=timeout_s)


async def _download(client: httpx2.AsyncClient, url: str, key: str, timeout_s: float) -> Any:
    return await _video(client, url, key).download(f"{url}/v.mp4", max_bytes=1_000_000, timeout_s=timeout_s)


API_SUBJECTS = [
    Subject("openai-chat", "openai", _chat),
    Subject("openai-moderation", "openai", _moderate),
    Subject("stability-image", "stability", _stability),
    Subject("stability-redraw-image", "stability", _redraw),
    Subject("stability-upscale-image", "stability", _upscale),
    Subject("minimax-image", "minimax", _image),
    Subject("minimax-video-create", "minimax", _create),
    Subject("minimax-video-create-from-frame", "minimax", _create_from_frame),
    Subject("minimax-video-poll", "minimax", _poll),
    Subject("minimax-video-retrieve", "minimax", _retrieve),
]
SUBJECTS = [*API_SUBJECTS, Subject("minimax-video-download", "minimax", _download)]
