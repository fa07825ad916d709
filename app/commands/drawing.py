"""Having pictures made: by whichever provider can, several at once, and larger."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from app.balancing.keyset import STABILITY, concerns_key
from app.commands.attempts import with_attempts
from app.commands.base import PROGRESS_MARK, JobContext
from app.errors import NoKeyAvailable, ProviderBadInput, ProviderError, ProviderRefused
from app.journal import facts
from app.providers.base import GeneratedImage, ImageProvider, ImageRequest, Upscaler
from app.texts import Text

_OTHER_PROVIDER = Text(
    ko=PROGRESS_MARK + " 다른 그림 서비스로 다시 그리고 있어요…", en=PROGRESS_MARK + " Drawing it with another service…"
)
_ONLY_ONE = Text(
    ko="그림을 바탕으로 다시 그리거나 크게 만드는 일은 Stability AI만 할 수 있는데, 지금은 쓸 수 없고 "
    "거절된 호출에는 비용이 들지 않아요. 잠시 뒤 다시 시도해 주세요.",
    en="Only Stability AI can draw from a picture or enlarge one, and it can't be used right now; a call it refuses "
    "costs nothing. Please try again in a while.",
)
_NOT_LARGER = Text(
    ko="이 그림은 이미 충분히 크거나 너무 길쭉해서 더 크게 만들 수 없어요. "
    "비용은 들지 않았으니 다른 그림을 골라 주세요.",
    en="This picture is too large already, or too long and narrow, to be made larger. This cost nothing; please choose "
    "another.",
)

Say = Callable[[Text], None]

log = structlog.get_logger("drawing")


async def draw(context: JobContext, request: ImageRequest, say: Say) -> GeneratedImage:
    """Try the providers in order. What a content policy refused is not carried to another provider."""
    able = [provider for provider in context.services.images if provider.redraws or request.source is None]
    failures: list[ProviderError] = []
    for provider in able:
        if failures:
            say(_OTHER_PROVIDER)
        try:
            return await with_attempts(context, partial(_draw, context, provider, request))
        except (ProviderRefused, ProviderBadInput):
            raise
        except ProviderError as error:
            failures.append(error)
    if len(able) < len(context.services.images):
        raise _irreplaceable(failures)
    raise _decisive(failures)


async def draw_each(
    context: JobContext, requests: Sequence[ImageRequest], tell: Callable[[int], None]
) -> list[GeneratedImage]:
    """Draw all at once, each with a budget of its own; return those that came about, in order, at least one.

    `tell` hears how many are done. If the user stops it, those that are done by then are returned. They are kept only
    with the whole answer: if this process dies first, the next run has them drawn, and paid for, again.
    """
    tasks = [asyncio.create_task(draw(context, request, _silent)) for request in requests]
    try:
        waiting = set(tasks)
        while waiting:
            tell(len(tasks) - len(waiting))
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        if not (context.stopping() and any(_drawn(task) for task in tasks)):
            raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return _those_that_came(context, tasks)


async def enlarge(context: JobContext, picture: bytes, prompt: str) -> GeneratedImage:
    """Have a picture made larger by a provider that can."""
    failures: list[ProviderError] = []
    for provider in context.services.images:
        if isinstance(provider, Upscaler):
            try:
                return await with_attempts(context, partial(_enlarge, context, provider, picture, prompt))
            except ProviderBadInput as error:
                error.sentence = _NOT_LARGER
                raise
            except ProviderRefused:
                raise
            except ProviderError as error:
                failures.append(error)
    raise _irreplaceable(failures)


def can_enlarge(context: JobContext) -> bool:
    """Whether any provider makes pictures larger."""
    return any(isinstance(provider, Upscaler) for provider in context.services.images)


def seeds(job_id: str, count: int) -> list[int]:
    """Return different seeds, the same in each run of the job."""
    digests = (hashlib.sha256(f"{job_id}:{n}".encode()).digest() for n in range(count))
    return [1 + int.from_bytes(digest[:8]) % (2**31 - 1) for digest in digests]


async def _draw(context: JobContext, provider: ImageProvider, request: ImageRequest) -> GeneratedImage:
    async with context.use(provider.name):
        return await provider.generate(request, timeout_s=_timeout(context))


async def _enlarge(context: JobContext, provider: Upscaler, picture: bytes, prompt: str) -> GeneratedImage:
    async with context.use(provider.name):
        return await provider.upscale(picture, prompt, timeout_s=_timeout(context))


def _timeout(context: JobContext) -> float:
    return min(context.services.image_timeout_s, context.seconds_left())


def _those_that_came(context: JobContext, tasks: Sequence[asyncio.Task[GeneratedImage]]) -> list[GeneratedImage]:
    """Return the pictures. What else went wrong is logged; if nothing went right, it is raised."""
    failed = [error for task in tasks if not task.cancelled() and (error := task.exception()) is not None]
    pictures = [task.result() for task in tasks if _drawn(task)]
    if pictures:
        for error in failed:
            log.warning("one of several pictures failed", **facts(context.job), error=type(error).__name__)
        return pictures
    unforeseen = [error for error in failed if not isinstance(error, ProviderError)]
    raise unforeseen[0] if unforeseen else _decisive([error for error in failed if isinstance(error, ProviderError)])


def _drawn(task: asyncio.Task[GeneratedImage]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _decisive(failures: Sequence[ProviderError]) -> ProviderError:
    """Return the failure that says how the job ends.

    A failure that concerns a key sends the job back to the queue, where this instance would lease it again at once
    for the provider whose key is well and which just failed: over and over, each time at a cost.
    """
    return next((failure for failure in failures if not concerns_key(failure)), failures[0])


def _irreplaceable(failures: Sequence[ProviderError]) -> ProviderError:
    """Return the failure of a job that only some of the providers can do at all."""
    error = _decisive(failures) if failures else NoKeyAvailable("no provider here can do this", provider=STABILITY)
    error.irreplaceable = True
    if concerns_key(error):
        error.sentence = _ONLY_ONE
    return error


def _silent(text: Text) -> None:
    """Say nothing."""
