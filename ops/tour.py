"""The demo's tour: users of all homes use every command, and each answer is held against what it has to be."""

from __future__ import annotations

import re
import secrets
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx2

from app.balancing.assignment import home_of
from ops.health import get_json
from ops.processes import wait_for
from simulator.ledger import digest

ANSWER_WITHIN_S = 60.0
ACK_LIMIT_MS = 3000.0
RECORDED_WITHIN_S = 5.0
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


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
    """One command a user used, and how it went."""

    user: User
    command: str
    options: dict[str, str]
    prompt: str = ""  # of a command that asks a provider
    served_by: int | None = None
    key_set: str = ""
    ack_ms: float | None = None
    answer_s: float | None = None
    answer: str = ""
    problems: list[str] = field(default_factory=list)


Check = Callable[[Visit, dict[str, Any], bytes], list[str]]
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
    """Return the seven commands; the jobs come before `/할당`, which tells who served them."""
    mark = f"{user.home}-{secrets.token_hex(3)}"
    question = user.say(f"고양이는 왜 가르랑거리나요? ({mark})", f"Why do cats purr? ({mark})")
    picture = user.say(f"달빛 아래의 고양이 ({mark})", f"a cat in the moonlight ({mark})")
    film = user.say(f"파도를 타는 고양이 ({mark})", f"a cat riding a wave ({mark})")
    return [
        (Visit(user, "핑", {}), _says(user.say("퐁", "Pong"), user.say("담당 인스턴스", "home instance"))),
        (Visit(user, "로드밸런서", {}), _says("4/4")),
        (Visit(user, "성능", {}), _says("3,500 → 14,000", user.say("성능", "Performance"))),
        (Visit(user, "채팅", {"질문": question}, question), _says(question)),
        (Visit(user, "이미지", {"설명": picture}, picture), _shows_png),
        (Visit(user, "비디오", {"설명": film}, film), _shows_mp4),
        (
            Visit(user, "할당", {}),
            _says(f"{user.id} % 4 + 1 = {user.home}", user.say(f"**{user.home}**번이", f"**#{user.home}**")),
        ),
    ]


def _says(*wanted: str) -> Check:
    def check(visit: Visit, message: dict[str, Any], file: bytes) -> list[str]:
        text = str(message.get("content", ""))
        return [f"the answer does not say “{part}”" for part in wanted if part not in text]

    return check


def _shows_png(visit: Visit, message: dict[str, Any], file: bytes) -> list[str]:
    if not file.startswith(PNG_SIGNATURE):
        return ["no PNG is attached"]
    try:
        return _png_faults(file)
    except (struct.error, zlib.error, IndexError):
        return ["the PNG is broken"]


def _png_faults(data: bytes) -> list[str]:
    """Walk through the chunks: every checksum holds, and the pixels unpack to as many bytes as the size says."""
    at, pixels, size = len(PNG_SIGNATURE), b"", (0, 0)
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        if checksum != zlib.crc32(kind + body):
            return ["a checksum in the PNG is wrong"]
        if kind == b"IHDR":
            size = struct.unpack_from(">II", body)
        pixels += body if kind == b"IDAT" else b""
        at += length + 12
    whole = len(zlib.decompress(pixels))
    width, height = size
    return [] if width and height and whole % height == 0 else ["the PNG's pixels do not fill it"]


def _shows_mp4(visit: Visit, message: dict[str, Any], file: bytes) -> list[str]:
    problems = [] if file[4:8] == b"ftyp" and b"moov" in file else ["no MP4 is attached"]
    if visit.prompt not in str(message.get("content", "")):
        problems.append("the answer does not repeat the description")
    return problems


