"""What a simulator can be told before it starts: who may call, how fast things are, and how strict."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROVIDERS = ("openai", "stability", "minimax")


@dataclass(frozen=True, slots=True)
class Speed:
    """How long a provider's work takes, in seconds; every duration is spread by ±`spread` (0.2 is ±20 %)."""

    ttft_s: float = 0.05
    tokens_per_s: float = 400.0
    image_s: float = 0.2
    video_s: float = 1.0
    spread: float = 0.2


@dataclass(frozen=True, slots=True)
class Limits:
    """What one key may do; None means without limit. `rpm` and `rpd` are sliding windows over *costly* calls."""

    rpm: int | None = None
    rpd: int | None = None
    in_flight: int | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """One provider key. Only `label` ever reaches the ledger; without one the label is a digest of the secret."""

    provider: str
    secret: str = field(repr=False)
    label: str = ""
    limits: Limits | None = None
    speed: Speed | None = None
    organization: str = ""
    """Whose key it is at OpenAI or Stability; without a name, each key is of an organization of its own."""


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """Everything configurable. Times are seconds, sizes bytes.

    `keys` empty for a provider: any key is accepted. `default_target` is the interactions endpoint used where none is
    given; `public_url` is how others reach us, if not by the address we listen on. `window_slack_s` shortens limit
    windows a little, since a caller counts when it sends and we count when the call arrives. `operator_url` is
    where the playground's switches lead (control_operator.py); `instance_count` only tells it users' homes.
    """

    seed: int | None = None
    application_id: str = "1200000000000000000"
    bot_token: str = field(default="simulated-bot-token", repr=False)
    control_token: str = field(default="", repr=False)
    default_target: str = ""
    public_url: str = ""
    operator_url: str = ""
    operator_token: str = field(default="", repr=False)
    instance_count: int = 4
    progress_mark: str = "⏳"
    cursor_mark: str = "▌"
    instance_header: str = "X-Quartet-Instance"

    ack_limit_s: float = 3.0
    token_lifetime_s: float = 900.0
    race_s: float = 0.0
    attachment_size_limit: int = 10 * 1024 * 1024
    webhook_burst: int = 5
    webhook_burst_s: float = 2.0
    webhook_minute: int = 30
    webhook_minute_s: float = 60.0
    channel_burst: int = 5
    channel_burst_s: float = 5.0
    nonce_s: float = 300.0
    max_user_install_followups: int = 5
    invalid_request_limit: int = 10_000
    require_user_agent: bool = True
    shuffle_payload_keys: bool = False
    keep_interactions: int = 20_000

    keys: tuple[Key, ...] = ()
    limits: dict[str, Limits] = field(default_factory=dict)
    speed: Speed = Speed()
    window_slack_s: float = 0.25
    chat_context_chars: int = 400_000
    image_px: int = 256
    video_bytes: int = 20_000
    video_url_lifetime_s: float = 3600.0
    faults: tuple[dict[str, Any], ...] = ()
    commands: tuple[dict[str, Any], ...] = ()

    @classmethod
    def from_file(cls, path: Path, **overrides: Any) -> SimulatorConfig:
        """Read a JSON object with these field names; `keys`, `limits` and `speed` are nested objects likewise."""
        return cls.from_dict({**json.loads(path.read_text("utf-8")), **overrides})

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> SimulatorConfig:
        """Build from plain JSON values; an unknown name is a `ValueError`, so that a typo does not pass silently."""
        known = {f.name for f in dataclasses.fields(cls)}
        if unknown := sorted(set(raw) - known):
            raise ValueError(f"unknown configuration: {', '.join(unknown)}")
        values = dict(raw)
        if "keys" in values:
            values["keys"] = tuple(_key(item) for item in values["keys"])
        if "limits" in values:
            values["limits"] = {name: Limits(**item) for name, item in values["limits"].items()}
        if "speed" in values:
            values["speed"] = Speed(**values["speed"])
        for name in ("faults", "commands"):
            if name in values:
                values[name] = tuple(values[name])
        return cls(**values)


def _key(item: dict[str, Any]) -> Key:
    limits, speed = item.get("limits"), item.get("speed")
    return Key(
        provider=item["provider"],
        secret=item["secret"],
        label=item.get("label", ""),
        limits=Limits(**limits) if limits else None,
        speed=Speed(**speed) if speed else None,
        organization=item.get("organization", ""),
    )
