"""What is kept of users, wired together: conversations, choices and usage, who may ask, and what it costs."""

from __future__ import annotations

from app import configured
from app.balancing.budget import day_of, next_day
from app.clock import Clock
from app.commands.access import quota, refusal
from app.commands.base import Memory, People
from app.discord.models import Interaction
from app.settings import InstanceSettings
from app.storage import Storage
from app.texts import Text
from app.userdata.cache import PreferenceCache
from app.userdata.housekeeping import UserHousekeeping


class Users:
    """The side of an instance that knows its users. Nothing is read before `choices` is refreshed."""

    def __init__(self, settings: InstanceSettings, storage: Storage, clock: Clock) -> None:
        self._clock = clock
        self._day_starts_at = settings.day_starts_at_utc * 3600
        self._access = configured.access(settings)
        self.conversations = storage.conversations
        self.usage = storage.usage
        self.preferences = storage.preferences
        self.choices = PreferenceCache(self.preferences, clock)
        self.memory = Memory(settings.memory_ttl_s, settings.memory_tokens)
        self.models = tuple(dict.fromkeys((settings.openai_model, *settings.chat_models)))
        self.prices = configured.prices(settings)
        self.housekeeping = UserHousekeeping(
            self.conversations,
            self.usage,
            clock,
            memory_ttl_s=settings.memory_ttl_s,
            day_of=lambda at: day_of(at, self._day_starts_at),
        )

    def people(self) -> People:
        """Return what instant commands may know and change of users."""
        return People(
            conversations=self.conversations,
            preferences=self.preferences,
            usage=self.usage,
            chosen=self.choices.of,
            changed=self.choices.changed,
            memory=self.memory,
            models=self.models,
            day=self.day,
            day_ends_at=lambda: next_day(self._clock.now(), self._day_starts_at),
            quota=self.quota,
            prices_known=self.prices.known,
        )

    def day(self) -> str:
        """Return the day that usage counts for now."""
        return day_of(self._clock.now(), self._day_starts_at)

    def quota(self, interaction: Interaction) -> int:
        """Return how many jobs this user may have a day; 0 is no limit."""
        return quota(interaction, self._access)

    def refusal(self, interaction: Interaction) -> Text | None:
        """Return why this user may not use the bot here; None if they may."""
        return refusal(interaction, self._access)
