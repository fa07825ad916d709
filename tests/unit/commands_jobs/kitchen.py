"""The real commands with providers that do what a test says, run by the real runner on a fake clock."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from app.balancing.budget import Allowance
from app.balancing.keyset import MINIMAX, OPENAI, STABILITY, KeySet, ManagedKey
from app.commands.base import Services
from app.commands.prices import Prices
from app.commands.registry import JOB_COMMANDS
from app.discord.models import DERIVED_FIELD
from app.discord.replies import Message
from app.errors import AttachmentUnavailable
from app.jobs.job import JobState, Outcome
from app.providers.base import (
    ChatChunk,
    ChatFinish,
    ChatRequest,
    GeneratedImage,
    ImageRequest,
    VideoFile,
    VideoRequest,
    VideoStage,
    VideoStatus,
)
from app.userdata.preferences import NO_PREFERENCES
from tests.kit.clock import FakeClock
from tests.unit.worker.bench_worker import Bench, payload
from tests.unit.worker.memory import MemoryCalls, MemoryConversations

Script = list[Any]
"""What each call does in turn, the last for ever: an exception is raised, a function is called, a value returned."""


async def play(script: Script) -> Any:
    """Do what comes next."""
    step = script.pop(0) if len(script) > 1 else script[0]
    if isinstance(step, Exception):
        raise step
    if callable(step):
        return await step()
    return step


def whole(text: str, finish: ChatFinish = ChatFinish.STOP) -> list[ChatChunk]:
    """Return an answer in pieces of some characters."""
    pieces = [ChatChunk(text[at : at + 50]) for at in range(0, len(text), 50)]
    return [*pieces, ChatChunk(finish=finish)]


class Chat:
    """A model; each call yields the next script's chunks, a list or an async iterator."""

    name = OPENAI

    def __init__(self, script: Script, clock: FakeClock) -> None:
        self.script = script
        self.clock = clock
        self.requests: list[ChatRequest] = []
        self.chunk_s = 0.0

    async def stream(self, request: ChatRequest, *, timeout_s: float) -> AsyncGenerator[ChatChunk, None]:
        self.requests.append(request)
        assert timeout_s > 0
        chunks = await play(self.script)
        if isinstance(chunks, list):
            for chunk in chunks:
                await self.clock.sleep(self.chunk_s)
                yield chunk
            return
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk


class Painter:
    """An image provider that draws from words only."""

    redraws = False

    def __init__(self, name: str, script: Script) -> None:
        self.name = name
        self.script = script
        self.requests: list[ImageRequest] = []

    async def generate(self, request: ImageRequest, *, timeout_s: float) -> GeneratedImage:
        self.requests.append(request)
        data: bytes = await play(self.script)
        return GeneratedImage(data, "image/png", self.name)


class Master(Painter):
    """An image provider that also draws from pictures, and makes them larger: `enlarged` are those it was given."""

    redraws = True

    def __init__(self, name: str, script: Script) -> None:
        super().__init__(name, script)
        self.upscale_script: Script = [b"large"]
        self.enlarged: list[tuple[bytes, str]] = []

    async def upscale(self, picture: bytes, prompt: str, *, timeout_s: float) -> GeneratedImage:
        self.enlarged.append((picture, prompt))
        data: bytes = await play(self.upscale_script)
        return GeneratedImage(data, "image/jpeg", self.name)


class Shelf:
    """What users attached, by address; an address that is not there can't be fetched."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.fetched: list[str] = []

    async def fetch(self, url: str, *, max_bytes: int, timeout_s: float) -> bytes:
        self.fetched.append(url)
        if url not in self.files or len(self.files[url]) > max_bytes:
            raise AttachmentUnavailable("not on the shelf, or too large")
        return self.files[url]


def asking(
    job_id: str,
    options: dict[str, Any],
    *,
    files: dict[str, dict[str, Any]] | None = None,
    derived: dict[str, Any] | None = None,
    size_limit: int = 0,
    **more: Any,
) -> bytes:
    """Return a command's payload; `files` describes what is attached, by id, and `derived` what a press made of it."""
    body = json.loads(payload(job_id, options, size_limit=size_limit))
    body["data"]["resolved"] = {"attachments": files or {}}
    return json.dumps(body | more | ({DERIVED_FIELD: derived} if derived else {})).encode()


