"""The configuration of one instance, read once from the environment by the composition root.

`CommonSettings` are the variables all instances share; `InstanceSettings` adds which instance this is and its own key
set. A wrong environment raises `SettingsError` with every fault at once, by variable name, never with a value.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from app.errors import SettingsError
from app.store_url import is_redis_url, redis_address

MAX_INSTANCES = 16
LONGEST_SOCKET_PATH = 107  # sun_path of Linux has 108 bytes, the last of them 0
SQLITE_PREFIX = "sqlite:///"


def _http_url(value: str) -> str:
    """Accept an absolute http(s) URL without query or fragment; a trailing slash is dropped."""
    value = value.strip()
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        raise ValueError("is not a URL: expected something like https://example.com/path") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("is not an http(s) URL: expected something like https://example.com/path")
    if "@" in parts.netloc:
        raise ValueError("holds a user name or a password, which would go out in place of the API key")
    return value.rstrip("/")


def _optional_url(value: str) -> str:
    return _http_url(value) if value.strip() else ""


def _public_key(value: str) -> str:
    value = value.strip().lower()
    if len(value) != 64 or any(character not in "0123456789abcdef" for character in value):
        raise ValueError(
            "is not a public key: expected 64 hexadecimal characters (Developer Portal, General Information)"
        )
    return value


def _snowflake(value: str) -> str:
    value = value.strip()
    if not (value.isascii() and value.isdigit() and 1 <= len(value) <= 20):
        raise ValueError("is not an application id: expected up to 20 digits (Developer Portal, General Information)")
    return value


def _store_url(value: str) -> str:
    value = value.strip()
    if is_redis_url(value):
        redis_address(value)
    elif not value.startswith(SQLITE_PREFIX) or value == SQLITE_PREFIX:
        raise ValueError("is not a store this version has: expected sqlite:///path/to/file.db or redis://host:6379/0")
    return value


def _key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if not text:
        raise ValueError("is empty: expected an API key")
    if not text.isprintable() or not text.isascii() or " " in text:
        raise ValueError("has a character that no key has (a space, a line break or a letter outside ASCII)")
    return SecretStr(text)


def _listed(value: object) -> list[str]:
    """Split at commas; what is no text was parsed before."""
    words = value.split(",") if isinstance(value, str) else list(value) if isinstance(value, (tuple, frozenset)) else []
    return [word for word in (str(word).strip() for word in words) if word]


def _is_id(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 20


def _ids(value: object) -> frozenset[str]:
    ids = _listed(value)
    if not all(_is_id(id) for id in ids):
        raise ValueError("is not a list of ids: expected up to 20 digits each, with commas between them")
    return frozenset(ids)


def _models(value: object) -> tuple[str, ...]:
    models = _listed(value)
    if any(len(model) > 100 or not model.isprintable() or " " in model for model in models):
        raise ValueError("is not a list of models: expected up to 100 characters each, with commas between them")
    return tuple(dict.fromkeys(models))


def _role_quotas(value: object) -> dict[str, int]:
    if isinstance(value, dict):
        return value
    quotas = {}
    for pair in _listed(value):
        role, _, jobs = (part.strip() for part in pair.partition("="))
        if not _is_id(role) or not (jobs.isascii() and jobs.isdigit() and len(jobs) <= 7):
            raise ValueError("is not a list of quotas: expected ROLE=JOBS, both digits, with commas between the pairs")
        quotas[role] = int(jobs)
    return quotas


def _socket_path(value: str) -> str:
    if value and not (value.startswith("/") and len(os.fsencode(value)) <= LONGEST_SOCKET_PATH):
        raise ValueError(
            f"is not the path of a socket: expected an absolute one of {LONGEST_SOCKET_PATH} bytes at most"
        )
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
SocketPath = Annotated[str, AfterValidator(_socket_path)]
PublicKey = Annotated[str, AfterValidator(_public_key)]
Snowflake = Annotated[str, AfterValidator(_snowflake)]
ApiKey = Annotated[SecretStr, AfterValidator(_key)]
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=0, le=10_000_000)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Dollars = Annotated[float, Field(ge=0, le=10_000)]
Ids = Annotated[frozenset[str], NoDecode, BeforeValidator(_ids)]
Models = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_models)]
RoleQuotas = Annotated[dict[str, int], NoDecode, BeforeValidator(_role_quotas)]


class CommonSettings(BaseSettings):
    """What all instances share. Field names in upper case are the variables' names."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    discord_application_id: Snowflake
    discord_public_key: PublicKey

    instance_count: Annotated[int, Field(ge=1, le=MAX_INSTANCES)] = 4
    routing: Literal["user", "functional"] = "user"

    data_dir: Path = Path("./data")
    store_url: Annotated[str, AfterValidator(_store_url)] = "sqlite:///$DATA_DIR/quartet.db"
    store_replicas: Annotated[int, Field(ge=0, le=10)] = 0

    discord_api_url: HttpUrl = "https://discord.com/api/v10"
    openai_base_url: HttpUrl = "https://api.openai.com/v1"
    stability_base_url: HttpUrl = "https://api.stability.ai"
    minimax_base_url: HttpUrl = "https://api.minimax.io"

    openai_model: Annotated[str, Field(min_length=1, max_length=200)] = "gpt-5.4-mini"
    chat_models: Models = ()
    openai_max_output_tokens: Annotated[int, Field(ge=16, le=1_000_000)] = 4096
    minimax_image_model: Annotated[str, Field(min_length=1, max_length=200)] = "image-01"
    minimax_video_model: Annotated[str, Field(min_length=1, max_length=200)] = "MiniMax-Hailuo-2.3"
    system_prompt: Annotated[str, Field(max_length=32_000)] = (
        "You are a helpful assistant in a Discord server. Answer in the language of the question, clearly and "
        "concisely. Use Discord's Markdown."
    )

    openai_rpm: Count = 3500
    stability_rpm: Count = 100
    minimax_rpd: Count = 100
    openai_max_in_flight: Count = 0
    stability_max_in_flight: Count = 0
    minimax_max_in_flight: Count = 0
    day_starts_at_utc: Annotated[int, Field(ge=0, le=23)] = 0
    stealing: bool = True

    max_concurrent_jobs: Annotated[int, Field(ge=0, le=1000)] = 10
    max_queued_jobs: Count = 1000

    chat_daily_limit: Count = 1000
    image_daily_limit: Count = 50
    video_daily_limit: Count = 10
    user_max_running: Count = 5
    user_daily_quota: Count = 0
    role_daily_quotas: RoleQuotas = Field(default_factory=dict)
    chat_cooldown_s: Seconds = 0
    image_cooldown_s: Seconds = 1
    video_cooldown_s: Seconds = 2

    moderation: Literal["off", "on"] = "off"
    allowed_users: Ids = frozenset()
    allowed_roles: Ids = frozenset()
    allowed_channels: Ids = frozenset()
    allowed_guilds: Ids = frozenset()
    blocked_users: Ids = frozenset()
    blocked_roles: Ids = frozenset()
    blocked_channels: Ids = frozenset()
    blocked_guilds: Ids = frozenset()

    price_chat_input_per_million: Dollars = 0
    price_chat_output_per_million: Dollars = 0
    price_image: Dollars = 0
    price_upscale: Dollars = 0
    price_video: Dollars = 0

    memory_ttl_s: Annotated[float, Field(ge=0, le=30 * 86_400)] = 6 * 3600
    memory_tokens: Annotated[int, Field(ge=0, le=1_000_000)] = 3000

    chat_timeout_s: Annotated[float, Field(gt=0, le=840)] = 180
    image_timeout_s: Annotated[float, Field(gt=0, le=840)] = 120
    video_poll_s: Annotated[float, Field(gt=0, le=120)] = 5

    lease_s: Annotated[float, Field(ge=2, le=600)] = 20
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    otel_exporter_otlp_endpoint: Annotated[str, AfterValidator(_optional_url)] = ""

    @model_validator(mode="after")
    def _place_store(self) -> Self:
        if not is_redis_url(self.store_url):
            place = self.store_url.replace("${DATA_DIR}", "$DATA_DIR").replace("$DATA_DIR", str(self.data_dir))
            self.store_url = place
        return self

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show numbers only: a secret may have been pasted into any variable that takes a text."""
        return ((name, value) for name, value in super().__repr_args__() if isinstance(value, int | float))

    @property
    def sqlite_path(self) -> Path:
        """The job store's file."""
        return Path(self.store_url.removeprefix(SQLITE_PREFIX))


