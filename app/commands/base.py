"""What a command is, and what it is given.

Instant commands answer at once from shared state, so that any instance gives the same picture. Job commands are
recorded, deferred and run by the worker, on whichever instance holds the lease.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from app.balancing.keyset import UNWATCHED, Call, CallWatch, KeySet
from app.balancing.overview import Overview
from app.clock import Clock
from app.commands.prices import NO_PRICES, Prices
from app.discord.models import Interaction
from app.discord.replies import Message
from app.errors import QuartetError
from app.jobs.job import Job
from app.jobs.store import JobStore
from app.providers.base import ChatProvider, ImageProvider, Moderator, VideoProvider
from app.texts import Locale, Text
from app.userdata.conversations import Conversations, Turn
from app.userdata.preferences import NO_PREFERENCES, Preferences, PreferenceStore, Scope
from app.userdata.usage import NO_USAGE, Usage, UsageLog

PROGRESS_MARK = "⏳"
"""Every message that is not the answer yet starts with this."""

Definition = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """What is configured for one key set and one instance; `_day` are jobs a day."""

    instance_count: int
    routing: str
    openai_per_minute: int
    stability_per_minute: int
    minimax_per_day: int
    jobs_at_once: int
    chat_day: int
    image_day: int
    video_day: int

    @property
    def day(self) -> Mapping[str, int]:
        """The day's limit of each kind for one instance; 0 is none."""
        return {"chat": self.chat_day, "image": self.image_day, "video": self.video_day}

    @property
    def jobs_day(self) -> int:
        """Jobs of all kinds that one instance does in a day; 0, none, if one kind has no limit."""
        return sum(self.day.values()) if all(self.day.values()) else 0


def spoken(interaction: Interaction, preferences: Preferences) -> Locale:
    """Return the language to answer in: the one chosen, else the one Discord says."""
    chosen = preferences.language
    return Locale(chosen) if chosen in tuple(Locale) else interaction.locale


@dataclass(frozen=True, slots=True)
class InstantContext:
    """`started` is the monotonic moment the request came in, `received_at` the same in wall clock seconds."""

    interaction: Interaction
    received_at: float
    started: float
    instance: int
    home: int
    limits: Limits
    overview: Overview
    store: JobStore
    clock: Clock
    people: People | None = None

    @property
    def preferences(self) -> Preferences:
        """What the user, else the server, chose."""
        interaction = self.interaction
        return self.people.chosen(interaction.user_id, interaction.guild_id) if self.people else NO_PREFERENCES

    @property
    def locale(self) -> Locale:
        """The language the user chose, else the one Discord says."""
        return spoken(self.interaction, self.preferences)


def people_of(context: InstantContext) -> People:
    """Return what a command may know of users; raises `QuartetError` on an instance that was started without."""
    if context.people is None:
        raise QuartetError("this instance knows nothing of users")
    return context.people


def conversation_of(interaction: Interaction) -> str:
    """Return the channel that an interaction's conversation belongs to."""
    return interaction.channel_id or "dm"


@dataclass(frozen=True, slots=True)
class People:
    """What instant commands may know and change of users: what is remembered, chosen, used and allowed."""

    conversations: Conversations
    preferences: PreferenceStore
    usage: UsageLog
    chosen: Callable[[str, str | None], Preferences]
    """A user's choices where they are now (user id, server id), from memory."""

    changed: Callable[[Scope, str, Preferences], None]
    """Told of each change made here, so that it holds at once."""

    memory: Memory
    models: tuple[str, ...]
    day: Callable[[], str]
    day_ends_at: Callable[[], float]
    quota: Callable[[Interaction], int]
    """How many jobs this user may have a day; 0 is no limit."""

    prices_known: bool


class FileFetcher(Protocol):
    """Fetches what users attached."""

    async def fetch(self, url: str, *, max_bytes: int, timeout_s: float) -> bytes:
        """Return the file's bytes; raises `AttachmentUnavailable`, also for an address that is not Discord's."""


class Progress(Protocol):
    """Shows the user what happens now; the newest word wins, and none comes after the answer."""

    def show(self, text: Text) -> None:
        """Say what happens now; returns at once."""

    def grow(self, text: str) -> None:
        """Show the answer so far, with a mark that it is not whole yet; the first of it as soon as may be."""


@dataclass(frozen=True, slots=True)
class Memory:
    """How much of a conversation a question is given: turns younger than `ttl_s`, up to `tokens`; 0 is none."""

    ttl_s: float = 0.0
    tokens: int = 0

    @property
    def on(self) -> bool:
        """Whether anything is remembered."""
        return self.tokens > 0 and self.ttl_s > 0


def _nothing_chosen(user_id: str, guild_id: str | None) -> Preferences:
    return NO_PREFERENCES


