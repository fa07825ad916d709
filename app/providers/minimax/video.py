"""Videos over MiniMax's V1 API: create a task, poll it, ask for the file's link, download it.

A task id is worth money and only the key that made it can poll it. Nothing here tries anything twice.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin

import httpx2

from app.clock import Clock
from app.errors import (
    ProviderBadAnswer,
    ProviderBadInput,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
    VideoTaskFailed,
)
from app.providers.base import RateListener, VideoFile, VideoRequest, VideoStage, VideoStatus
from app.providers.minimax.common import as_id, as_int, call, check, unreadable
from app.providers.wire import Answer, Wire, encodable, read_at_most, timeouts

PROMPT_CHARS = 2000
_REDIRECTS = 3
_STAGES = {
    "preparing": VideoStage.PREPARING,
    "queueing": VideoStage.QUEUED,
    "queued": VideoStage.QUEUED,
    "processing": VideoStage.PROCESSING,
    "success": VideoStage.SUCCEEDED,
}


class MiniMaxVideo:
    """A `VideoProvider` for one MiniMax key. `http_client` stays the caller's to close.

    `duration_s` and `resolution` must fit the model: MiniMax-Hailuo-2.3 makes 6 or 10 s at 768P, 6 s at 1080P.
    """

    name = "minimax"

    def __init__(
        self,
        api_key: str,
        base_url: str,
        http_client: httpx2.AsyncClient,
        *,
        clock: Clock,
        model: str = "MiniMax-Hailuo-2.3",
        duration_s: int = 6,
        resolution: str = "768P",
        on_rate: RateListener | None = None,
    ) -> None:
        self._wire = Wire(self.name, api_key, base_url, http_client, clock, on_rate)
        self._settings = {"model": model, "duration": duration_s, "resolution": resolution}

    async def create(self, request: VideoRequest, *, timeout_s: float) -> str:
        """Start a task and return its id; see `VideoProvider.create` for what an error says about money."""
        prompt = encodable(request.prompt)
        if not 1 <= len(prompt) <= PROMPT_CHARS:
            raise self._wire.error(ProviderBadInput, f"the prompt must have 1 to {PROMPT_CHARS} characters")
        wanted = {**self._settings, "prompt": prompt}
        if request.first_frame:
            wanted["first_frame_image"] = request.first_frame
        body, answer = await call(
            self._wire,
            "POST",
            "v1/video_generation",
            timeout_s=timeout_s,
            # A first frame may have 27 MB here, which takes long enough to be felt by the others on this event loop.
            content=await asyncio.to_thread(_encode, wanted),
            headers={"content-type": "application/json"},
        )
        check(self._wire, body, answer)
        task_id = as_id(body.get("task_id"))
        if task_id is None:
            raise unreadable(self._wire, answer, "task id")
        return task_id

    async def poll(self, task_id: str, *, timeout_s: float) -> VideoStatus:
        """Return where the task stands; see `VideoProvider.poll`."""
        body, answer = await call(
            self._wire,
            "GET",
            "v1/query/video_generation",
            timeout_s=timeout_s,
            params={"task_id": task_id},
        )
        # The documentation writes `Fail`, MiniMax's clients `Failed` and `Unknown`, its callbacks all in lower case.
        word = str(body.get("status", "")).lower()
        if word.startswith("fail") or word == "unknown":
            raise self._failed_task(word, body, answer)
        check(self._wire, body, answer)
        stage = _STAGES.get(word)
        if stage is None:
            raise unreadable(self._wire, answer, "known status")
        file_id = as_id(body.get("file_id"))
        if stage is VideoStage.SUCCEEDED and file_id is None:
            raise unreadable(self._wire, answer, "file id")
        return VideoStatus(stage, file_id if stage is VideoStage.SUCCEEDED else None)

    async def retrieve(self, file_id: str, *, timeout_s: float) -> VideoFile:
        """Return the link, which lives an hour, and the size in bytes if MiniMax says it."""
        body, answer = await call(
            self._wire,
            "GET",
            "v1/files/retrieve",
            timeout_s=timeout_s,
            params={"file_id": file_id},
        )
        check(self._wire, body, answer)
        file = body.get("file")
        url = file.get("download_url") if isinstance(file, dict) else None
        if not isinstance(file, dict) or not isinstance(url, str) or not url.startswith(("https://", "http://")):
            raise unreadable(self._wire, answer, "download link")
        size = as_int(file.get("bytes"))
        return VideoFile(url, size if size and size > 0 else None)

    async def download(self, url: str, *, max_bytes: int, timeout_s: float) -> bytes | None:
        """Return the file's bytes or None if there are more than `max_bytes`; the key is never sent to that host."""
        async with self._wire.deadline(timeout_s):
            source = ""
            for _ in range(_REDIRECTS + 1):
                async with self._wire.open(self._bare_get(source, url, timeout_s)) as response:
                    if response.has_redirect_location:
                        source, url = str(response.url), response.headers["location"]
                        continue
                    if not response.is_success:
                        raise self._no_file(response)
                    data = await read_at_most(response, max_bytes)
                if data == b"":
                    raise self._wire.error(ProviderBadAnswer, "the video file is empty")
                return data
        raise self._wire.error(ProviderBadAnswer, f"the video's link redirects more than {_REDIRECTS} times")

    def _failed_task(self, word: str, body: dict[str, Any], answer: Answer) -> ProviderError:
        """Whatever code stands beside a failed status: unless it is the content policy's, the task is just lost."""
        try:
            check(self._wire, body, answer)
        except ProviderRefused as refused:
            return refused
        except ProviderError as error:
            return self._wire.error(VideoTaskFailed, f"the task ended as {word}: {error}")
        return self._wire.error(VideoTaskFailed, f"the task ended as {word}", answer)

    def _bare_get(self, source: str, link: str, timeout_s: float) -> httpx2.Request:
        headers = {"accept-encoding": "identity"}
        with suppress(httpx2.InvalidURL, ValueError):
            url = urljoin(source, link)
            request = self._wire.http_client.build_request("GET", url, headers=headers, timeout=timeouts(timeout_s))
            if request.url.scheme in ("http", "https") and request.url.host:
                return request
        raise self._wire.error(ProviderBadAnswer, "the video's link is no web address")

    def _no_file(self, response: httpx2.Response) -> ProviderError:
        answer = Answer(response.status_code, response.headers, b"")
        gone = 400 <= response.status_code < 500 and response.status_code not in (408, 425, 429)
        kind = ProviderBadAnswer if gone else ProviderUnavailable
        return self._wire.error(kind, "the video's link is not served", answer)


def _encode(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
