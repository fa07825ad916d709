"""The tour's stops: what each user does, in which order, and what has to come of it."""

from __future__ import annotations

import re
import secrets
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.balancing.assignment import home_of

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
CURSOR = "▌"
QUESTIONS, PICTURES, VIDEOS = 6, 2, 1
"""What one user has had answered when `/사용량` is asked: every stop before it that goes to a provider."""


@dataclass(frozen=True)
class User:
    """Somebody in Discord. `home` follows from the id."""

    id: int
    home: int
    locale: str  # ko | en-US
    place: str  # guild | dm

    def say(self, korean: str, english: str) -> str:
        """Return the one in the user's language."""
        return korean if self.locale == "ko" else english


@dataclass
class Visit:
    """One thing a user did, and how it went.

    `title` is what the user sees of it: the command's name, or what a button is called. A press says with `on` which
    earlier visit's answer the component stands under, and with `action` what its custom id begins with. `more` goes to
    the simulator as it is.
    """

    user: User
    command: str
    options: dict[str, Any] = field(default_factory=dict)
    prompt: str = ""  # of a job that asks a provider
    title: str = ""
    on: str = ""
    action: str = ""
    more: dict[str, Any] = field(default_factory=dict)
    served_by: int | None = None
    key_set: str = ""
    ack_ms: float | None = None
    answer_s: float | None = None
    answer: str = ""
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.title = self.title or f"/{self.command}"


Check = Callable[[Visit, Mapping[str, Any], bytes], list[str]]
"""Takes the visit, the message shown and the first attached file; returns what is wrong with them."""


def users(count: int) -> list[User]:
    """Return one user for each home, with ids above 2^53, both languages, in servers and direct messages."""
    made = []
    for home in range(1, count + 1):
        first = 10**18 + secrets.randbelow(10**17) * count
        user_id = next(first + step for step in range(count) if home_of(first + step, count) == home)
        made.append(User(user_id, home, "ko" if home % 2 else "en-US", "guild" if home in (1, 4) else "dm"))
    return made


def visits_of(user: User) -> list[tuple[Visit, Check]]:
    """Return the stops in their order: what leans on something comes after it, `/할당` after the jobs it tells of."""
    mark = f"{user.home}-{secrets.token_hex(3)}"
    return [*_instant(user), *_talking(user, mark), *_menus(user, mark), *_drawing(user, mark), *_own(user)]


def _instant(user: User) -> list[tuple[Visit, Check]]:
    return [
        (Visit(user, "핑"), _says(user.say("퐁", "Pong"), user.say("담당 인스턴스", "home instance"))),
        (Visit(user, "로드밸런서"), _says("4/4")),
        (Visit(user, "성능"), _says("3,500 → 14,000", user.say("성능", "Performance"))),
    ]


def _talking(user: User, mark: str) -> list[tuple[Visit, Check]]:
    """A new chat, a question whose answer is seen to grow, one that leans on it, what is kept of both, and 🔁."""
    first = user.say(f"고양이는 왜 가르랑거리나요? ({mark}) #seconds=1.5", f"Why do cats purr? ({mark}) #seconds=1.5")
    second = user.say(f"그럼 호랑이는요? ({mark})", f"And tigers? ({mark})")
    leaning = user.say("2번째 질문", "question 2")
    follow_up = Visit(user, "채팅", {"질문": second}, second, title=user.say("/채팅, 이어서", "/채팅, going on"))
    return [
        (Visit(user, "새대화"), _all(_private, _says(user.say("새 대화를 시작", "A new chat begins")))),
        (Visit(user, "채팅", {"질문": first}, first), _all(_says(first), _lacks(leaning), _grew)),
        (follow_up, _says(second, first, leaning)),
        (Visit(user, "기억"), _all(_private, _says(user.say("문답 2개", "2 Q&A"), mark))),
        (Visit(user, "채팅", {}, second, title=user.say("🔁 다시", "🔁 Again"), on=follow_up.title, action="again"),
         _says(second)),
    ]  # fmt: skip


def _menus(user: User, mark: str) -> list[tuple[Visit, Check]]:
    """The commands in the menu of somebody else's message; only the user sees their answers."""
    text = user.say(f"긴 회의의 기록이에요 ({mark})", f"the minutes of a long meeting ({mark})")
    written = {"context_menu": {"content": text, "user_id": str(user.id + 4)}}
    stops: list[tuple[Visit, Check]] = []
    for name, english in (("요약", "Summarise"), ("번역", "Translate"), ("설명", "Explain")):
        title = user.say(f"{name} (메시지 메뉴)", f"{english} (message menu)")
        stops.append((Visit(user, name, {}, text, title=title, more=dict(written)), _all(_private, _says(text))))
    return stops


