"""The providers of one instance, each with its own key, and what the commands get of them."""

from __future__ import annotations

from collections.abc import Callable

import httpx2

from app import configured
from app.balancing.keyset import KeySet
from app.clock import Clock
from app.commands.base import Services
from app.discord.attachments import AttachmentFetcher
from app.providers.base import RateListener
from app.providers.minimax import MiniMaxImage, MiniMaxVideo
from app.providers.openai_chat import OpenAIChat
from app.providers.openai_moderation import OpenAIModeration
from app.providers.stability import StabilityImage
from app.settings import InstanceSettings
from app.users import Users


def chat(
    settings: InstanceSettings,
    http: httpx2.AsyncClient,
    clock: Clock,
    *,
    on_rate: RateListener,
    stretch: Callable[[], float],
) -> OpenAIChat:
    """Return the chat client; `on_rate` hears what each answer's headers say of the key, `stretch` how busy we are."""
    return OpenAIChat(
        settings.openai_api_key.get_secret_value(),
        settings.openai_base_url,
        settings.openai_model,
        http,
        max_output_tokens=settings.openai_max_output_tokens,
        clock=clock,
        on_rate=on_rate,
        stretch=stretch,
    )


def services(
    settings: InstanceSettings,
    users: Users,
    keys: KeySet,
    chat_client: OpenAIChat,
    http: httpx2.AsyncClient,
    discord_http: httpx2.AsyncClient,
    clock: Clock,
) -> Services:
    """Return what commands work with."""
    return Services(
        chat=chat_client,
        images=(_stability(settings, http, clock), _minimax_image(settings, http, clock)),
        video=_minimax_video(settings, http, clock),
        keys=keys,
        system_prompt=settings.system_prompt,
        chat_timeout_s=settings.chat_timeout_s,
        image_timeout_s=settings.image_timeout_s,
        video_poll_s=settings.video_poll_s,
        user_ref=configured.user_reference(settings),
        conversations=users.conversations,
        files=AttachmentFetcher(discord_http, settings.discord_api_url),
        memory=users.memory,
        models=users.models,
        chosen=users.choices.of,
        usage=users.usage,
        day=users.day,
        prices=users.prices,
        moderator=_moderator(settings, http, clock) if settings.moderation == "on" else None,
    )


def _stability(settings: InstanceSettings, http: httpx2.AsyncClient, clock: Clock) -> StabilityImage:
    key = settings.stability_api_key.get_secret_value()
    return StabilityImage(key, settings.stability_base_url, http, clock=clock)


def _minimax_image(settings: InstanceSettings, http: httpx2.AsyncClient, clock: Clock) -> MiniMaxImage:
    key = settings.minimax_api_key.get_secret_value()
    return MiniMaxImage(key, settings.minimax_base_url, http, clock=clock, model=settings.minimax_image_model)


def _minimax_video(settings: InstanceSettings, http: httpx2.AsyncClient, clock: Clock) -> MiniMaxVideo:
    key = settings.minimax_api_key.get_secret_value()
    return MiniMaxVideo(key, settings.minimax_base_url, http, clock=clock, model=settings.minimax_video_model)


def _moderator(settings: InstanceSettings, http: httpx2.AsyncClient, clock: Clock) -> OpenAIModeration:
    key = settings.openai_api_key.get_secret_value()
    return OpenAIModeration(key, settings.openai_base_url, http, clock=clock)
