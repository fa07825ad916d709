"""Answers a simulated model gives: they show the question back, so that a test knows whose answer it reads."""

from __future__ import annotations

import re
from typing import Any

from simulator.pictures import in_data_url, size_in

GO_ON = re.compile(r"\b(continue|go on)\b|이어\s?서", re.IGNORECASE)
SEAM = 40
"""Characters at the end of a broken answer by which the place is found where it goes on."""

DIRECTIVE = re.compile(r"#(\w+)(?:=([\w.]+))?")
KOREAN_FILLER = (
    "먼저 핵심부터 말하면, 질문은 생각보다 여러 갈래로 나뉩니다.",
    "첫째로 배경을 살펴보면 이유가 조금 더 분명해집니다.",
    "둘째로 실제 사례를 보면 같은 일이 자주 되풀이됩니다.",
    "그래서 작은 것부터 하나씩 확인해 보는 편이 좋습니다.",
    "마지막으로, 더 궁금한 점이 있으면 이어서 물어봐 주세요.",
)
ENGLISH_FILLER = (
    "The short version is that the question has more than one side.",
    "Looking at the background first makes the reason clearer.",
    "In practice the same thing tends to come back again and again.",
    "It is best to check the small parts one by one.",
    "If anything is unclear, simply ask a follow-up question.",
)
CODE = "```python\ndef answer(question: str) -> str:\n    return question.strip()\n```"
TABLE = "| item | value |\n|---|---|\n| one | 1 |\n| two | 2 |"


def directives(prompt: str) -> dict[str, str]:
    """Return what a prompt asks of the simulator, such as `#chars=5000`, `#cut=200`, `#code`, `#table`, `#refuse`."""
    return dict(DIRECTIVE.findall(prompt))


def text_of(content: Any) -> str:
    """Return the text of a message's content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return " ".join(str(part.get("text", "")) for part in parts if isinstance(part, dict)).strip()


def compose(messages: list[dict[str, Any]]) -> str:
    """Return the whole answer to a conversation; one that broke off is gone on with if that is what is asked."""
    rest = _rest(messages)
    if rest is not None:
        return rest
    questions = [text_of(m.get("content")) for m in messages if m.get("role") == "user"]
    prompt = questions[-1] if questions else ""
    korean = bool(re.search(r"[가-힣]", prompt))
    asked = f"질문하신 내용: {prompt}" if korean else f"You asked: {prompt}"
    parts = [asked, *_persona(messages), *_about_history(questions[:-1], korean), *_about_images(messages, korean)]
    wishes = directives(prompt)
    if "code" in wishes:
        parts.append(CODE)
    if "table" in wishes:
        parts.append(TABLE)
    filler = KOREAN_FILLER if korean else ENGLISH_FILLER
    parts.append(" ".join(filler))
    answer = "\n\n".join(parts)
    wanted = int(wishes["chars"]) if wishes.get("chars", "").isdigit() else 0
    return _stretched(answer, filler, wanted) if wanted else answer


def _about_history(earlier: list[str], korean: bool) -> list[str]:
    if not earlier:
        return []
    if korean:
        return [f"이 대화의 {len(earlier) + 1}번째 질문이고, 바로 앞의 질문은 이것이었습니다: {earlier[-1]}"]
    return [f"This is question {len(earlier) + 1} of our conversation; the one before was: {earlier[-1]}"]


def image_urls(message: dict[str, Any]) -> list[str]:
    """Return the addresses of the pictures in a message."""
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    shown = (p.get("image_url") for p in parts if isinstance(p, dict) and p.get("type") == "image_url")
    return [str(picture.get("url", "")) for picture in shown if isinstance(picture, dict)]


def _about_images(messages: list[dict[str, Any]], korean: bool) -> list[str]:
    urls = image_urls(messages[-1]) if messages else []
    if not urls:
        return []
    found = [size_in(in_data_url(url) or b"") for url in urls]
    sizes = ", ".join(f"{size.width}×{size.height}" for size in found if size is not None)
    shown = f" ({sizes})" if sizes else ""
    if korean:
        return [f"함께 보낸 그림 {len(urls)}장을 보았습니다{shown}."]
    return [f"I see {len(urls)} image{'s' if len(urls) > 1 else ''}{shown}."]


def _persona(messages: list[dict[str, Any]]) -> list[str]:
    """Say what the system prompt asks to be said with `#say=word`, so that a test sees whose wishes went along."""
    told = (text_of(m.get("content")) for m in messages if m.get("role") in ("system", "developer"))
    return [word for text in told if (word := directives(text).get("say"))]


def _rest(messages: list[dict[str, Any]]) -> str | None:
    """Return what is missing of the answer before the last message, if that one asks to go on with it."""
    said = [m for m in messages if m.get("role") in ("user", "assistant")]
    if len(said) < 3 or [m["role"] for m in said[-2:]] != ["assistant", "user"]:
        return None
    seam = text_of(said[-2].get("content")).strip()[-SEAM:]
    if not seam or not GO_ON.search(text_of(said[-1].get("content"))):
        return None
    kept = messages[: messages.index(said[-2])]
    before, found, after = compose(kept).partition(seam)
    return after.lstrip() if found and before and after.strip() else None


def _stretched(answer: str, filler: tuple[str, ...], length: int) -> str:
    """Bring an answer to exactly `length` characters, in numbered sentences so that no part looks like another."""
    pieces = [answer, "\n\n"]
    size = len(answer) + 2
    number = 0
    while size < length:
        number += 1
        sentence = f"({number}) {filler[number % len(filler)]} "
        pieces.append(sentence)
        size += len(sentence)
    return "".join(pieces)[:length]


def tokens(text: str) -> list[str]:
    """Cut a text into pieces about as large as a model's tokens; joined they are the text again."""
    return re.findall(r"\s*\S{1,4}|\s+$", text)
