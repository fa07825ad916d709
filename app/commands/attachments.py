"""The files users attach: what is taken, looked at twice, and what becomes of it.

At intake Discord's word for a file's type and size is enough to refuse it at once, before anything is recorded. Once
fetched, its bytes decide: a name or a declared type proves nothing. Neither costs anything.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from app.commands.base import JobContext
from app.discord.models import Interaction
from app.errors import AttachmentRefused, AttachmentUnavailable
from app.providers.pictures import Measured, measure
from app.texts import Text

KIB, MIB = 1024, 1024 * 1024
FETCH_S = 30.0
CHAT_OPTION, SOURCE_OPTION, FIRST_FRAME_OPTION = "첨부", "원본", "첫장면"

LARGEST_TEXT = 200 * KIB
LARGEST_SEEN = 8 * MIB

_LONGEST_NAME = 60
_BY_SUFFIX = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
}
_SEEN = frozenset(_BY_SUFFIX.values())
_DRAWN = _SEEN - {"image/gif"}
_TEXT_KINDS = "json xml javascript x-javascript x-sh x-yaml yaml toml sql x-httpd-php x-ndjson"
_TEXT_TYPES = frozenset("application/" + kind for kind in _TEXT_KINDS.split())
_TEXT_ENDINGS = (
    ".txt .md .rst .log .csv .tsv .json .jsonl .yaml .yml .toml .ini .cfg .conf .env .xml .html .htm .css .scss .svg "
    ".py .pyi .ipynb .js .mjs .cjs .ts .tsx .jsx .vue .svelte .java .kt .kts .scala .groovy .c .h .cc .cpp .cxx .hpp "
    ".cs .go .rs .rb .php .pl .lua .r .jl .swift .m .mm .dart .ex .exs .erl .hs .ml .clj .lisp .el .vim .sh .bash "
    ".zsh .fish .ps1 .bat .cmd .sql .graphql .proto .tf .gradle .cmake .make .mk .dockerfile .diff .patch .tex .bib "
    ".srt .vtt .po .properties .asm .s .v .sv .vhd .zig .nim .sol"
)
_TEXT_SUFFIXES = frozenset(_TEXT_ENDINGS.split())
_TEXT_NAMES = frozenset({"dockerfile", "makefile", "license", "readme", ".gitignore", ".env"})

_NAME_LOST = Text(
    ko="첨부한 파일을 찾을 수 없고, 비용은 들지 않았어요. 다시 첨부해 주세요.",
    en="The attached file can't be found, and this cost nothing. Please attach it again.",
)
_NOT_TAKEN = Text(
    ko="`{name}`: 이 파일은 쓸 수 없어요. {taken} 비용은 들지 않았어요.",
    en="`{name}`: this file can't be used. {taken} This cost nothing.",
)
_TAKEN_CHAT = Text(
    ko="PNG·JPEG·WebP·GIF 그림은 8 MiB까지, UTF-8로 된 글과 코드는 200 KiB까지 첨부할 수 있어요.",
    en="You can attach PNG, JPEG, WebP and GIF pictures of up to 8 MiB, and text or code in UTF-8 of up to 200 KiB.",
)


@dataclass(frozen=True, slots=True)
class Attached:
    """A file as the payload describes it; `size` is 0, and `width` and `height` are None, where nothing is said."""

    name: str
    url: str
    size: int
    media_type: str
    width: int | None
    height: int | None

    def refusal(self, taken: Text) -> Text:
        """Return the sentence that says this file can't be used, and which can."""
        name = self.name.replace("`", "'").replace("\n", " ")
        shown = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
        return Text(
            _NOT_TAKEN.ko.format(name=shown, taken=taken.ko),
            _NOT_TAKEN.en.format(name=shown, taken=taken.en),
        )


@dataclass(frozen=True, slots=True)
class PictureRule:
    """Which pictures a provider takes. Sides are in pixels; `stretch` is the longer side over the shorter; 0 is any."""

    taken: Text
    max_bytes: int
    min_side: int
    max_stretch: float = 0.0

    def allows(self, media_type: str, size: int, width: int | None, height: int | None) -> bool:
        """Return whether a picture with these properties is taken; an unknown side is no reason to refuse."""
        if media_type not in _DRAWN or size > self.max_bytes:
            return False
        if not width or not height:
            return True
        shorter, longer = sorted((width, height))
        return shorter >= self.min_side and (not self.max_stretch or longer <= self.max_stretch * shorter)


