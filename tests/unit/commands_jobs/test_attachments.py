"""Users' files: refused by their description before anything is recorded, by their bytes before anything is paid."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from app.commands import image, video
from app.commands.attachments import LARGEST_SEEN, LARGEST_TEXT, SOURCE, chat_fault, described_file
from app.discord.models import Interaction, parse
from app.errors import AttachmentUnavailable
from app.jobs.job import Outcome
from app.texts import Locale
from tests.unit.commands_jobs.kitchen import Kitchen, asking
from tests.unit.providers.subjects import png_head
from tests.unit.providers.test_measure import BYTES

URL = "https://cdn.discordapp.com/attachments/1/2/file?ex=1&hm=secret"


def described(name: str, size: int, **more: Any) -> dict[str, dict[str, Any]]:
    """Return `resolved.attachments` with one file, as Discord writes it."""
    return {"11": {"id": "11", "filename": name, "size": size, "url": URL, "proxy_url": URL, **more}}


def png(width: int, height: int, size: int = 1000) -> dict[str, dict[str, Any]]:
    """Return a picture's description."""
    return described("cat.png", size, content_type="image/png", width=width, height=height)


def asked(option: str, files: dict[str, dict[str, Any]] | None, **options: Any) -> Interaction:
    """Return a command with a file in `option`."""
    return parse(json.loads(asking("1", {**options, option: "11"}, files=files)))


@pytest.fixture
def kitchen() -> Kitchen:
    return Kitchen()


@pytest.mark.parametrize(
    ("name", "content_type", "size"),
    [
        ("a.png", "image/png", LARGEST_SEEN),
        ("a.gif", "image/gif", 1),
        ("a.jpg", None, 1),
        ("notes", "text/plain; charset=utf-8", LARGEST_TEXT),
        ("main.py", "text/x-python; charset=utf-8", 10),
        ("main.rs", "application/octet-stream", 10),
        ("Dockerfile", None, 10),
        ("data", "application/json", 10),
    ],
)
def test_pictures_texts_and_code_go_with_a_question(name: str, content_type: str | None, size: int) -> None:
    """By declared type or, where that says nothing, by the name; up to the limit, the last byte included."""
    files = described(name, size, **({"content_type": content_type} if content_type else {}))
    assert chat_fault(asked("첨부", files)) is None


@pytest.mark.parametrize(
    ("name", "content_type", "size"),
    [
        ("a.png", "image/png", LARGEST_SEEN + 1),
        ("notes.txt", "text/plain", LARGEST_TEXT + 1),
        ("a.zip", "application/zip", 10),
        ("song.mp3", "audio/mpeg", 10),
        ("film.mp4", "video/mp4", 10),
        ("paper.pdf", "application/pdf", 10),
        ("picture.svgz", None, 10),
    ],
)
def test_what_can_not_be_read_is_refused_by_name(name: str, content_type: str | None, size: int) -> None:
    """The sentence names the file, what is taken and how large it may be, and that it cost nothing."""
    files = described(name, size, **({"content_type": content_type} if content_type else {}))
    refusal = chat_fault(asked("첨부", files))
    assert refusal is not None
    for locale, free in ((Locale.KO, "비용은 들지 않았어요"), (Locale.EN, "cost nothing")):
        assert f"`{name}`" in refusal.to(locale)
        assert "8 MiB" in refusal.to(locale)
        assert "200 KiB" in refusal.to(locale)
        assert free in refusal.to(locale)


@pytest.mark.parametrize("files", [None, {}, {"11": "x"}, {"11": {"filename": "a.png"}}, {"12": {"url": URL}}, []])
def test_a_file_that_is_not_described_is_refused(files: Any) -> None:
    """A payload whose option names a file that stands nowhere gets a sentence, not an exception."""
    for fault in (chat_fault(asked("첨부", files)), image.check(asked("원본", files, 설명="고양이"))):
        assert fault is not None
        assert "다시 첨부" in fault.ko


@pytest.mark.parametrize("given", [{"a": 1}, ["x"], 7, None])
def test_an_option_that_names_no_file_is_refused(given: Any) -> None:
    """Whatever stands in the option's place, there is a sentence."""
    interaction = parse(json.loads(asking("1", {"첨부": given}, files=png(10, 10))))
    assert chat_fault(interaction) is not None


def test_a_name_can_not_break_out_of_the_sentence() -> None:
    """Backticks and line breaks are taken out of the name, and a long one is cut."""
    refusal = chat_fault(asked("첨부", described("`x`\n# " + "y" * 300 + ".zip", 10)))
    assert refusal is not None
    assert refusal.ko.count("`") == 2
    assert "\n" not in refusal.ko
    assert len(refusal.ko) < 250