class Tour:
    """Plays the visits through the simulator's control API, and learns from the system who did the work."""

    def __init__(self, simulator_url: str, control_token: str, target: str, ops_url: str, instances: int) -> None:
        self._url = simulator_url
        self._target = target
        self._ops_url = ops_url
        self._instances = instances
        self._http = httpx2.Client(
            headers={"X-Control-Token": control_token}, timeout=ANSWER_WITHIN_S + 15, trust_env=False
        )

    def play(self, on_visit: Callable[[Visit], None]) -> list[Visit]:
        """Let all users go their way at the same time; each uses one command after the other."""
        everyone = users(self._instances)
        with self._http, ThreadPoolExecutor(max_workers=len(everyone)) as pool:
            walks = [pool.submit(self._walk, user, on_visit) for user in everyone]
            return [visit for walk in walks for visit in walk.result()]

    def _walk(self, user: User, on_visit: Callable[[Visit], None]) -> list[Visit]:
        done = []
        for visit, check in visits_of(user):
            try:
                self._visit(visit, check)
            except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
                visit.problems.append(f"the simulator could not be asked: {type(error).__name__}: {error}")
            on_visit(visit)
            done.append(visit)
        return done

    def _visit(self, visit: Visit, check: Check) -> None:
        user = visit.user
        wish = {
            "command": visit.command,
            "options": visit.options,
            "user_id": str(user.id),
            "locale": user.locale,
            "place": user.place,
            "target": self._target,
            "wait_s": ANSWER_WITHIN_S,
        }
        shown = self._http.post(f"{self._url}/control/interactions", json=wish).raise_for_status().json()
        ack, message = shown["ack"] or {}, shown["message"] or {}
        visit.ack_ms = ack.get("ms")
        visit.answer_s = shown["took_ms"] / 1000 if shown["took_ms"] is not None else None
        visit.answer = " ".join(str(message.get("content", "")).split())
        visit.problems += self._ack_faults(visit, ack)
        if not shown["final"]:
            visit.problems.append(f"no answer within {ANSWER_WITHIN_S:.0f} s")
            return
        visit.problems += check(visit, message, self._first_file(message))
        if visit.prompt:
            self._trace(visit, shown["id"])
        else:
            visit.served_by = _number(ack.get("served_by")) or _told_by(visit.answer)
            if visit.served_by is None and visit.command != "핑":
                return  # an instant answer that says nothing about its instance, neither in a header nor in its text
        if visit.served_by != user.home:
            visit.problems.append(f"served by instance {visit.served_by}, not by the home {user.home}")

    def _ack_faults(self, visit: Visit, ack: dict[str, Any]) -> list[str]:
        if not ack.get("ok"):
            return [f"not acknowledged: {ack.get('reason') or 'no answer'}"]
        return [f"acknowledged after {ack['ms']:.0f} ms"] if ack["ms"] > ACK_LIMIT_MS else []

    def _first_file(self, message: dict[str, Any]) -> bytes:
        attached = message.get("attachments") or []
        return self._http.get(attached[0]["url"]).raise_for_status().content if attached else b""

    def _trace(self, visit: Visit, interaction_id: str) -> None:
        """Find out which instance did the job (from its record) and whose key it used (from the provider's ledger)."""
        found: list[dict[str, Any]] = []

        def recorded() -> bool:
            jobs = (get_json(f"{self._ops_url}/stats") or {}).get("recent_jobs") or []
            found[:] = [job for job in jobs if str(job.get("id")) == interaction_id]
            return bool(found)

        # The user sees the answer a moment before the job is written down as done.
        if not wait_for(recorded, RECORDED_WITHIN_S):
            visit.problems.append("/stats does not list the job")
            return
        visit.served_by = _number(found[0].get("served_by"))
        events = self._http.get(f"{self._url}/control/ledger").raise_for_status().json()
        wanted = digest(visit.prompt)
        sets = {str(event["key"]) for event in events if event.get("prompt") == wanted and event.get("key")}
        visit.key_set = ", ".join(sorted(name.removeprefix("set-") for name in sets))
        if sets != {f"set-{visit.served_by}"}:
            visit.problems.append(
                f"key set {visit.key_set or '(none)'} was used, not that of instance {visit.served_by}"
            )


def _told_by(answer: str) -> int | None:
    """Which instance `/핑` says it was answered by."""
    told = re.search(r"(?:응답한 인스턴스|Answered by instance): \*\*(\d+)\*\*", answer)
    return int(told[1]) if told else None


def _number(value: object) -> int | None:
    return int(str(value)) if str(value).isdigit() else None
