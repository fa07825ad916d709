"""`/이미지`: a description, and the picture."""

from __future__ import annotations

from functools import partial

from app.balancing.keyset import MINIMAX, STABILITY, concerns_key
from app.commands.attempts import with_attempts
from app.commands.base import PROGRESS_MARK, Answer, JobCommand, JobContext
from app.commands.definition import choice, option, slash
from app.commands.formatting import quote
from app.commands.options import text_fault
from app.discord.models import Interaction
from app.discord.replies import Attachment, Message
from app.discord.wire import OptionType
from app.errors import PictureTooLarge, ProviderBadInput, ProviderError, ProviderRefused
from app.providers.base import GeneratedImage, ImageProvider, ImageRequest
from app.texts import Text

LONGEST_DESCRIPTION = 1500
"""MiniMax takes 1,500 characters and Stability 10,000: what one takes, both have to."""

RATIOS = {
    "1:1": Text(ko="정사각형 1:1", en="Square 1:1"),
    "16:9": Text(ko="가로 16:9", en="Wide 16:9"),
    "9:16": Text(ko="세로 9:16", en="Tall 9:16"),
    "3:2": Text(ko="사진 가로 3:2", en="Photo 3:2"),
    "2:3": Text(ko="사진 세로 2:3", en="Portrait 2:3"),
    "21:9": Text(ko="파노라마 21:9", en="Panorama 21:9"),
}
DEFAULT_RATIO = "1:1"

STYLES = {
    "photographic": Text(ko="사진", en="Photo"),
    "cinematic": Text(ko="영화", en="Cinematic"),
    "analog-film": Text(ko="필름 사진", en="Analog film"),
    "anime": Text(ko="애니메이션", en="Anime"),
    "comic-book": Text(ko="만화책", en="Comic book"),
    "digital-art": Text(ko="디지털 아트", en="Digital art"),
    "fantasy-art": Text(ko="판타지", en="Fantasy"),
    "line-art": Text(ko="선화", en="Line art"),
    "neon-punk": Text(ko="네온 펑크", en="Neon punk"),
    "3d-model": Text(ko="3D 모델", en="3D model"),
    "pixel-art": Text(ko="픽셀 아트", en="Pixel art"),
    "origami": Text(ko="종이접기", en="Origami"),
}
"""By the names Stability has for them (`style_preset`)."""

_EMPTY = Text(ko="무엇을 그릴지 설명해 주세요.", en="Please describe what to draw.")
_TOO_LONG = Text(
    ko="설명이 너무 길어요. {limit:,}자까지 쓸 수 있어요.",
    en="That description is too long: {limit:,} characters at most.",
).format(limit=LONGEST_DESCRIPTION)
_BAD_RATIO = Text(ko="고를 수 있는 비율이 아니에요: {ratios}", en="That ratio is not one of: {ratios}").format(
    ratios=", ".join(RATIOS)
)
_DRAWING = Text(ko=PROGRESS_MARK + " 그림을 그리고 있어요…", en=PROGRESS_MARK + " Drawing your picture…")
_OTHER_PROVIDER = Text(
    ko=PROGRESS_MARK + " 다른 그림 서비스로 다시 그리고 있어요…", en=PROGRESS_MARK + " Drawing it with another service…"
)
_SUFFIXES = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


def check(interaction: Interaction) -> Text | None:
    """A description has to be there, and the ratio one of those offered."""
    wrong = text_fault(interaction, "설명", LONGEST_DESCRIPTION, empty=_EMPTY, too_long=_TOO_LONG)
    if wrong is not None:
        return wrong
    ratio = interaction.options.get("비율", DEFAULT_RATIO)
    return None if isinstance(ratio, str) and ratio in RATIOS else _BAD_RATIO


async def run(context: JobContext) -> Answer:
    """Have the picture made, by the second provider where the first can't."""
    description = context.interaction.options["설명"]
    request = ImageRequest(description, context.interaction.options.get("비율", DEFAULT_RATIO))
    context.progress.show(_DRAWING)
    image = await _first_that_can(context, request)
    limit = context.interaction.attachment_size_limit
    if len(image.data) > limit:
        raise PictureTooLarge(
            f"the picture's {len(image.data)} bytes exceed the limit of {limit}", provider=image.provider
        )
    file = Attachment(f"image.{_SUFFIXES[image.media_type]}", image.data, image.media_type, description[:1024])
    return Answer(Message(f"🎨 {image.provider.title()}\n{quote(description)}", attachments=(file,)), image.provider)


async def _first_that_can(context: JobContext, request: ImageRequest) -> GeneratedImage:
    """Try the providers in order. What a content policy refused is not carried to another provider."""
    failures: list[ProviderError] = []
    for provider in context.services.images:
        if failures:
            context.progress.show(_OTHER_PROVIDER)
        try:
            return await with_attempts(context, partial(_draw, context, provider, request))
        except (ProviderRefused, ProviderBadInput):
            raise
        except ProviderError as error:
            failures.append(error)
    # A failure that concerns a key sends the job back to the queue, where this instance would lease it again at once
    # for the provider whose key is well and which just failed: over and over, each time at a cost.
    raise next((failure for failure in failures if not concerns_key(failure)), failures[0])


async def _draw(context: JobContext, provider: ImageProvider, request: ImageRequest) -> GeneratedImage:
    async with context.use(provider.name):
        timeout = min(context.services.image_timeout_s, context.seconds_left())
        return await provider.generate(request, timeout_s=timeout)


COMMAND = JobCommand(
    slash(
        Text(ko="이미지", en="image"),
        Text(ko="설명한 대로 그림을 그려요", en="Draws a picture from your description"),
        [
            option(
                OptionType.STRING,
                Text(ko="설명", en="description"),
                Text(ko="어떤 그림을 원하나요?", en="What should the picture show?"),
                required=True,
                min_length=1,
                max_length=LONGEST_DESCRIPTION,
            ),
            option(
                OptionType.STRING,
                Text(ko="비율", en="ratio"),
                Text(ko="그림의 가로세로 비율 (기본 1:1)", en="The picture's aspect ratio (1:1 if left empty)"),
                choices=[choice(name, ratio) for ratio, name in RATIOS.items()],
            ),
        ],
    ),
    kind="image",
    providers=(STABILITY, MINIMAX),
    check=check,
    run=run,
)
