"""Chat over OpenAI's Chat Completions API, streamed, on the official SDK.

The SDK's own retries are off: it would retry "out of credit" like any 429, and which key is tried when is the
budget's business. Importing the SDK takes most of a second and 25 MB, so it is loaded when it is first needed, off the
event loop; `warm` lets an instance do that in the background after it has started.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import httpx2

from app.clock import Clock
from app.errors import ProviderBadAnswer, ProviderError, ProviderRateLimited
from app.providers.base import ChatChunk, ChatRequest, RateListener
from app.providers.bounded import BoundedTransport
from app.providers.hints import rate_hints
from app.providers.openai_errors import kind_of
from app.providers.openai_frames import Transcript
from app.providers.wire import Answer, Wire, encodable, timeouts

if TYPE_CHECKING:
    from openai import APIError, AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionContentPartParam, ChatCompletionMessageParam

    _Stream = AsyncStream[object]

T = TypeVar("T")
_USAGE_GRACE_S = 2.0
_END_GRACE_S = 0.1


class OpenAIChat:
    """A `ChatProvider` for one OpenAI key, or any compatible endpoint at `base_url` (`https://…/v1`).

    `http_client` stays the caller's to close. `max_output_tokens` bounds reasoning and visible tokens together;
    `stretch` is `BoundedTransport`'s.
    """

    name = "openai"

    def __init__(
        self,
        api_key: str,
        base_url: str,
        model: str,
        http_client: httpx2.AsyncClient,
        *,
        max_output_tokens: int,
        clock: Clock,
        on_rate: RateListener | None = None,
        stretch: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self._wire = Wire(self.name, api_key, base_url, http_client, clock, on_rate)
        self._model = model
        self._max_output_tokens = max_output_tokens
        self._stretch = stretch
        self._client: AsyncOpenAI | None = None

    async def warm(self) -> None:
        """Load the SDK, in a thread, if that has not happened yet; calling it is never required."""
        self._wire.check_key()
        if self._client is None:
            with self._wire.own_errors():
                self._client = await asyncio.to_thread(self._load)

    def _load(self) -> AsyncOpenAI:
        with _left_out("aiohttp"):  # where another program has installed it, the SDK would load it for nothing: 8 MB
            from openai import AsyncOpenAI

        wire = self._wire
        client = AsyncOpenAI(
            api_key=wire.api_key,
            base_url=wire.base_url,
            max_retries=0,
            # Stated outright, so that no variable of the environment can put another key in its place.
            default_headers={"authorization": f"Bearer {wire.api_key}"},
            http_client=httpx2.AsyncClient(
                transport=BoundedTransport(wire.http_client, self._stretch), trust_env=False
            ),
        )
        client.organization = client.project = None
        return client

    async def stream(self, request: ChatRequest, *, timeout_s: float) -> AsyncGenerator[ChatChunk, None]:
        """Yield the answer as it grows; see `ChatProvider.stream`.

        The deadline is armed around each wait instead of around the whole loop: while the caller works on a chunk,
        nothing of ours may cancel it.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        stream = await self._step(lambda: self._open(request, timeout_s), deadline, timeout_s)
        transcript = Transcript()
        try:
            yield ChatChunk()
            while transcript.finish is None:
                frame = await self._step(lambda: anext(stream, None), deadline, timeout_s)
                if frame is None:
                    break
                if text := transcript.take(frame):
                    yield ChatChunk(text)
            await self._read_usage(stream, transcript, min(deadline, loop.time() + _USAGE_GRACE_S))
            if transcript.finish and not transcript.overflowed:
                await self._read_out(stream, min(deadline, loop.time() + _END_GRACE_S))
            yield transcript.last()
        finally:
            await stream.close()

    async def _read_usage(self, stream: _Stream, transcript: Transcript, until: float) -> None:
        """Read on for the token counts, which come after the finish; the answer is whole without them."""
        with suppress(ProviderError):
            while transcript.finish and transcript.prompt_tokens is None and not transcript.overflowed:
                frame = await self._step(lambda: anext(stream, None), until, 0)
                if frame is None:
                    return
                transcript.take(frame)

    async def _read_out(self, stream: _Stream, until: float) -> None:
        """Read the mark of the end, which comes with the last frame: only a connection that was read out is used again.

        What else may come is nobody's any more.
        """
        with suppress(ProviderError):
            while await self._step(lambda: anext(stream, None), until, 0) is not None:
                pass

    async def _open(self, request: ChatRequest, timeout_s: float) -> _Stream:
        await self.warm()
        assert self._client is not None
        from openai import AsyncStream

        stream = await self._client.post(
            "/chat/completions",
            body={
                "model": request.model or self._model,
                "messages": _messages(request),
                "stream": True,
                "stream_options": {"include_usage": True},
                "max_completion_tokens": self._max_output_tokens,
                **({"safety_identifier": request.user_ref} if request.user_ref else {}),
            },
            options={"timeout": timeouts(timeout_s)},
            # Frames come as plain JSON: see app/providers/openai_frames.py.
            cast_to=object,
            stream=True,
            stream_cls=AsyncStream[object],
        )
        self._wire.tell_rate(stream.response.headers)
        return stream

    async def _step(self, step: Callable[[], Awaitable[T]], until: float, timeout_s: float) -> T:
        """Await one step of the SDK until the event loop's time is `until`; only our own errors come out."""
        with self._wire.own_errors(timeout_s):
            if asyncio.get_running_loop().time() >= until:
                # What already lies in a buffer is read without a pause in which the timeout below could strike.
                raise TimeoutError
            try:
                async with asyncio.timeout_at(until):
                    return await step()
            except (ProviderError, TimeoutError):
                raise
            except Exception as error:
                raise self._translated(error) from None

    def _translated(self, error: Exception) -> Exception:
        """Return our error for the SDK's, or the httpx2 error that the SDK has wrapped."""
        import openai

        if isinstance(error, openai.APIConnectionError) and isinstance(error.__cause__, httpx2.RequestError):
            return error.__cause__
        if isinstance(error, openai.APIStatusError):
            self._wire.tell_rate(error.response.headers)
            hints = rate_hints(error.response.headers)
            kind = kind_of(error.code, error.type, error.status_code)
            answer = Answer(error.status_code, error.response.headers, b"")
            wait_s = hints.reset_s if kind is ProviderRateLimited and hints.remaining == 0 else None
            return self._wire.error(kind, _said(error), answer, wait_s=wait_s)
        if isinstance(error, openai.APIError):
            in_stream = Answer(httpx2.codes.OK, httpx2.Headers(), b"")
            return self._wire.error(kind_of(error.code, error.type, None), _said(error), in_stream)
        if isinstance(error, httpx2.RequestError):
            return error
        # The SDK lets json.JSONDecodeError, UnicodeDecodeError and worse through when a frame is not what it expects.
        return self._wire.error(ProviderBadAnswer, f"the stream can't be read: {type(error).__name__}")


