"""Faults on request: which call goes wrong, how, and how often.

A fault is an object like `{"target": "openai", "route": "chat", "key": "set-2", "kind": "429", "count": 3}`.

- `target`: `openai`, `stability`, `minimax` or `discord`; `route` (a substring) and `key` (a label) narrow it.
- `kind`: see `PROVIDER_KINDS` and `DISCORD_KINDS`.
- how often: `count` calls, or with `probability`, or for `for_s` seconds from now; they may be combined.
- parameters: `retry_after` (s), `seconds`, `code`, `message`, `bytes`, `after_ack_s`, `final` (of Discord: only calls
  that bring an outcome, no progress).
"""

from __future__ import annotations

import random
import time
from dataclasses import asdict, dataclass
from typing import Any

WIRE_KINDS = frozenset({"500", "503", "hang", "slow", "trickle", "cut", "reset", "huge", "done_then_drop", "garbage"})
PROVIDER_KINDS = WIRE_KINDS | {
    "429", "401", "403", "quota", "refusal", "filter", "error_frame", "base_resp", "task_failed", "no_finish",
}  # fmt: skip
DISCORD_KINDS = WIRE_KINDS | {"429", "10015", "10008", "50027", "10003", "50001", "50007", "50013"}
KINDS = {"openai": PROVIDER_KINDS, "stability": PROVIDER_KINDS, "minimax": PROVIDER_KINDS, "discord": DISCORD_KINDS}


@dataclass(slots=True)
class Fault:
    """One rule. `left` counts down where `count` was given."""

    id: int
    target: str
    kind: str
    route: str = ""
    key: str = ""
    left: int | None = None
    probability: float | None = None
    until: float | None = None
    retry_after: float | None = None
    seconds: float = 30.0
    code: int | str | None = None
    message: str = ""
    bytes: int = 50 * 1024 * 1024
    after_ack_s: float | None = None
    final: bool = False
    hits: int = 0

    def describe(self) -> dict[str, Any]:
        """Return the rule as JSON values, `until` as seconds that remain."""
        values = asdict(self)
        if self.until is not None:
            values["until"] = round(max(0.0, self.until - time.monotonic()), 3)
        return values


class FaultBook:
    """The rules now in force, first match wins."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._next_id = 1
        self.rules: list[Fault] = []

    def add(self, raw: dict[str, Any]) -> Fault:
        """Add a rule; `ValueError` says what is wrong with it."""
        values = dict(raw)
        target, kind = str(values.pop("target", "")), str(values.pop("kind", ""))
        if target not in KINDS:
            raise ValueError(f"target must be one of {', '.join(KINDS)}")
        if kind not in KINDS[target]:
            raise ValueError(f"kind for {target} must be one of {', '.join(sorted(KINDS[target]))}")
        count, for_s = values.pop("count", None), values.pop("for_s", None)
        until = time.monotonic() + float(for_s) if for_s is not None else None
        try:
            fault = Fault(self._next_id, target, kind, left=count, until=until, **values)
        except TypeError as error:
            raise ValueError(f"unknown parameter: {error}") from None
        self._next_id += 1
        self.rules.append(fault)
        return fault

    @property
    def tell_finals_apart(self) -> bool:
        """Say whether some rule is about outcomes only, so that a call's body matters."""
        return any(rule.final for rule in self.rules)

    def clear(self) -> None:
        """Forget every rule."""
        self.rules.clear()

    def remove(self, number: int) -> None:
        """Forget the rule with this number."""
        self.rules = [rule for rule in self.rules if rule.id != number]

    def draw(
        self, target: str, route: str, key: str = "", since_ack_s: float | None = None, *, final: bool = False
    ) -> Fault | None:
        """Return the fault this call suffers, if any, and count it."""
        if not self.rules:
            return None
        now = time.monotonic()
        self.rules = [rule for rule in self.rules if rule.left != 0 and (rule.until is None or rule.until > now)]
        for rule in self.rules:
            if (final or not rule.final) and self._hits(rule, target, route, key, since_ack_s):
                rule.hits += 1
                if rule.left is not None:
                    rule.left -= 1
                return rule
        return None

    def _hits(self, rule: Fault, target: str, route: str, key: str, since_ack_s: float | None) -> bool:
        if rule.target != target or rule.route not in route or (rule.key and rule.key != key):
            return False
        if rule.after_ack_s is not None and (since_ack_s is None or since_ack_s >= rule.after_ack_s):
            return False
        return rule.probability is None or self._rng.random() < rule.probability
