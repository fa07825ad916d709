"""What OpenAI's moderation says of a text: it flags what the text itself asks to be flagged for.

Source: developers.openai.com/docs/guides/moderation, `CreateModerationResponse` (August 2026).
"""

from __future__ import annotations

import re
from typing import Any

from simulator.chat_text import text_of

CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
FLAG = re.compile(r"#flag(?:=([a-z/,-]+))?")
DEFAULT = "violence"


def moderated_texts(given: Any) -> list[str] | None:
    """Return a text for each result `input` earns, or None if it is none: a list of parts is looked at as a whole."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not given:
        return None
    if all(isinstance(item, str) for item in given):
        return list(given)
    return [text_of(given)] if all(isinstance(item, dict) for item in given) else None


def verdict(text: str) -> dict[str, Any]:
    """Return one result; `#flag=sexual,hate` flags for these, `#flag` alone for violence."""
    wished = {name for match in FLAG.finditer(text) for name in (match[1] or DEFAULT).split(",")}
    flagged = {name: name in wished for name in CATEGORIES}
    return {
        "flagged": any(flagged.values()),
        "categories": flagged,
        "category_scores": {name: 0.98 if hit else 0.0001 for name, hit in flagged.items()},
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }
