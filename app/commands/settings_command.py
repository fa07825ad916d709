"""`/설정`: what users choose for themselves, and those who manage a server for its members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.commands.base import InstantCommand, InstantContext, People, people_of, spoken
from app.commands.definition import boolean, choice, option, slash, subcommand
from app.commands.image import RATIOS, STYLES
from app.commands.options import chosen_subcommand, complete_model, manages_server, model_option
from app.commands.settings_view import NAMES, Layers, lines, server_layers
from app.discord.models import Interaction
from app.discord.replies import Message
from app.discord.wire import OptionType
from app.texts import Locale, Text, locale_of
from app.userdata.preferences import NO_PREFERENCES, Preferences, Scope

LONGEST_PERSONA = 500

_VIEW = Text(ko="보기", en="view")
_MINE = Text(ko="내설정", en="mine")
_SERVER = Text(ko="서버", en="server")
_RESET = Text(ko="초기화", en="reset")

_WHOSE = Text(ko="대상", en="whose")
_FIELD = Text(ko="항목", en="setting")
_MODELS_NAMED = 10
_AUTO = "auto"
_ALL = "all"
_FIELDS = {name.ko: field for field, name in NAMES.items()}

_HEAD = Text(ko="⚙️ **지금 나에게 쓰이는 설정**", en="⚙️ **Settings that hold for you here**")
_SERVER_HEAD = Text(ko="⚙️ **이 서버의 기본값**", en="⚙️ **This server's defaults**")
_SAVED = Text(ko="✅ 저장했어요.", en="✅ Saved.")
_CLEARED = Text(ko="✅ 지웠어요.", en="✅ Cleared.")
_HINT = Text(
    ko="-# 바꾸기: `/설정 내설정` · 되돌리기: `/설정 초기화` · 서버 기본값: `/설정 서버` (서버 관리 권한)",
    en="-# Change: `/settings mine` · undo: `/settings reset` · server defaults: `/settings server` (Manage Server)",
)
_ONLY_MANAGERS = Text(
    ko="서버 기본값은 ‘서버 관리’ 권한이 있는 사람만 바꿀 수 있어요. 바뀐 것은 없어요. "
    "내 설정은 `/설정 내설정`으로 바꿔 주세요.",
    en="Only people with “Manage Server” can change a server's defaults, so nothing was changed. Your own settings are "
    "in `/settings mine`.",
)
_NO_SERVER = Text(
    ko="여기는 서버가 아니라서 서버 기본값이 없어요. 바뀐 것은 없어요. 서버의 채널에서 다시 시도해 주세요.",
    en="This is no server, so there are no server defaults and nothing was changed. Try it in a server's channel.",
)
_NOT_OFFERED = Text(
    ko="{name}에서 고를 수 있는 값이 아니에요. 바뀐 것은 없어요. 목록에서 골라 주세요.{values}",
    en="That is not one of the choices for {name}, so nothing was changed. Please pick one from the list.{values}",
)
_TOO_LONG = Text(
    ko="말투는 {limit}자까지 쓸 수 있어요. 바뀐 것은 없어요. 줄여서 다시 시도해 주세요.",
    en="A persona has {limit} characters at most, so nothing was changed. Please shorten it.",
).format(limit=LONGEST_PERSONA)


class _Refused(Exception):
    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


async def answer(context: InstantContext) -> Message:
    """Show or change settings. Who may change a server's is read from this very interaction, each time."""
    try:
        match chosen_subcommand(context.interaction):
            case _MINE.ko:
                return await _change(context, Scope.USER)
            case _SERVER.ko:
                return await _change(context, Scope.GUILD)
            case _RESET.ko:
                return await _reset(context)
        return await _view(context)
    except _Refused as refused:
        return Message(refused.text.to(context.locale))


async def _view(context: InstantContext, scope: Scope = Scope.USER, done: Text | None = None) -> Message:
    """Show what holds. Read from the store, for what was changed elsewhere a moment ago is to be seen as well."""
    people, interaction = people_of(context), context.interaction
    server = await _server(people, interaction)
    if scope is Scope.GUILD:
        layers, head, language = server_layers(server, people.models), _SERVER_HEAD, context.preferences
    else:
        mine = await people.preferences.get(Scope.USER, interaction.user_id)
        layers, head, language = Layers(mine, server, people.models), _HEAD, mine.over(server)
    locale = _language(interaction, language)
    shown = [*([done.to(locale)] if done else []), head.to(locale), *lines(layers, locale), _HINT.to(locale)]
    return Message("\n".join(shown))


def _language(interaction: Interaction, preferences: Preferences) -> Locale:
    """Return the language chosen now, else Discord's: the interaction's own `locale` is that of the choice before."""
    codes = (interaction.payload.get(name) for name in ("locale", "guild_locale"))
    discords = locale_of(*(code for code in codes if isinstance(code, str)))
    return spoken(replace(interaction, locale=discords), preferences)


async def _change(context: InstantContext, scope: Scope) -> Message:
    whose = _whose(context.interaction, scope)
    people = people_of(context)
    changes = _changes(context.interaction, people)
    if not changes:
        return await _view(context, scope)
    await _save(people, scope, whose, changes)
    return await _view(context, scope, _SAVED)


async def _reset(context: InstantContext) -> Message:
    options = context.interaction.options
    scope = Scope.GUILD if options.get(_WHOSE.ko) == Scope.GUILD else Scope.USER
    whose = _whose(context.interaction, scope)
    field = options.get(_FIELD.ko, _ALL)
    if field not in [*NAMES, _ALL]:
        raise _Refused(_not_offered(_FIELD, [*NAMES, _ALL]))
    await _save(people_of(context), scope, whose, dict.fromkeys(NAMES if field == _ALL else [field]))
    return await _view(context, scope, _CLEARED)