def test_odd_descriptions_are_read_without_faith() -> None:
    """Sizes that are no counts are unknown, and a name that is none becomes one."""
    file = described_file({"url": URL, "size": "5", "width": True, "height": -1, "filename": 7, "content_type": 3})
    assert file is not None
    assert (file.name, file.size, file.width, file.height, file.media_type) == ("file", 0, None, None, "")


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        (png(64, 64), True),
        (png(63, 640), False),
        (png(640, 480, SOURCE.max_bytes), True),
        (png(640, 480, SOURCE.max_bytes + 1), False),
        (described("a.gif", 10, content_type="image/gif", width=640, height=480), False),
        (described("a.webp", 10, content_type="image/webp"), True),
    ],
)
def test_an_original_fits_stability(files: dict[str, Any], taken: bool) -> None:
    """Sides of 64 pixels, 10 MB, and the three kinds it reads."""
    assert (image.check(asked("원본", files, 설명="고양이")) is None) is taken


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        (png(301, 301), True),
        (png(300, 640), False),
        (png(500, 1250), True),
        (png(500, 1251), False),
        (png(1251, 500), False),
        (png(640, 480, 19_999_999), True),
        (png(640, 480, 20_000_000), False),
    ],
)
def test_a_first_frame_fits_minimax(files: dict[str, Any], taken: bool) -> None:
    """A shorter side over 300 pixels, a ratio from 2:5 to 5:2, and less than 20 MB."""
    assert (video.check(asked("첫장면", files, 설명="파도")) is None) is taken


@pytest.mark.parametrize("name", ["png", "jpeg", "webp alpha", "gif"])
async def test_a_picture_goes_to_the_model_as_what_it_is(kitchen: Kitchen, name: str) -> None:
    """The type is that of the bytes, whatever the description says."""
    kitchen.shelf.files[URL] = BYTES[name]
    await kitchen.ask("chat", {"질문": "이게 뭐야?", "첨부": "11"}, files=png(1, 1))
    kind = {"png": "png", "jpeg": "jpeg", "webp alpha": "webp", "gif": "gif"}[name]
    expected = f"data:image/{kind};base64,{base64.b64encode(BYTES[name]).decode()}"
    assert kitchen.chat.requests[0].images == (expected,)


async def test_a_text_file_goes_along_under_its_name(kitchen: Kitchen) -> None:
    """Its text is fenced so that its own fences can't end it; a byte order mark is no part of it."""
    kitchen.shelf.files[URL] = b"\xef\xbb\xbfprint('\xec\x95\x88\xeb\x85\x95')\n```\nend"
    files = described("main.py", 20, content_type="text/x-python")
    await kitchen.ask("chat", {"질문": "이게 뭐야?", "첨부": "11"}, files=files)
    (request,) = kitchen.chat.requests
    assert "이게 뭐야?" in request.prompt
    assert "File `main.py`:\n````\nprint('안녕')\n```\nend\n````" in request.prompt
    assert request.images == ()


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", "안녕".encode("cp949"), b"text\0binary"])
async def test_a_text_that_is_none_is_refused(kitchen: Kitchen, data: bytes) -> None:
    """What is not UTF-8 never reaches the model; the sentence names the file."""
    kitchen.shelf.files[URL] = data
    files = described("main.py", 20, content_type="text/x-python")
    message = await kitchen.ask("chat", {"질문": "이게 뭐야?", "첨부": "11"}, files=files)
    assert "`main.py`" in message.content
    assert kitchen.chat.requests == []
    assert kitchen.outcome == (Outcome.FAILED, "AttachmentRefused")


@pytest.mark.parametrize(
    ("kind", "option", "data"),
    [
        ("chat", "첨부", b"<html>"),
        ("image", "원본", BYTES["gif"]),
        ("image", "원본", png_head(63, 640)),
        ("video", "첫장면", png_head(300, 400)),
        ("video", "첫장면", png_head(400, 1001)),
        ("video", "첫장면", b"\xff\xd8\xff cut"),
    ],
)
async def test_bytes_that_are_not_what_they_were_called_cost_nothing(
    kitchen: Kitchen, kind: str, option: str, data: bytes
) -> None:
    """The description passed, the bytes do not: nobody is asked, and the user is told why."""
    kitchen.shelf.files[URL] = data
    text = {"질문" if kind == "chat" else "설명": "고양이"}
    message = await kitchen.ask(kind, {**text, option: "11"}, files=png(640, 480))
    assert "`cat.png`" in message.content
    assert kitchen.outcome == (Outcome.FAILED, "AttachmentRefused")
    asked = (kitchen.chat.requests, kitchen.stability.requests, kitchen.minimax.requests, kitchen.studio.requests)
    assert not any(asked)


@pytest.mark.parametrize("kind", ["chat", "image", "video"])
async def test_a_file_that_is_gone_is_told(kitchen: Kitchen, kind: str) -> None:
    """Discord's links expire; whoever can't be served hears that and pays nothing. The link is not shown."""
    option, text = {"chat": ("첨부", "질문"), "image": ("원본", "설명"), "video": ("첫장면", "설명")}[kind]
    message = await kitchen.ask(kind, {text: "고양이", option: "11"}, files=png(640, 480))
    assert AttachmentUnavailable.sentence.ko in message.content
    assert "secret" not in message.content
    assert kitchen.shelf.fetched == [URL]
    assert kitchen.outcome == (Outcome.FAILED, "AttachmentUnavailable")