@contextmanager
def _left_out(package: str) -> Iterator[None]:
    """Let an optional package look absent while another is imported, unless it is loaded anyway."""
    loaded = package in sys.modules
    if not loaded:
        sys.modules[package] = None  # type: ignore[assignment] # what Python itself takes for "can't be imported"
    try:
        yield
    finally:
        if not loaded:
            del sys.modules[package]


def _messages(request: ChatRequest) -> list[ChatCompletionMessageParam]:
    """Return the conversation in the API's shape; pictures are parts of the last message."""
    messages: list[ChatCompletionMessageParam] = []
    if request.system_prompt:
        messages.append({"role": "system", "content": encodable(request.system_prompt)})
    for question, answer in request.history:
        messages.append({"role": "user", "content": encodable(question)})
        messages.append({"role": "assistant", "content": encodable(answer)})
    prompt = encodable(request.prompt)
    if not request.images:
        return [*messages, {"role": "user", "content": prompt}]
    parts: list[ChatCompletionContentPartParam] = [{"type": "text", "text": prompt}]
    parts += [{"type": "image_url", "image_url": {"url": url}} for url in request.images]
    return [*messages, {"role": "user", "content": parts}]


def _said(error: APIError) -> str:
    named = [str(word) for word in (error.code, error.type) if word]
    return ": ".join([*named, error.message or "no message"])