async def _save(people: People, scope: Scope, whose: str, changes: Mapping[str, Any]) -> None:
    preferences = replace(await people.preferences.get(scope, whose), **changes)
    await people.preferences.put(scope, whose, preferences)
    people.changed(scope, whose, preferences)


async def _server(people: People, interaction: Interaction) -> Preferences:
    if interaction.guild_id is None:
        return NO_PREFERENCES
    return await people.preferences.get(Scope.GUILD, interaction.guild_id)


def _whose(interaction: Interaction, scope: Scope) -> str:
    """Return whose settings are to be changed; refuse those of a server to who doesn't manage it."""
    if scope is Scope.USER:
        return interaction.user_id
    if interaction.guild_id is None:
        raise _Refused(_NO_SERVER)
    if not manages_server(interaction):
        raise _Refused(_ONLY_MANAGERS)
    return interaction.guild_id


def _changes(interaction: Interaction, people: People) -> dict[str, Any]:
    """Return the choices by field, None where one is taken back; refuse what is not offered."""
    changes: dict[str, Any] = {}
    for name, value in interaction.options.items():
        field = _FIELDS.get(name)
        if field is not None:
            changes[field] = _checked(field, value, people)
    return changes


def _checked(field: str, value: object, people: People) -> object:
    match field:
        case "persona":
            persona = value.strip() if isinstance(value, str) else ""
            if len(persona) > LONGEST_PERSONA:
                raise _Refused(_TOO_LONG)
            return persona or None
        case "private":
            if not isinstance(value, bool):
                raise _Refused(_not_offered(NAMES[field]))
            return value
        case "language":
            return None if value == _AUTO else _among(field, value, tuple(Locale))
        case "model":
            return _among(field, value, people.models)
        case "ratio":
            return _among(field, value, tuple(RATIOS))
    return _among(field, value, tuple(STYLES))


def _among(field: str, value: object, offered: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in offered:
        raise _Refused(_not_offered(NAMES[field], offered if field == "model" else ()))
    return value


def _not_offered(name: Text, values: Sequence[str] = ()) -> Text:
    listed = " (" + ", ".join(f"`{value}`" for value in values[:_MODELS_NAMED]) + ")" if values else ""
    return Text(
        _NOT_OFFERED.ko.format(name=name.ko, values=listed), _NOT_OFFERED.en.format(name=name.en, values=listed)
    )


def _options(persona: Text) -> list[dict[str, Any]]:
    languages = [
        choice(Text(ko="한국어", en="Korean"), Locale.KO.value),
        choice(Text(ko="영어", en="English"), Locale.EN.value),
        choice(Text(ko="정하지 않음 (Discord의 언어)", en="No choice (Discord's language)"), _AUTO),
    ]
    return [
        model_option(),
        option(OptionType.STRING, NAMES["persona"], persona, min_length=1, max_length=LONGEST_PERSONA),
        option(OptionType.STRING, NAMES["language"], Text(ko="답하는 언어", en="The language of answers"),
               choices=languages),
        option(OptionType.STRING, NAMES["ratio"], Text(ko="그림의 기본 비율", en="The usual ratio of pictures"),
               choices=[choice(name, ratio) for ratio, name in RATIOS.items()]),
        option(OptionType.STRING, NAMES["style"], Text(ko="그림의 기본 스타일", en="The usual style of pictures"),
               choices=[choice(name, style) for style, name in STYLES.items()]),
        boolean(NAMES["private"], Text(ko="답을 나에게만 보일까요?", en="Are answers for your eyes only?")),
    ]  # fmt: skip


def _reset_options() -> list[dict[str, Any]]:
    whose = [
        choice(Text(ko="내 설정", en="mine"), Scope.USER.value),
        choice(Text(ko="서버 기본값", en="the server's defaults"), Scope.GUILD.value),
    ]
    fields = [choice(Text(ko="모두", en="all"), _ALL), *(choice(name, field) for field, name in NAMES.items())]
    return [
        option(OptionType.STRING, _WHOSE, Text(ko="누구의 설정인가요? (기본: 나)", en="Whose? (mine if left empty)"),
               choices=whose),
        option(OptionType.STRING, _FIELD, Text(ko="무엇을 되돌릴까요? (기본: 모두)", en="Which? (all if left empty)"),
               choices=fields),
    ]  # fmt: skip


_MINE_PERSONA = Text(
    ko="나에게 어떤 말투와 역할로 답할까요? (500자까지)", en="How, or as whom, to answer you (up to 500 characters)"
)
_SERVER_PERSONA = Text(
    ko="이 서버에서 어떤 말투와 역할로 답할까요? (500자까지)",
    en="How, or as whom, to answer in this server (up to 500 characters)",
)

COMMAND = InstantCommand(
    slash(
        Text(ko="설정", en="settings"),
        Text(ko="모델, 말투, 언어, 그림의 기본값을 정해요", en="Model, persona, language, and what pictures are like"),
        [
            subcommand(_VIEW, Text(ko="지금 쓰이는 설정을 봐요", en="Shows the settings that hold for you")),
            subcommand(_MINE, Text(ko="내 설정을 바꿔요", en="Changes your own settings"), _options(_MINE_PERSONA)),
            subcommand(
                _SERVER,
                Text(ko="서버 기본값을 바꿔요 (서버 관리 권한)", en="Changes the server's defaults (Manage Server)"),
                _options(_SERVER_PERSONA),
            ),
            subcommand(_RESET, Text(ko="설정을 되돌려요", en="Takes settings back"), _reset_options()),
        ],
    ),
    answer,
    private=True,
    autocomplete=complete_model,
)
