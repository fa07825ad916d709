"""What answers cost, by the prices the operator states.

Nobody guesses a provider's price here: what has none is counted but not priced. One price holds for every chat model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.userdata.usage import Usage

MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars: for a million tokens in and out, for a picture, for one made larger, for a video; 0 is unknown."""

    chat_input_per_million: float = 0.0
    chat_output_per_million: float = 0.0
    image: float = 0.0
    video: float = 0.0
    upscale: float = 0.0

    @property
    def known(self) -> bool:
        """Whether any price is known."""
        return any((self.chat_input_per_million, self.chat_output_per_million, self.image, self.video, self.upscale))

    def of(self, usage: Usage) -> int:
        """Return what this took in millionths of a dollar, as far as prices are known."""
        # A dollar for a million tokens is a millionth of a dollar for one.
        tokens = (
            usage.prompt_tokens * self.chat_input_per_million + usage.completion_tokens * self.chat_output_per_million
        )
        pictures = (usage.images - usage.enlarged) * self.image + usage.enlarged * self.upscale
        return round(tokens + (pictures + usage.videos * self.video) * MICRO)

    def priced(self, usage: Usage) -> Usage:
        """Return the same with its cost."""
        return replace(usage, micro_usd=self.of(usage))


NO_PRICES = Prices()