def _drawing(user: User, mark: str) -> list[tuple[Visit, Check]]:
    """A picture, the same in the ratio chosen in the menu below it, and a video."""
    picture = user.say(f"달빛 아래의 고양이 ({mark})", f"a cat in the moonlight ({mark})")
    film = user.say(f"파도를 타는 고양이 ({mark})", f"a cat riding a wave ({mark})")
    drawn, wide = {"설명": picture, "비율": "1:1"}, {"values": ["16:9"]}
    return [
        (Visit(user, "이미지", dict(drawn), picture), _shows_png(1, 1)),
        (Visit(user, "비디오", {"설명": film}, film), _shows_mp4),
        (Visit(user, "이미지", {}, picture, title=user.say("🖼 비율 16:9", "🖼 ratio 16:9"), on="/이미지", action="ratio",
               more=wide), _shows_png(16, 9)),
        (Visit(user, "할당"), _says(f"{user.id} % 4 + 1 = {user.home}", user.say(f"**{user.home}**번이",
                                                                              f"**#{user.home}**"))),
    ]  # fmt: skip


def _own(user: User) -> list[tuple[Visit, Check]]:
    """Another language for one's own answers, and what one has used, told in that language."""
    other = user.say("en", "ko")
    chats = user.say(f"chat: {QUESTIONS}", f"채팅 {QUESTIONS}건")
    pictures = user.say(f"image: {PICTURES}", f"이미지 {PICTURES}건")
    videos = user.say(f"video: {VIDEOS}", f"비디오 {VIDEOS}건")
    return [
        (Visit(user, "설정", {"내설정": {"언어": other}}), _all(_private, _says(user.say("Saved.", "저장했어요.")))),
        (Visit(user, "사용량"), _all(_private, _says(user.say("Your use", "내 사용량"), chats, pictures, videos))),
    ]


def _all(*checks: Check) -> Check:
    def check(visit: Visit, message: Mapping[str, Any], file: bytes) -> list[str]:
        return [problem for one in checks for problem in one(visit, message, file)]

    return check


def _says(*wanted: str) -> Check:
    def check(visit: Visit, message: Mapping[str, Any], file: bytes) -> list[str]:
        text = str(message.get("content", ""))
        return [f"the answer does not say “{part}”" for part in wanted if part not in text]

    return check


def _lacks(part: str) -> Check:
    def check(visit: Visit, message: Mapping[str, Any], file: bytes) -> list[str]:
        return [f"the answer says “{part}”"] if part in str(message.get("content", "")) else []

    return check


def _private(visit: Visit, message: Mapping[str, Any], file: bytes) -> list[str]:
    return [] if message.get("ephemeral") else ["everybody sees the answer"]


def _grew(visit: Visit, message: Mapping[str, Any], file: bytes) -> list[str]:
    """Somewhere on its way the answer was shown in part, each part the beginning of the whole."""
    whole = str(message.get("content", ""))
    parts = [str(state.get("content", "")) for state in message.get("history") or []]
    grown = [part.removesuffix(CURSOR).rstrip() for part in parts if part.endswith(CURSOR)]
    if not grown:
        return ["the answer was not seen to grow"]
    return [] if all(whole.startswith(part) for part in grown) else ["the answer did not end as it began"]


def _shows_png(wide: int, high: int) -> Check:
    """A whole PNG in this ratio, to a pixel."""

    def check(visit: Visit, message: Mapping[str, Any], file: bytes) -> list[str]:
        if not file.startswith(PNG_SIGNATURE):
            return ["no PNG is attached"]
        try:
            faults, (width, height) = _png_faults(file)
        except (struct.error, zlib.error, IndexError):
            return ["the PNG is broken"]
        right = abs(width * high - height * wide) <= max(wide, high)
        return faults if right else [*faults, f"the picture is {width}×{height}, not {wide}:{high}"]

    return check


def _png_faults(data: bytes) -> tuple[list[str], tuple[int, int]]:
    """Walk through the chunks: every checksum holds, and the pixels unpack to as many bytes as the size says."""
    at, pixels, size = len(PNG_SIGNATURE), b"", (0, 0)
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        if checksum != zlib.crc32(kind + body):
            return ["a checksum in the PNG is wrong"], size
        if kind == b"IHDR":
            size = struct.unpack_from(">II", body)
        pixels += body if kind == b"IDAT" else b""
        at += length + 12
    whole = len(zlib.decompress(pixels))
    width, height = size
    full = width and height and whole % height == 0
    return [] if full else ["the PNG's pixels do not fill it"], size


def _shows_mp4(visit: Visit, message: Mapping[str, Any], file: bytes) -> list[str]:
    problems = [] if file[4:8] == b"ftyp" and b"moov" in file else ["no MP4 is attached"]
    if visit.prompt not in str(message.get("content", "")):
        problems.append("the answer does not repeat the description")
    return problems


def told_by(answer: str) -> int | None:
    """Which instance `/핑` says it was answered by."""
    told = re.search(r"(?:응답한 인스턴스|Answered by instance): \*\*(\d+)\*\*", answer)
    return int(told[1]) if told else None
