"""What the ledger says of growing answers, and which targets that misses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.streams import Figures, figures

GOOD = Figures(
    streams=2,
    whole=2,
    first_word_p50_ms=20.0,
    first_word_p95_ms=50.0,
    edits_per_second_p50=1.02,
    edits_per_second_least=1.0,
    rate_limited=0,
    cpu_share=0.5,
)


def edit(id_: str, at: float, head: str, **more: Any) -> dict[str, Any]:
    """Return an edit as the ledger has it."""
    line = {"event": "webhook", "method": "PATCH", "interaction": id_, "t": at, "head": head, "ok": True, "status": 200}
    return {**line, "final": False, **more}


def ledger() -> list[dict[str, Any]]:
    """Return two answers: one with a word of progress before its text, one that was refused an edit."""
    return [
        {"event": "provider_call", "n": 1, "t": 0.0, "head": "one?"},
        {"event": "provider_call", "n": 2, "t": 0.0, "head": "two?"},
        edit("i1", 0.9, "⏳ Thinking…"),
        {"event": "provider_first", "t": 1.0, "call": 1},
        {"event": "provider_first", "t": 1.0, "call": 2},
        edit("i1", 1.1, "Hel ▌"),
        edit("i2", 1.2, "Hel ▌", ok=False, status=429),
        edit("i2", 1.3, "Hel ▌"),
        edit("i1", 2.1, "Hello ▌"),
        edit("i2", 1.8, "Hello ▌"),
        edit("i1", 3.1, "Hello you ▌"),
        edit("i1", 3.2, "Hello you.", final=True),
        edit("other", 3.2, "Not ours", final=True),
    ]


def test_the_ledger_is_read_as_users_see_it() -> None:
    """From the first token to the first text, not to a word of progress; edits by their distance; refusals counted."""
    found = figures(ledger(), {"one?": "i1", "two?": "i2"}, 0.25)
    assert (found.streams, found.whole, found.rate_limited, found.cpu_share) == (2, 1, 1, 0.25)
    assert found.first_word_p50_ms == pytest.approx(200)
    assert found.edits_per_second_least == pytest.approx(1.0)
    assert found.edits_per_second_p50 == pytest.approx(1.5)


def test_good_figures_miss_nothing() -> None:
    """Each target is reached."""
    assert GOOD.misses == []


@pytest.mark.parametrize(
    ("spoilt", "word"),
    [
        ({"whole": 1}, "whole answer"),
        ({"first_word_p50_ms": 301.0}, "first word"),
        ({"edits_per_second_p50": 0.9}, "edit a second"),
        ({"rate_limited": 1}, "429"),
    ],
)
def test_each_target_can_be_missed(spoilt: dict[str, Any], word: str) -> None:
    """And is named."""
    (miss,) = replace(GOOD, **spoilt).misses
    assert word in miss