class InstanceSettings(CommonSettings):
    """One instance: its id, where it listens, and its own key set."""

    instance_id: Annotated[int, Field(ge=1, le=MAX_INSTANCES)]
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Port = 8000
    unix_socket: SocketPath = ""

    discord_token: SecretStr = SecretStr("")
    openai_api_key: ApiKey
    minimax_api_key: ApiKey
    stability_api_key: ApiKey

    @field_validator("instance_id")
    @classmethod
    def _id_within_count(cls, value: int, info: ValidationInfo) -> int:
        count = info.data.get("instance_count", MAX_INSTANCES)
        if value > count:
            raise ValueError(f"{value} is larger than INSTANCE_COUNT, which is {count}")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment (and what a test passes in), then SECRETS_DIR; never a `.env` file lying about."""
        return init_settings, env_settings, file_secret_settings

    @property
    def secrets(self) -> list[str]:
        """Every secret value this process holds, for redaction."""
        keys = (self.discord_token, self.openai_api_key, self.minimax_api_key, self.stability_api_key)
        store = redis_address(self.store_url).secrets if is_redis_url(self.store_url) else []
        return [*(key.get_secret_value() for key in keys if key.get_secret_value()), *store]


def faults_of(error: ValidationError) -> list[str]:
    """Turn a validation error into one line for each fault, starting with the variable's name, without its value."""
    return [_fault_line(detail) for detail in error.errors(include_url=False, include_input=False)]


def _fault_line(detail: Mapping[str, Any]) -> str:
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    name = str(detail["loc"][0]).upper()
    if detail["type"] == "missing":
        return f"{name}: is missing"
    return f"{name}: {message[:1].lower()}{message[1:]}"


def read_instance_settings(**overrides: Any) -> InstanceSettings:
    """Read the environment once; raise `SettingsError` listing every fault.

    SECRETS_DIR (directories, with `:` between them) holds a file for each variable that is not to stand in the
    environment, where whoever may look at the process reads it: OPENAI_API_KEY, STORE_URL and the like.
    """
    places = [Path(place) for place in os.environ.get("SECRETS_DIR", "").split(os.pathsep) if place]
    missing = [place for place in places if not place.is_dir()]
    if missing:
        raise SettingsError([f"SECRETS_DIR: {place} is not a directory" for place in missing])
    try:
        return InstanceSettings(_secrets_dir=places or None, **overrides)
    except ValidationError as error:
        raise SettingsError(faults_of(error)) from None
