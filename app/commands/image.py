"""`/이미지`: a description, and the picture; from another picture, in four variations, or larger."""

from __future__ import annotations

from dataclasses import replace

from app.balancing.keyset import MINIMAX, STABILITY
from app.commands.attachments import SOURCE, SOURCE_OPTION, PictureRule, described_file, fetched_picture, picture_fault
from app.commands.attachments import picture as attached_picture
from app.commands.base import PROGRESS_MARK, Answer, JobCommand, JobContext
from app.commands.buttons import Action, picture_rows
from app.commands.definition import attachment, choice, option, slash
from app.commands.drawing import can_enlarge, draw, draw_each, enlarge, seeds
from app.commands.formatting import quote
from app.commands.options import private_option, private_wanted, text_fault
from app.discord.models import Interaction
from app.discord.replies import Attachment, Message
from app.discord.wire import OptionType
from app.errors import AttachmentUnavailable, PictureTooLarge
from app.providers.base import GeneratedImage, ImageRequest
from app.providers.pictures import measure
from app.texts import Text
from app.userdata.usage import Usage

LONGEST_DESCRIPTION = 1450
"""MiniMax takes 1,500 characters and Stability 10,000: what one takes, both have to, and a style's words besides."""

DESCRIPTION_OPTION, RATIO_OPTION, STYLE_OPTION = "설명", "비율", "스타일"

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
    "comic-book": Text(ko="만화", en="Comic book"),
    "digital-art": Text(ko="디지털 아트", en="Digital art"),
    "fantasy-art": Text(ko="판타지", en="Fantasy"),
    "line-art": Text(ko="선화", en="Line art"),
    "pixel-art": Text(ko="픽셀 아트", en="Pixel art"),
    "low-poly": Text(ko="로우 폴리", en="Low poly"),
    "3d-model": Text(ko="3D 모델", en="3D model"),
    "neon-punk": Text(ko="네온 펑크", en="Neon punk"),
}
"""Stability's presets, by its own names; another provider gets them in words."""

VARIATIONS = 4

LARGEST_REQUEST = 24_000_000
"""What several pictures may have together: Discord takes 25 MB a request, and more only where one file may have more
(resources/message#create-message)."""

_ENLARGED = PictureRule(
    Text(
        ko="PNG·JPEG·WebP 그림을 10 MB까지 크게 만들 수 있어요.",
        en="PNG, JPEG and WebP pictures of up to 10 MB can be made larger.",
    ),
    max_bytes=SOURCE.max_bytes,
    min_side=32,
)

_EMPTY = Text(
    ko="설명이 비어 있어 비용 없이 거절했어요. 무엇을 그릴지 설명해 주세요.",
    en="There was no description, so this cost nothing. Please describe what to draw.",
)
_TOO_LONG = Text(
    ko="설명이 너무 길어 비용 없이 거절했어요. {limit:,}자까지로 줄여 주세요.",
    en="That description is too long, so this cost nothing. Please shorten it to {limit:,} characters.",
).format(limit=LONGEST_DESCRIPTION)
_BAD_RATIO = Text(
    ko="고를 수 있는 비율이 아니어서 비용 없이 거절했어요. 이 가운데 골라 주세요: {ratios}",
    en="That ratio is not offered, so this cost nothing. Please choose one of these: {ratios}",
).format(ratios=", ".join(RATIOS))
_BAD_STYLE = Text(
    ko="고를 수 있는 스타일이 아니어서 비용 없이 거절했어요. 이 가운데 골라 주세요: {styles}",
    en="That style is not offered, so this cost nothing. Please choose one of these: {styles}",
).format(styles=", ".join(STYLES))
_DRAWING = Text(ko=PROGRESS_MARK + " 그림을 그리고 있어요…", en=PROGRESS_MARK + " Drawing your picture…")
_DRAWING_EACH = Text(
    ko=PROGRESS_MARK + " 다른 그림을 그리고 있어요… ({done}/{count})",
    en=PROGRESS_MARK + " Drawing variations… ({done} of {count})",
)
_ENLARGING = Text(ko=PROGRESS_MARK + " 그림을 크게 만들고 있어요…", en=PROGRESS_MARK + " Making your picture larger…")
_FEWER = Text(
    ko="-# 🎲 {count}장 가운데 {done}장이 나왔어요. 나머지는 그리지 못했거나 여기 첨부하기에 너무 커요.",
    en="-# 🎲 {done} of {count} came about. The others could not be drawn or are too large to be attached here.",
)
_STOPPED = Text(
    ko="-# ⏹ 멈추기 전까지 {count}장 가운데 {done}장을 그렸어요.", en="-# ⏹ Stopped with {done} of {count} drawn."
)
_SIZES = Text(ko="-# {before} → {after} 픽셀", en="-# {before} → {after} pixels")
_SUFFIXES = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


