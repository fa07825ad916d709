"""Takes anything that looks like a secret out of a text before a person or a log can see it.

Providers echo keys in their errors (Stability: the first seven and last four characters), Discord's URLs carry
interaction tokens, and a proxy's error page may hold a whole request. When in doubt, a word is masked: losing an id
in a log line costs little, a leaked key costs everything. Every pattern runs in time linear in the text's length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

MASK = "[redacted]"
EXCERPT_CHARS = 300
_SHORTEST_SECRET = 6
_SHORTEST_RANDOM = 24

_JWT = re.compile(r"\beyJ[\w-]{6,2000}\.[\w-]{6,2000}(?:\.[\w-]*)?")
_PREFIXED_KEY = re.compile(r"\b(?:sk|pk|rk)[-_][\w*….-]{4,}")
_BEARER = re.compile(r"\b(bearer|basic|bot)\s+(?=[^\s\"',]*[\d*…])[\w.~+/=*…-]{8,}", re.IGNORECASE)
_DISCORD_TOKEN = re.compile(r"\b[\w-]{23,30}\.[\w-]{5,8}\.[\w-]{27,}")
_TOKEN_IN_PATH = re.compile(r"(/(?:webhooks|interactions)/\d{1,20}/)[^\s/?#\"'<>]+")
_NAMED = re.compile(
    r"((?:api[_-]?key|authorization|token|secret|password|signature|credential)[\"']?\s{0,3}[:=]\s{0,3}[\"']?)"
    r"[^\s\"',;&}]{12,}",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\s\"'<>]+")
_RUN = re.compile(rf"[A-Za-z0-9_+/=-]{{{_SHORTEST_RANDOM},}}")
_ALNUM = re.compile(rf"[A-Za-z0-9]{{{_SHORTEST_RANDOM},}}")


def _mask_starred(match: re.Match[str]) -> str:
    """Mask a word such as `sk-nota********zzzz`: what stands around the stars are characters of a key."""
    word = match.group()
    return MASK if "***" in word and word.strip("*") else word


def _mask_random(match: re.Match[str]) -> str:
    """Mask a run that mixes letters and digits as keys do; names in snake_case and file paths stay readable."""
    run = match.group()
    has_digit = any(c.isdigit() for c in run)
    if any(c.islower() for c in run) and any(c.isupper() for c in run):
        looks_random = len(run) >= 32 if has_digit and "/" not in run else len(run) >= 40
        if looks_random and (has_digit or "/" not in run):
            return MASK
    return _ALNUM.sub(_mask_alnum, run)


def _mask_alnum(match: re.Match[str]) -> str:
    run = match.group()
    return MASK if not run.isdigit() and not run.isalpha() else run


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` with the given `secrets`, and whatever looks like a key or token, replaced by `[redacted]`."""
    for secret in sorted({s for s in secrets if len(s) >= _SHORTEST_SECRET}, key=len, reverse=True):
        text = text.replace(secret, MASK).replace(quote(secret, safe=""), MASK)
    text = _TOKEN_IN_PATH.sub(rf"\1{MASK}", text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    text = _DISCORD_TOKEN.sub(MASK, text)
    text = _JWT.sub(MASK, text)
    text = _PREFIXED_KEY.sub(MASK, text)
    text = _NAMED.sub(rf"\1{MASK}", text)
    text = _WORD.sub(_mask_starred, text)
    return _RUN.sub(_mask_random, text)


def excerpt(text: str, secrets: Iterable[str] = (), *, limit: int = EXCERPT_CHARS) -> str:
    """Return one redacted line of at most `limit` characters, for an exception's message.

    Only the first few `limit`s are looked at, so that a huge error page costs nothing; a word that this first cut
    splits is dropped, because half a key no longer looks like one.
    """
    head = text[: limit * 8]
    if len(text) > len(head):
        kept, _, _ = head.rpartition(" ")
        head = kept or MASK
    line = " ".join(redact(head, secrets).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