class Studio:
    """The video provider; `created`, `polled` and `fetched` count."""

    name = MINIMAX

    def __init__(self) -> None:
        self.create_script: Script = ["task-1"]
        self.poll_script: Script = [VideoStatus(VideoStage.PROCESSING), VideoStatus(VideoStage.SUCCEEDED, "file-1")]
        self.retrieve_script: Script = [VideoFile("https://files.test/v.mp4", 5)]
        self.download_script: Script = [b"video"]
        self.created, self.polled, self.fetched = 0, [], 0  # type: int, list[str], int
        self.requests: list[VideoRequest] = []

    async def create(self, request: VideoRequest, *, timeout_s: float) -> str:
        self.created += 1
        self.requests.append(request)
        return str(await play(self.create_script))

    async def poll(self, task_id: str, *, timeout_s: float) -> VideoStatus:
        self.polled.append(task_id)
        status: VideoStatus = await play(self.poll_script)
        return status

    async def retrieve(self, file_id: str, *, timeout_s: float) -> VideoFile:
        file: VideoFile = await play(self.retrieve_script)
        return file

    async def download(self, url: str, *, max_bytes: int, timeout_s: float) -> bytes | None:
        self.fetched += 1
        assert 0 < timeout_s <= 120
        data: bytes | None = await play(self.download_script)
        return data


class Kitchen:
    """Runs one job at a time and shows what its user saw."""

    def __init__(self, **services_fields: Any) -> None:
        self.clock = FakeClock()
        self.chat = Chat([whole("an answer")], self.clock)
        self.stability, self.minimax = Master(STABILITY, [b"stable"]), Painter(MINIMAX, [b"mini"])
        self.shelf = Shelf()
        self.preferred = NO_PREFERENCES
        self.studio = Studio()
        self.conversations = MemoryConversations()
        names = (OPENAI, STABILITY, MINIMAX)
        self.keys = KeySet(ManagedKey(name, 1, self.clock, MemoryCalls(), Allowance()) for name in names)
        services = Services(
            chat=self.chat, images=(self.stability, self.minimax), video=self.studio, keys=self.keys,
            system_prompt="be brief", chat_timeout_s=180, image_timeout_s=120, video_poll_s=5,
            user_ref=lambda user_id: f"ref-{user_id}", conversations=self.conversations,
            files=self.shelf, prices=Prices(image=0.03, video=0.5), chosen=lambda user_id, guild_id: self.preferred,
        )  # fmt: skip
        self.bench = Bench(clock=self.clock, services=replace(services, **services_fields))
        self.bench.commands.update(JOB_COMMANDS)

    async def serve(
        self,
        kind: str,
        options: dict[str, Any],
        *,
        locale: str = "ko",
        size_limit: int = 0,
        job_id: str = "1",
        **more: Any,
    ) -> Message:
        """Run one new job to its end and return the last message; `more` are further fields of the payload."""
        body = json.loads(payload(job_id, options, locale=locale, size_limit=size_limit)) | more
        job = await self.bench.lease(job_id, kind, payload=json.dumps(body).encode())
        return await self.run(job)

    async def ask(self, kind: str, options: dict[str, Any], *, job_id: str = "1", **how: Any) -> Message:
        """Like `serve`, with what `asking` takes."""
        return await self.run(await self.bench.lease(job_id, kind, payload=asking(job_id, options, **how)))

    async def run(self, job: Any) -> Message:
        """Run a leased job to its end."""
        before = len(self.bench.discord.finals)
        await self.bench.runner.run(job)
        row = self.bench.store.rows[job.id]
        assert row.state is JobState.DONE, row
        (message,) = self.bench.discord.finals[before:]
        return message

    @property
    def outcome(self) -> tuple[Outcome, str]:
        """How the job ended: outcome, and the error's name."""
        finish = self.bench.store.rows["1"].finish
        assert finish is not None
        return finish.outcome, finish.error