def check(interaction: Interaction) -> Text | None:
    """A description has to be there, ratio and style among those offered, and a picture one that can be taken."""
    wrong = text_fault(interaction, DESCRIPTION_OPTION, LONGEST_DESCRIPTION, empty=_EMPTY, too_long=_TOO_LONG)
    if wrong is not None:
        return wrong
    if interaction.options.get(RATIO_OPTION, DEFAULT_RATIO) not in tuple(RATIOS):
        return _BAD_RATIO
    if interaction.options.get(STYLE_OPTION, "photographic") not in tuple(STYLES):
        return _BAD_STYLE
    return picture_fault(interaction, SOURCE_OPTION, SOURCE)


async def run(context: JobContext) -> Answer:
    """Have the picture made, by the second provider where the first can't; or what a button asks for."""
    match context.interaction.derived.get("action"):
        case Action.UPSCALE:
            return await _larger(context)
        case Action.VARY:
            return await _variations(context)
        case _:
            return await _one(context)


async def _one(context: JobContext) -> Answer:
    context.progress.show(_DRAWING)
    request = await _request(context)
    image = await draw(context, request, context.progress.show)
    return _answer(context, [image], request)


async def _variations(context: JobContext) -> Answer:
    """Draw the same description several times; those that come about are shown, and how many were meant to."""
    _tell(context, 0)
    request = await _request(context)
    requests = [replace(request, seed=seed) for seed in seeds(context.job.id, VARIATIONS)]
    images = await draw_each(context, requests, lambda done: _tell(context, done))
    return _answer(context, images, request, count=VARIATIONS)


async def _larger(context: JobContext) -> Answer:
    """Make the picture of the pressed message larger."""
    context.progress.show(_ENLARGING)
    file = described_file(context.interaction.derived.get("image"))
    if file is None:
        raise AttachmentUnavailable("the press does not say which picture is meant")
    source = await fetched_picture(context, replace(file, name="image"), _ENLARGED)
    image = await enlarge(context, source.data, context.interaction.options[DESCRIPTION_OPTION])
    after = measure(image.data)
    sizes = [f"{each.width}×{each.height}" for each in (source.measured, after) if each is not None]
    note = _SIZES.format(before=sizes[0], after=sizes[1]).to(context.locale) if len(sizes) > 1 else ""
    return _answer(context, [image], None, note=note)


async def _request(context: JobContext) -> ImageRequest:
    """Return what is to be drawn: by the options, else as the user prefers. A choice no longer offered is none."""
    options, preferred = context.interaction.options, context.preferences
    ratio = preferred.ratio if preferred.ratio in RATIOS else DEFAULT_RATIO
    style = preferred.style if preferred.style in STYLES else None
    source = await attached_picture(context, SOURCE_OPTION, SOURCE)
    return ImageRequest(
        options[DESCRIPTION_OPTION],
        options.get(RATIO_OPTION, ratio),
        style=options.get(STYLE_OPTION, style),
        source=source.data if source else None,
    )