@dataclass(frozen=True, slots=True)
class Services:
    """This instance's providers and keys, and what the operator chose."""

    chat: ChatProvider
    images: tuple[ImageProvider, ...]
    video: VideoProvider
    keys: KeySet
    system_prompt: str
    chat_timeout_s: float
    image_timeout_s: float
    video_poll_s: float
    user_ref: Callable[[str], str]
    conversations: Conversations
    memory: Memory = Memory()
    files: FileFetcher | None = None
    models: tuple[str, ...] = ()
    """What a user may choose from besides the operator's own model."""
    chosen: Callable[[str, str | None], Preferences] = _nothing_chosen
    """A user's choices where they are (user id, server id), from memory."""

    usage: UsageLog | None = None
    day: Callable[[], str] = str
    """The day that usage counts for now, like `2026-11-22`."""

    prices: Prices = NO_PRICES
    moderator: Moderator | None = None
    """Who looks at what was asked before it costs anything; nobody unless the operator wants it."""


@dataclass(frozen=True, slots=True)
class JobContext:
    """One job under lease. `checkpoint` records facts durably; with `True` it ties the job to this instance's keys.

    `begun` hears of the first call: until then the job still needs room in its key's budget. `stopping` says whether
    the user has asked to stop: the command's task is cancelled then, and may return what it has instead of ending.
    `watch` returns what hears of a call to a provider.
    """

    job: Job
    interaction: Interaction
    instance: int
    services: Services
    progress: Progress
    checkpoint: Callable[[Mapping[str, Any], bool], Awaitable[None]]
    clock: Clock
    deadline: float
    begun: Callable[[], None]
    stopping: Callable[[], bool] = lambda: False
    preferences: Preferences = NO_PREFERENCES
    watch: Callable[[str], CallWatch] = lambda provider: UNWATCHED

    @property
    def locale(self) -> Locale:
        """The language the user chose, else the one Discord says."""
        return spoken(self.interaction, self.preferences)

    def use(self, provider: str) -> AbstractAsyncContextManager[Call]:
        """Reserve one call to a provider, see `ManagedKey.use`."""
        self.begun()
        return self.services.keys[provider].use(self.watch(provider))

    def seconds_left(self) -> float:
        """Seconds until the answer has to be ready."""
        return self.deadline - self.clock.now()


@dataclass(frozen=True, slots=True)
class Answer:
    """The finished answer and the provider that made it.

    `parts` are further messages that follow it, in order, and `whole` the text of all of them (`splitting.Fitted`).
    `turn` is what is remembered of it, `usage` what it took.
    `error` is the error's class name if the answer was cut short and is only what had come by then.
    """

    message: Message
    provider: str
    parts: tuple[Message, ...] = ()
    whole: str = ""
    turn: Turn | None = None
    usage: Usage = NO_USAGE
    error: str = ""


Press = Callable[[InstantContext, str, str], Awaitable[Message]]
"""Serves a component of a command's message, given its custom id's action and argument (`<action>:<argument>`), and
returns what the message becomes. Only whose command it was comes this far."""

Completer = Callable[[InstantContext], Sequence[tuple[str, str]]]
"""Returns at most 25 (name, value) pairs for the option that `interaction.focused` names, from memory."""


def _no_form(interaction: Interaction) -> bytes | None:
    return None


def _no_choices(context: InstantContext) -> Sequence[tuple[str, str]]:
    return ()


def _never_private(interaction: Interaction, preferences: Preferences) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class InstantCommand:
    """A command that is answered at once; if `private`, only the user sees it."""

    definition: Definition
    answer: Callable[[InstantContext], Awaitable[Message]]
    private: bool = False
    press: Press | None = None
    autocomplete: Completer = _no_choices

    @property
    def name(self) -> str:
        """The default name, which payloads always carry."""
        return str(self.definition["name"])


@dataclass(frozen=True, slots=True)
class JobCommand:
    """A command that becomes a job of `kind`; any of `providers` can serve it.

    `check` returns what is wrong with the options, or None. `form` returns the modal that has to be filled in first
    (`replies.modal`, its id from `derived.form_id`, its fields named like the options), or None. `private` says whether
    only the user is to see the answer.
    """

    definition: Definition
    kind: str
    providers: tuple[str, ...]
    check: Callable[[Interaction], Text | None]
    run: Callable[[JobContext], Awaitable[Answer]]
    form: Callable[[Interaction], bytes | None] = _no_form
    private: Callable[[Interaction, Preferences], bool] = _never_private
    autocomplete: Completer = _no_choices

    @property
    def name(self) -> str:
        """The default name, which payloads always carry."""
        return str(self.definition["name"])


Command = InstantCommand | JobCommand
