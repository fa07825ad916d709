"""Puts the frames of a streamed chat completion together: text, why it ended, what it cost.

A frame is taken as the JSON it is. Making the SDK's own objects of it, which it does not check against their types
either, costs three times as much as all the rest, for each of some forty frames a second and user.
"""

from __future__ import annotations

from app.errors import ProviderBadAnswer, ProviderRefused
from app.providers.base import ChatChunk, ChatFinish

ANSWER_CHARS = 200_000
_FINISHES = {"stop": ChatFinish.STOP, "length": ChatFinish.LENGTH}


class Transcript:
    """One answer as it grows; `finish` is set once the model has stopped."""

    def __init__(self) -> None:
        self.finish: ChatFinish | None = None
        self.overflowed = False
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self._chars = 0
        self._half = ""

    def take(self, frame: object) -> str:
        """Take one frame in and return the text it adds; raise what the frame itself says went wrong."""
        self._take_usage(_get(frame, "usage"))
        choices = _get(frame, "choices")
        if self.finish is not None or not isinstance(choices, list) or not choices:
            return ""
        delta = _get(choices[0], "delta")
        refusal = _get(delta, "refusal")
        if isinstance(refusal, str) and refusal.strip():
            raise ProviderRefused("openai: the model refused to answer", provider="openai")
        content = _get(delta, "content")
        text = self._whole(content) if isinstance(content, str) else ""
        self._take_finish(_get(choices[0], "finish_reason"))
        return self._bounded(text)

    def last(self) -> ChatChunk:
        """Return the chunk that ends the answer; raise `ProviderBadAnswer` if there is no whole answer."""
        if self.finish is None:
            raise ProviderBadAnswer("openai: the stream ended without a finish reason", provider="openai")
        if self._chars == 0:
            said = f"openai: the model stopped ({self.finish}) without any text"
            raise ProviderBadAnswer(said, provider="openai")
        return ChatChunk("", self.finish, self.prompt_tokens, self.completion_tokens)

    def _take_finish(self, reason: object) -> None:
        if reason is None:
            return
        if reason == "content_filter":
            raise ProviderRefused("openai: the answer was withheld (content_filter)", provider="openai")
        finish = _FINISHES.get(reason) if isinstance(reason, str) else None
        if finish is None:
            # Tools were never offered, so a call of one is as unreadable as an unknown reason.
            raise ProviderBadAnswer("openai: the stream ended with an unknown finish reason", provider="openai")
        self.finish = finish

    def _take_usage(self, usage: object) -> None:
        prompt, completion = _get(usage, "prompt_tokens"), _get(usage, "completion_tokens")
        if isinstance(prompt, int) and isinstance(completion, int):
            self.prompt_tokens, self.completion_tokens = prompt, completion

    def _whole(self, content: str) -> str:
        """Join a character that two frames share: JSON can cut an emoji into two escaped surrogates."""
        text = self._half + content
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        text = text.removesuffix(self._half) if self._half else text
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _bounded(self, text: str) -> str:
        """Cut the answer at `ANSWER_CHARS`: no token limit lets a model get there, only a broken server does."""
        text = text[: ANSWER_CHARS - self._chars]
        self._chars += len(text)
        if self._chars >= ANSWER_CHARS:
            self.finish, self.overflowed = ChatFinish.LENGTH, True
        return text


def _get(parent: object, name: str) -> object:
    return parent.get(name) if isinstance(parent, dict) else None