def _tell(context: JobContext, done: int) -> None:
    context.progress.show(_DRAWING_EACH.format(done=done, count=VARIATIONS))


def _answer(
    context: JobContext, images: list[GeneratedImage], request: ImageRequest | None, *, count: int = 1, note: str = ""
) -> Answer:
    """Lay out what was drawn. `request` is None for a picture made larger, which is not made larger again."""
    limit = context.interaction.attachment_size_limit
    sent = _fitting(images, limit)
    if not sent:
        image = images[0]
        said = f"the picture's {len(image.data)} bytes exceed the limit of {limit}"
        raise PictureTooLarge(said, provider=image.provider)
    if len(sent) < count:
        text = _STOPPED if context.stopping() else _FEWER
        note = text.format(done=len(sent), count=count).to(context.locale)
    description = context.interaction.options[DESCRIPTION_OPTION]
    names = " · ".join(dict.fromkeys(image.provider.title() for image in sent))
    lines = [f"{'🎨' if request else '⬆️'} {names}", quote(description), *([note] if note else [])]
    several = count > 1
    files = tuple(_file(image, f"image-{n}" if several else "image", description) for n, image in enumerate(sent, 1))
    rows = picture_rows(
        context.job.id,
        context.interaction.user_id,
        context.locale,
        ratios=_other_ratios(request),
        upscale=request is not None and not several and can_enlarge(context),
    )
    message = Message("\n".join(lines), attachments=files, components=rows)
    return Answer(message, sent[0].provider, usage=Usage(images=len(images), enlarged=0 if request else len(images)))


def _fitting(images: list[GeneratedImage], limit: int) -> list[GeneratedImage]:
    """Return the pictures that may be attached: each within `limit`, and all together within one request."""
    fitting: list[GeneratedImage] = []
    room = max(LARGEST_REQUEST, limit)
    for image in images:
        if len(image.data) <= min(limit, room):
            fitting.append(image)
            room -= len(image.data)
    return fitting


def _other_ratios(request: ImageRequest | None) -> dict[str, Text]:
    """Return the ratios to choose from: none for what is drawn from a picture, which keeps its own."""
    if request is None or request.source is not None:
        return {}
    return {ratio: name for ratio, name in RATIOS.items() if ratio != request.aspect_ratio}


def _file(image: GeneratedImage, name: str, description: str) -> Attachment:
    return Attachment(f"{name}.{_SUFFIXES[image.media_type]}", image.data, image.media_type, description[:1024])


COMMAND = JobCommand(
    slash(
        Text(ko="이미지", en="image"),
        Text(ko="설명한 대로 그림을 그려요", en="Draws a picture from your description"),
        [
            option(
                OptionType.STRING,
                Text(ko=DESCRIPTION_OPTION, en="description"),
                Text(ko="어떤 그림을 원하나요?", en="What should the picture show?"),
                required=True,
                min_length=1,
                max_length=LONGEST_DESCRIPTION,
            ),
            option(
                OptionType.STRING,
                Text(ko=RATIO_OPTION, en="ratio"),
                Text(ko="그림의 가로세로 비율 (기본 1:1)", en="The picture's aspect ratio (1:1 if left empty)"),
                choices=[choice(name, ratio) for ratio, name in RATIOS.items()],
            ),
            option(
                OptionType.STRING,
                Text(ko=STYLE_OPTION, en="style"),
                Text(ko="그림의 스타일", en="The picture's style"),
                choices=[choice(name, style) for style, name in STYLES.items()],
            ),
            attachment(
                Text(ko=SOURCE_OPTION, en="source"),
                Text(ko="바탕으로 삼을 그림 (비율은 이 그림을 따라요)", en="A picture to start from; keeps its ratio"),
            ),
            private_option(),
        ],
    ),
    kind="image",
    providers=(STABILITY, MINIMAX),
    check=check,
    run=run,
    private=private_wanted,
)