SOURCE = PictureRule(
    Text(
        ko="PNG·JPEG·WebP 그림을 10 MB까지, 가로세로 64픽셀부터 첨부할 수 있어요.",
        en="You can attach a PNG, JPEG or WebP picture of up to 10 MB with sides of 64 pixels or more.",
    ),
    # Stability takes a request of 10 MiB; the rest of the form has to fit in, too.
    max_bytes=10_000_000,
    min_side=64,
)
FIRST_FRAME = PictureRule(
    Text(
        ko="PNG·JPEG·WebP 그림을 20 MB 미만, 짧은 변 300픽셀 초과, 비율 2:5에서 5:2까지 첨부할 수 있어요.",
        en="You can attach a PNG, JPEG or WebP picture of less than 20 MB whose shorter side is over 300 pixels and "
        "whose ratio lies between 2:5 and 5:2.",
    ),
    max_bytes=20_000_000 - 1,
    min_side=301,
    max_stretch=2.5,
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A user's picture: its bytes, and what they say it is."""

    data: bytes
    measured: Measured

    async def data_url(self) -> str:
        """Return it as a `data:` URL."""
        encoded = await asyncio.to_thread(base64.b64encode, self.data)
        return f"data:{self.measured.media_type};base64,{encoded.decode()}"


@dataclass(frozen=True, slots=True)
class ChatFiles:
    """What a question brought along: pictures as `data:` URLs, and the texts of files, each under its name."""

    images: tuple[str, ...] = ()
    text: str = ""


NO_FILES = ChatFiles()


def attached(interaction: Interaction, option: str) -> Attached | None:
    """Return the file given in an option; None if there is none, or the payload does not describe it."""
    files = interaction.resolved.get("attachments")
    described = files.get(str(interaction.options.get(option))) if isinstance(files, Mapping) else None
    return described_file(described)


def described_file(described: object) -> Attached | None:
    """Read one of Discord's attachment objects; None for anything else."""
    if not isinstance(described, Mapping) or not isinstance(described.get("url"), str):
        return None
    name = described.get("filename")
    return Attached(
        name=name if isinstance(name, str) and name else "file",
        url=described["url"],
        size=_number(described.get("size")) or 0,
        media_type=_media_type(described, str(name)),
        width=_number(described.get("width")),
        height=_number(described.get("height")),
    )


def chat_fault(interaction: Interaction) -> Text | None:
    """Return why the file of a question can't be taken, as far as its description says; None if nothing is wrong."""
    if CHAT_OPTION not in interaction.options:
        return None
    file = attached(interaction, CHAT_OPTION)
    if file is None:
        return _NAME_LOST
    picture = file.media_type in _SEEN and file.size <= LARGEST_SEEN
    return None if picture or (_is_text(file) and file.size <= LARGEST_TEXT) else file.refusal(_TAKEN_CHAT)


def picture_fault(interaction: Interaction, option: str, rule: PictureRule) -> Text | None:
    """Return why the picture in an option can't be taken, as far as its description says; None if nothing is wrong."""
    if option not in interaction.options:
        return None
    file = attached(interaction, option)
    if file is None:
        return _NAME_LOST
    return None if rule.allows(file.media_type, file.size, file.width, file.height) else file.refusal(rule.taken)


async def for_chat(context: JobContext) -> ChatFiles:
    """Fetch what a question brought along; raises `AttachmentUnavailable` or `AttachmentRefused`."""
    file = attached(context.interaction, CHAT_OPTION)
    if file is None:
        return NO_FILES
    if file.media_type in _SEEN:
        data = await _fetch(context, file, LARGEST_SEEN)
        measured = measure(data)
        if measured is None:
            raise AttachmentRefused("the bytes are no picture of a known kind", file.refusal(_TAKEN_CHAT))
        return ChatFiles(images=(await Picture(data, measured).data_url(),))
    return ChatFiles(text=_as_material(file, await _fetch(context, file, LARGEST_TEXT)))


async def picture(context: JobContext, option: str, rule: PictureRule) -> Picture | None:
    """Fetch the picture in an option, if there is one; raises `AttachmentUnavailable` or `AttachmentRefused`."""
    file = attached(context.interaction, option)
    return None if file is None else await fetched_picture(context, file, rule)


async def fetched_picture(context: JobContext, file: Attached, rule: PictureRule) -> Picture:
    """Fetch a picture and hold its bytes against the rule; raises `AttachmentUnavailable` or `AttachmentRefused`."""
    data = await _fetch(context, file, rule.max_bytes)
    measured = measure(data)
    if measured is None:
        raise AttachmentRefused("the bytes are no picture of a known kind", file.refusal(rule.taken))
    if not rule.allows(measured.media_type, len(data), measured.width, measured.height):
        said = f"a {measured.media_type} of {measured.width}×{measured.height} pixels and {len(data)} bytes"
        raise AttachmentRefused(said, file.refusal(rule.taken))
    return Picture(data, measured)


async def _fetch(context: JobContext, file: Attached, max_bytes: int) -> bytes:
    files = context.services.files
    if files is None:
        raise AttachmentUnavailable("this instance has nothing to fetch files with")
    timeout = max(1.0, min(FETCH_S, context.seconds_left()))
    return await files.fetch(file.url, max_bytes=max_bytes, timeout_s=timeout)


def _as_material(file: Attached, data: bytes) -> str:
    """Return a text file for the model to read, under its name, in a fence that its own text does not end."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise AttachmentRefused("the file is not UTF-8", file.refusal(_TAKEN_CHAT)) from None
    if "\0" in text:
        raise AttachmentRefused("the file holds NUL characters: it is no text", file.refusal(_TAKEN_CHAT))
    fence = "```"
    while fence in text:
        fence += "`"
    name = "".join(character for character in file.name if character.isprintable())
    return f"File `{name}`:\n{fence}\n{text}\n{fence}"


def _is_text(file: Attached) -> bool:
    name = file.name.lower()
    by_type = file.media_type.startswith("text/") or file.media_type in _TEXT_TYPES
    return by_type or PurePath(name).suffix in _TEXT_SUFFIXES or name in _TEXT_NAMES


def _media_type(described: Mapping[str, Any], name: str) -> str:
    """Return the declared type without its parameters, or what the name's ending stands for if none is declared."""
    declared = described.get("content_type")
    if isinstance(declared, str) and declared:
        return declared.partition(";")[0].strip().lower()
    return _BY_SUFFIX.get(PurePath(name.lower()).suffix, "")


def _number(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None
