"""Costs are the operator's prices times what was used, and nothing is made up."""

from __future__ import annotations

import pytest

from app.commands.prices import NO_PRICES, Prices
from app.userdata.usage import NO_USAGE, Usage

PRICES = Prices(chat_input_per_million=0.25, chat_output_per_million=2.0, image=0.04, video=0.28, upscale=0.25)


@pytest.mark.parametrize(
    ("usage", "micro_usd"),
    [
        (NO_USAGE, 0),
        (Usage(prompt_tokens=1_000_000), 250_000),
        (Usage(completion_tokens=1_000), 2_000),
        (Usage(prompt_tokens=400, completion_tokens=300), 700),
        (Usage(images=4), 160_000),
        (Usage(videos=1, images=1), 320_000),
        (Usage(images=3, enlarged=1), 330_000),
    ],
)
def test_a_cost(usage: Usage, micro_usd: int) -> None:
    """In millionths of a dollar; what is priced is otherwise unchanged."""
    assert PRICES.of(usage) == micro_usd
    priced = PRICES.priced(usage)
    assert priced.micro_usd == micro_usd
    assert (priced.prompt_tokens, priced.completion_tokens) == (usage.prompt_tokens, usage.completion_tokens)


def test_unknown_prices() -> None:
    """Without prices everything costs 0 and says that it is not known; one price is known if the others are not."""
    assert NO_PRICES.of(Usage(10, 10, 1, 1)) == 0
    assert not NO_PRICES.known
    assert Prices(video=0.5).known
    assert Prices(video=0.5).of(Usage(prompt_tokens=10, images=3)) == 0
    assert Prices(image=0.5).of(Usage(images=1, enlarged=1)) == 0, "a drawing's price is not made up for an enlargement"
