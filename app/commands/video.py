"""`/비디오`: a description, maybe the picture to begin with, and the video, in steps of which one costs money.

`submitting` is recorded before the create call and `submitted` with the task id after it. Found in `submitting` again
after a crash, nobody knows whether the task was made and paid for: it is never submitted a second time on its own.
A submitted task is polled to its end by the key set that made it, so its job is pinned to this instance.

Stopped before the create call, it cost nothing. Stopped during that call, its answer is waited for, so that the user
hears whether it was paid for; stopped after it, it was.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from app.balancing.keyset import MINIMAX, concerns_key
from app.commands.attachments import FIRST_FRAME, FIRST_FRAME_OPTION, picture, picture_fault
from app.commands.base import PROGRESS_MARK, Answer, JobCommand, JobContext
from app.commands.buttons import answer_rows
from app.commands.definition import attachment, option, slash
from app.commands.formatting import duration, quote
from app.commands.options import private_option, private_wanted, text_fault
from app.discord.models import Interaction
from app.discord.replies import Attachment, Message
from app.discord.wire import OptionType
from app.errors import (
    ProviderBadAnswer,
    ProviderError,
    ProviderNotReached,
    ProviderTimeout,
    ProviderUnavailable,
    VideoTaskFailed,
    VideoUnknown,
)
from app.providers.base import VideoFile, VideoRequest, VideoStage
from app.texts import Text
from app.userdata.usage import Usage

DESCRIPTION_OPTION = "설명"
LONGEST_DESCRIPTION = 2000

CREATE_TIMEOUT_S = 60.0
POLL_TIMEOUT_S = 20.0
DOWNLOAD_TIMEOUT_S = 120.0
LARGEST_ATTACHED = 25 * 1024 * 1024
"""A larger video is linked even where Discord would take it: answers are kept in the store until delivered."""

TIME_TO_DELIVER_S = 30.0
"""Polling ends this long before the deadline, to say so in time."""

SHORTEST_S = CREATE_TIMEOUT_S + TIME_TO_DELIVER_S
"""With less time left nothing is created: it could not be delivered, and the create call could be cut off unheard."""

LAST_WORD_S = 5.0
"""A download ends this long before the deadline, so that the link can still be given instead."""

STOPPED = "Stopped"
"""Stands for an error's class name where the user has ended the wait."""

_EMPTY = Text(
    ko="설명이 비어 있어 비용 없이 거절했어요. 어떤 영상을 만들지 설명해 주세요.",
    en="There was no description, so this cost nothing. Please describe the video.",
)
_TOO_LONG = Text(
    ko="설명이 너무 길어 비용 없이 거절했어요. {limit:,}자까지로 줄여 주세요.",
    en="That description is too long, so this cost nothing. Please shorten it to {limit:,} characters.",
).format(limit=LONGEST_DESCRIPTION)
_SUBMITTING = Text(ko=PROGRESS_MARK + " 영상을 요청하고 있어요…", en=PROGRESS_MARK + " Requesting your video…")
_WORKING = Text(
    ko=PROGRESS_MARK + " 영상을 만들고 있어요 · {stage} · {elapsed}",
    en=PROGRESS_MARK + " Making your video · {stage} · {elapsed}",
)
_DOWNLOADING = Text(
    ko=PROGRESS_MARK + " 완성! 영상을 가져오고 있어요…", en=PROGRESS_MARK + " Done! Fetching your video…"
)
_STAGES = {
    VideoStage.PREPARING: Text(ko="준비 중 (1/3)", en="preparing (1/3)"),
    VideoStage.QUEUED: Text(ko="순서를 기다리는 중 (2/3)", en="queued at the provider (2/3)"),
    VideoStage.PROCESSING: Text(ko="생성 중 (3/3)", en="generating (3/3)"),
    VideoStage.SUCCEEDED: Text(ko="완성", en="done"),
}
_LINK = Text(
    ko="🎬 MiniMax\n{prompt}\n영상을 여기에 첨부할 수 없어 링크로 드려요 (약 1시간 동안 유효): {url}",
    en="🎬 MiniMax\n{prompt}\nThe video can't be attached here; this link works for about an hour: {url}",
)
_STOPPED = Text(
    ko="⏹ 기다리기를 멈췄어요. 영상은 이미 요청한 뒤여서 비용이 들었어요.\n{prompt}",
    en="⏹ Stopped waiting. The video had been requested already, so it was paid for.\n{prompt}",
)


def check(interaction: Interaction) -> Text | None:
    """A description has to be there and short enough, and a first frame one that can be taken."""
    wrong = text_fault(interaction, DESCRIPTION_OPTION, LONGEST_DESCRIPTION, empty=_EMPTY, too_long=_TOO_LONG)
    return wrong or picture_fault(interaction, FIRST_FRAME_OPTION, FIRST_FRAME)


async def run(context: JobContext) -> Answer:
    """Create the task once, follow it to its end, deliver the file or its link."""
    facts = context.job.checkpoint
    if facts.get("step") == "submitting":
        raise VideoUnknown("the process died between the create call and its answer", provider=MINIMAX)
    task_id = str(facts["task_id"]) if facts.get("step") == "submitted" else await _create(context)
    if context.stopping():
        return _answer(context, Message(_STOPPED.format(prompt=_prompt(context)).to(context.locale)), STOPPED)
    try:
        return await _deliver(context, task_id)
    except asyncio.CancelledError:
        if not context.stopping():
            raise
    return _answer(context, Message(_STOPPED.format(prompt=_prompt(context)).to(context.locale)), STOPPED)


