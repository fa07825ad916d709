"""`MODERATION=on`: what somebody asks for is looked at before anything that costs.

* What is checked: every text the user wrote for this command, their own persona, and the message a message command was
  used on. Not the pictures and files they attach; providers look at those themselves.
* Who decides: the moderation's own flags; any flag refuses. The one exception is `sexual` (never `sexual/minors`) for
  pictures in channels that are age-restricted; Discord shows those to adults only. What the image provider then refuses
  is its own affair.
* When the moderation can't be asked, pictures and videos are not made: they cost most and what they show can't be taken
  back, so nothing is made unseen. Questions are answered: the model that answers was taught to decline by itself, and
  a chat that stops working whenever a second service fails would be the greater harm. The log tells.
* What must not go unseen goes to another instance if this one's key is known to be no good for chats either. A key that
  only may not ask the moderation (OpenAI's keys can be restricted so) is not held against it.
* A job that has begun what costs money was checked before; its next run does not ask again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator

import structlog

from app.balancing.keyset import OPENAI, concerns_key
from app.commands.base import Answer, JobContext
from app.commands.quoted import text_of
from app.errors import ModerationUnavailable, PromptFlagged, ProviderError
from app.journal import facts
from app.providers.base import Moderator
from app.redaction import excerpt
from app.texts import Text

CHECK_WITHIN_S = 5.0
TRIES = 2
TRY_AGAIN_AFTER_S = 0.5

CHAT, IMAGE = "chat", "image"
SEXUAL, MINORS = "sexual", "sexual/minors"

_OTHER = Text(ko="안전 기준에 맞지 않는 내용", en="content that is not allowed")
_WORDS = {
    MINORS: Text(ko="미성년자를 성적으로 다루는 내용", en="sexual content about minors"),
    "self-harm": Text(ko="자해에 관한 내용", en="self-harm"),
    SEXUAL: Text(ko="성적인 내용", en="sexual content"),
    "violence": Text(ko="폭력적인 내용", en="violence"),
    "hate": Text(ko="혐오 표현", en="hate"),
    "harassment": Text(ko="괴롭힘", en="harassment"),
    "illicit": Text(ko="불법 행위에 관한 내용", en="instructions for something illegal"),
}
"""Broad categories in plain words, the gravest first: `violence` stands for `violence/graphic` as well."""

_FLAGGED = Text(
    ko="운영자가 켜 둔 안전 검사에서 거절했어요: {category}. AI 서비스에 보내지 않았고 비용은 들지 않았어요. 내용을 "
    "바꿔 다시 시도해 주세요.",
    en="The safety check the operator has turned on refused this: {category}. It was not sent to be answered and cost "
    "nothing. Please change it and try again.",
)
_SUPPORT = Text(
    ko="\n혹시 지금 많이 힘들다면 혼자 견디지 마세요. 한국에서는 자살예방 상담전화 109가 24시간 열려 있어요.",
    en="\nIf you are going through a hard time, you don't have to go through it alone: a local crisis line is there "
    "for you (findahelpline.com; in Korea, call 109).",
)

log = structlog.get_logger("moderation")


async def moderated(run: Callable[[JobContext], Awaitable[Answer]], context: JobContext) -> Answer:
    """Run a command unless what it was asked is refused."""
    await check(context)
    return await run(context)


async def check(context: JobContext) -> None:
    """Raise `PromptFlagged` for what may not be asked, `ModerationUnavailable` for what may not go unchecked."""
    moderator = context.services.moderator
    text = "\n\n".join(_written(context))
    if moderator is None or not text or context.job.checkpoint:
        return
    try:
        flags = await _flags(moderator, text, context)
    except ProviderError as error:
        said = excerpt(f"{type(error).__name__}: {error}")
        log.warning("the moderation can't be asked", **facts(context.job), error=said)
        if context.job.kind == CHAT:
            return
        if concerns_key(error) and not context.services.keys[OPENAI].snapshot().usable:
            error.irreplaceable = True
            raise
        raise ModerationUnavailable(f"not checked: {said}", provider=error.provider) from error
    refused = {flag for flag in flags if not _let_through(flag, context)}
    if refused:
        named = ", ".join(sorted(refused))
        raise PromptFlagged(f"flagged by the moderation: {named}", _sentence(refused), provider=moderator.name)


async def _flags(moderator: Moderator, text: str, context: JobContext) -> Collection[str]:
    for _ in range(TRIES - 1):
        try:
            return await moderator.flags(text, timeout_s=CHECK_WITHIN_S)
        except ProviderError as error:
            if not error.retryable:
                raise
        await context.clock.sleep(TRY_AGAIN_AFTER_S)
    return await moderator.flags(text, timeout_s=CHECK_WITHIN_S)


def _written(context: JobContext) -> Iterator[str]:
    """What people wrote; choices are texts too, and do no harm."""
    interaction = context.interaction
    words = [value for value in interaction.options.values() if isinstance(value, str)]
    words += [text_of(interaction.target_message), context.preferences.persona or ""]
    yield from (word for word in words if word.strip())


def _let_through(flag: str, context: JobContext) -> bool:
    return flag == SEXUAL and context.job.kind == IMAGE and context.interaction.age_restricted


def _sentence(flags: Collection[str]) -> Text:
    """Name the gravest of the categories."""
    broad = {flag if flag == MINORS else flag.partition("/")[0] for flag in flags}
    gravest = next((name for name in _WORDS if name in broad), "")
    words = _WORDS.get(gravest, _OTHER)
    more = _SUPPORT if gravest == "self-harm" else Text("", "")
    return Text(_FLAGGED.ko.format(category=words.ko) + more.ko, _FLAGGED.en.format(category=words.en) + more.en)
