"""What a provider does for the rest of the product, and nothing of how.

Every method raises only `app.errors.ProviderError` and its kin; no vendor exception crosses this package.
A provider belongs to one key: the composition root makes one of each for the instance's key set.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class RateHints:
    """What an answer's `x-ratelimit-*-requests` headers said of the key; None is unknown, `reset_s` is in seconds."""

    limit: int | None = None
    remaining: int | None = None
    reset_s: float | None = None


RateListener = Callable[[RateHints], None]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question. `user_ref` is a keyed hash of the user id (OpenAI `safety_identifier`, at most 64 characters).

    `history` are the questions and answers before it, oldest first. `images` are `data:` URLs that belong to the
    question. `model` is another than the provider's own, if not None.
    """

    prompt: str
    system_prompt: str
    user_ref: str = ""
    history: tuple[tuple[str, str], ...] = ()
    images: tuple[str, ...] = ()
    model: str | None = None


class ChatFinish(StrEnum):
    """Why a model stopped: `STOP` is whole, `LENGTH` was cut at the token limit."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class ChatChunk:
    """A piece of a streamed answer; the last one carries `finish`, and token counts where the provider sent them."""

    text: str = ""
    finish: ChatFinish | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class ChatProvider(Protocol):
    """Answers a question piece by piece."""

    name: str

    def stream(self, request: ChatRequest, *, timeout_s: float) -> AsyncGenerator[ChatChunk, None]:
        """Yield the answer as it grows and end after the chunk with `finish`.

        A first chunk may come without text, as soon as the provider answers at all.
        `timeout_s` bounds the whole stream, first byte to last. A stream that ends without a finish reason raises
        `ProviderBadAnswer`; a withheld answer raises `ProviderRefused`. Who stops reading early closes the iterator
        (`contextlib.aclosing`), and with it the connection; so does a cancelled task.
        """


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One picture. `aspect_ratio` is like `16:9`; a provider that lacks it takes its nearest.

    `style` is one of Stability's presets, like `pixel-art`; a provider without presets gets it in words. The same
    `seed` (1 to 2**31 - 1) gives the same picture; None is any. With a `source` (PNG, JPEG or WebP) that is what is
    drawn anew, in its own ratio: a `strength` of 0 leaves it as it is, 1 leaves nothing of it.
    """

    prompt: str
    aspect_ratio: str = "1:1"
    style: str | None = None
    seed: int | None = None
    source: bytes | None = field(default=None, repr=False)
    strength: float = 0.65


@dataclass(frozen=True, slots=True)
class GeneratedImage:
    """A finished picture: its bytes, `image/png`, `image/jpeg` or `image/webp`, and who made it."""

    data: bytes
    media_type: str
    provider: str


class ImageProvider(Protocol):
    """Makes a picture in one call."""

    name: str
    redraws: bool
    """Whether it takes a request with a `source`; one that does not raises `ProviderBadInput` for it."""

    async def generate(self, request: ImageRequest, *, timeout_s: float) -> GeneratedImage:
        """Return the picture; `ProviderRefused` if the content policy blocked or blurred it."""


@runtime_checkable
class Upscaler(Protocol):
    """What an `ImageProvider` may be besides: one that makes a finished picture larger."""

    name: str

    async def upscale(self, picture: bytes, prompt: str, *, timeout_s: float) -> GeneratedImage:
        """Return the picture (PNG, JPEG or WebP), larger; `prompt` says what it shows.

        Raises `ProviderBadInput`, before anything is sent, for one that it can't make larger.
        """


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """One video from text. `first_frame` is a `data:` URL of the picture it begins with, or empty."""

    prompt: str
    first_frame: str = field(default="", repr=False)


class VideoStage(StrEnum):
    """Where a video task stands, in the provider's own order."""

    PREPARING = "preparing"
    QUEUED = "queued"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"


@dataclass(frozen=True, slots=True)
class VideoStatus:
    """A poll's answer; `file_id` is there once the stage is `SUCCEEDED`. Ids are strings."""

    stage: VideoStage
    file_id: str | None = None


@dataclass(frozen=True, slots=True)
class VideoFile:
    """Where a finished video lies: a link that lives about an hour, and its size in bytes where known."""

    url: str
    size: int | None


class Moderator(Protocol):
    """Says what is wrong with a text."""

    name: str

    async def flags(self, text: str, *, timeout_s: float) -> Collection[str]:
        """Return the categories a text is flagged for, by OpenAI's names (`sexual/minors`, `violence`); none: fine."""


class VideoProvider(Protocol):
    """Makes a video in steps; a task id is worth money and belongs to the key that made it."""

    name: str

    async def create(self, request: VideoRequest, *, timeout_s: float) -> str:
        """Start a task and return its id. The one step that costs money: never repeated on its own.

        Nothing was started if this raises `ProviderNotReached`, `ProviderRateLimited`, `ProviderQuotaExhausted`,
        `ProviderKeyRejected`, `ProviderRefused` or `ProviderBadInput`. After any other error it is unknown.
        """

    async def poll(self, task_id: str, *, timeout_s: float) -> VideoStatus:
        """Return the task's stage; a task that failed raises `ProviderRefused` or `VideoTaskFailed`.

        Any retryable error is about this poll only, and says nothing of the task.
        """

    async def retrieve(self, file_id: str, *, timeout_s: float) -> VideoFile:
        """Return the finished file's link and size."""

    async def download(self, url: str, *, max_bytes: int, timeout_s: float) -> bytes | None:
        """Return the file's bytes, or None as soon as it turns out larger than `max_bytes`.

        The link is no API call: a refusal here says nothing of the key, only that the link is no longer good.
        """