async def _deliver(context: JobContext, task_id: str) -> Answer:
    """Follow the task to its end and fetch what it made."""
    file = await _follow(context, task_id)
    context.progress.show(_DOWNLOADING)
    limit = min(context.interaction.attachment_size_limit, LARGEST_ATTACHED)
    timeout = min(DOWNLOAD_TIMEOUT_S, max(1.0, context.seconds_left() - LAST_WORD_S))
    data = await _fetch(context, file, limit, timeout)
    if data is None:
        return _answer(context, Message(_LINK.format(prompt=_prompt(context), url=file.url).to(context.locale)))
    attached = (Attachment("video.mp4", data, "video/mp4"),)
    return _answer(context, Message(f"🎬 MiniMax\n{_prompt(context)}", attachments=attached))


def _answer(context: JobContext, message: Message, error: str = "") -> Answer:
    rows = answer_rows(context.job.id, context.interaction.user_id, context.locale)
    return Answer(replace(message, components=rows), MINIMAX, usage=Usage(videos=1), error=error)


def _prompt(context: JobContext) -> str:
    return quote(context.interaction.options[DESCRIPTION_OPTION])


async def _create(context: JobContext) -> str:
    """Record, call, record: in this order, and the call only ever once."""
    context.progress.show(_SUBMITTING)
    request = await _request(context)
    if context.seconds_left() < SHORTEST_S:
        raise ProviderTimeout("too little time is left to make a video", provider=MINIMAX)
    async with context.use(MINIMAX):
        await context.checkpoint({"step": "submitting"}, False)
        try:
            task_id = await _heard_out(context, request)
        except ProviderError as error:
            if _may_have_been_made(error):
                raise VideoUnknown(f"the create call ended without an answer: {error}", provider=MINIMAX) from error
            await context.checkpoint({}, False)
            raise
    await context.checkpoint({"step": "submitted", "task_id": task_id}, True)
    return task_id


async def _request(context: JobContext) -> VideoRequest:
    first = await picture(context, FIRST_FRAME_OPTION, FIRST_FRAME)
    return VideoRequest(context.interaction.options[DESCRIPTION_OPTION], await first.data_url() if first else "")


async def _heard_out(context: JobContext, request: VideoRequest) -> str:
    """Make the create call; a user who stops it meanwhile does not end it, for only its answer says what it cost."""
    call = asyncio.ensure_future(context.services.video.create(request, timeout_s=CREATE_TIMEOUT_S))
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        if context.stopping():
            return await call
        raise
    finally:
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)


def _may_have_been_made(error: ProviderError) -> bool:
    """A provider that said no made nothing; one that said nothing clear may have."""
    unclear = isinstance(error, ProviderTimeout | ProviderUnavailable | ProviderBadAnswer)
    return unclear and not isinstance(error, ProviderNotReached)


async def _follow(context: JobContext, task_id: str) -> VideoFile:
    """Poll until the task is done. A poll that fails says nothing of the task, so only the deadline ends this."""
    services = context.services
    file_id = None
    while file_id is None:
        if context.seconds_left() < TIME_TO_DELIVER_S:
            raise ProviderTimeout("the video was not finished before the token's end", provider=MINIMAX)
        try:
            status = await services.video.poll(task_id, timeout_s=POLL_TIMEOUT_S)
        except ProviderError as error:
            _raise_if_final(error)
        else:
            file_id = status.file_id if status.stage is VideoStage.SUCCEEDED else None
            elapsed = duration(context.clock.now() - context.job.received_at, context.locale)
            context.progress.show(_WORKING.format(stage=_STAGES[status.stage].to(context.locale), elapsed=elapsed))
        if file_id is None:
            await context.clock.sleep(services.video_poll_s)
    return await _retrieve(context, file_id)


def _raise_if_final(error: ProviderError) -> None:
    """Raise what no further call can change. No other instance's key can go on with this task, so none is asked."""
    if concerns_key(error) and not error.retryable:
        raise VideoTaskFailed(f"the key that made the task is not accepted any more: {error}", provider=MINIMAX)
    if not error.retryable:
        raise error


async def _retrieve(context: JobContext, file_id: str) -> VideoFile:
    while True:
        try:
            return await context.services.video.retrieve(file_id, timeout_s=POLL_TIMEOUT_S)
        except ProviderError as error:
            _raise_if_final(error)
            if context.seconds_left() < TIME_TO_DELIVER_S:
                raise ProviderTimeout(
                    "the video could not be fetched before the token's end", provider=MINIMAX
                ) from error
        await context.clock.sleep(context.services.video_poll_s)


async def _fetch(context: JobContext, file: VideoFile, limit: int, timeout: float) -> bytes | None:
    """Return the video's bytes, or None where a link has to do: too large, or the download failed."""
    if file.size is not None and file.size > limit:
        return None
    try:
        return await context.services.video.download(file.url, max_bytes=limit, timeout_s=timeout)
    except ProviderError:
        return None


COMMAND = JobCommand(
    slash(
        Text(ko="비디오", en="video"),
        Text(
            ko="설명한 대로 짧은 영상을 만들어요 (몇 분 걸려요)",
            en="Makes a short video from your description (takes minutes)",
        ),
        [
            option(
                OptionType.STRING,
                Text(ko=DESCRIPTION_OPTION, en="description"),
                Text(ko="어떤 영상을 원하나요?", en="What should the video show?"),
                required=True,
                min_length=1,
                max_length=LONGEST_DESCRIPTION,
            ),
            attachment(
                Text(ko=FIRST_FRAME_OPTION, en="first-frame"),
                Text(ko="영상이 시작될 그림", en="The picture the video begins with"),
            ),
            private_option(),
        ],
    ),
    kind="video",
    providers=(MINIMAX,),
    check=check,
    run=run,
    private=private_wanted,
)
