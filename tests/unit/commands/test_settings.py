"""`/설정`: what users choose holds for them, what a server's managers choose for everybody who chose nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from app.commands.image import RATIOS, STYLES
from app.discord.wire import Permission
from app.texts import Text
from app.userdata.preferences import NO_PREFERENCES, Preferences, Scope
from tests.unit.edge.kit import USER, Bench, interaction, message_of

GUILD = "1100000000000000001"
LOCALES = ["ko", "en-US"]
ALL = Preferences(model="large", persona="like a pirate", language="en", ratio="16:9", style="anime", private=True)
KEPT = replace(ALL, language=None)
AS_OPTIONS = {"모델": "large", "말투": "like a pirate", "언어": "en", "비율": "16:9", "스타일": "anime", "비공개": True}


def settings(sub: str, options: dict[str, Any] | None = None, *, may: int = 0, **fields: Any) -> dict[str, Any]:
    """Return the use of one of `/설정`'s subcommands by somebody with the permissions `may`."""
    inner = [{"name": name, "type": 3, "value": value} for name, value in (options or {}).items()]
    data = {"id": "1", "name": "설정", "type": 1, "options": [{"type": 1, "name": sub, "options": inner}]}
    member = {"user": {"id": USER}, "roles": [], "permissions": str(int(may))}
    return interaction(data, **{"member": member, **fields})


def in_dm(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the same in a direct message."""
    return {k: v for k, v in payload.items() if k not in ("member", "guild_id")} | {"user": {"id": USER}}


async def said(bench: Bench, payload: dict[str, Any]) -> str:
    """Return the private answer."""
    return message_of(await bench.post(payload), ephemeral=True)


async def of(bench: Bench, scope: Scope = Scope.USER, id: str = USER) -> Preferences:
    """Return what is saved."""
    return await bench.users.preferences.get(scope, id)


def line_of(text: str, name: str) -> str:
    """Return the line of one choice."""
    return next(line for line in text.split("\n") if line.startswith(f"· **{name}**"))


class TestMine:
    async def test_every_choice_is_saved(self) -> None:
        """All at once, for this user only."""
        bench = Bench()
        await said(bench, settings("내설정", AS_OPTIONS))
        assert await of(bench) == ALL
        assert list(bench.users.preferences.rows) == [(Scope.USER, USER)]

    async def test_what_is_left_out_stays(self) -> None:
        """One choice changes, the others are as before; the change is told to what answers from memory."""
        bench = Bench()
        told: list[Any] = []
        bench.edge._people = replace(bench.users.people, changed=lambda *change: told.append(change))
        await bench.users.choose(USER, model="large", persona="like a pirate")
        await said(bench, settings("내설정", {"비율": "9:16"}))
        expected = Preferences(model="large", persona="like a pirate", ratio="9:16")
        assert await of(bench) == expected
        assert told == [(Scope.USER, USER, expected)]

    async def test_a_language_is_chosen_and_left_to_discord_again(self) -> None:
        """The answer is in the language chosen by it; without a choice it is in Discord's once more."""
        bench = Bench()
        assert "Saved" in await said(bench, settings("내설정", {"언어": "en"}))
        assert "Settings that hold" in await said(bench, settings("보기"))
        assert "저장했어요" in await said(bench, settings("내설정", {"언어": "auto"}))
        assert (await of(bench)).language is None

    async def test_a_blank_persona_is_none(self) -> None:
        """Spaces take the persona back."""
        bench = Bench()
        await bench.users.choose(USER, persona="like a pirate")
        await said(bench, settings("내설정", {"말투": "   "}))
        assert await of(bench) == NO_PREFERENCES

    @pytest.mark.parametrize("locale", LOCALES)
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("모델", "unheard-of"), ("모델", 7), ("비율", "7:5"), ("비율", ["1:1"]), ("스타일", "ugly"), ("언어", "fr"),
            ("말투", "x" * 501), ("비공개", "yes"), ("비공개", 1), ("언어", None),
        ],
    )  # fmt: skip
    async def test_what_is_not_offered_is_refused(self, name: str, value: Any, locale: str) -> None:
        """Nothing is saved, not even the good choice beside it, and the sentence says so."""
        bench = Bench()
        text = await said(
            bench, settings("내설정", {"비율" if name != "비율" else "스타일": "3:2", name: value}, locale=locale)
        )
        assert ("바뀐 것은 없어요" if locale == "ko" else "nothing was changed") in text
        assert bench.users.preferences.rows == {}

    async def test_a_model_that_is_not_offered_is_answered_with_those_that_are(self) -> None:
        """Who typed instead of choosing learns what there is."""
        assert "`small`, `large`" in await said(Bench(), settings("내설정", {"모델": "x"}))

    async def test_nothing_chosen_only_shows(self) -> None:
        """Without an option nothing is written."""
        bench = Bench()
        assert "지금 나에게 쓰이는 설정" in await said(bench, settings("내설정"))
        assert bench.users.preferences.rows == {}


class TestServer:
    @pytest.mark.parametrize("may", [Permission.MANAGE_GUILD, Permission.ADMINISTRATOR])
    async def test_managers_set_its_defaults(self, may: Permission) -> None:
        """Saved for the server, not for the manager."""
        bench = Bench()
        text = await said(bench, settings("서버", AS_OPTIONS, may=may))
        assert "server's defaults" in text or "이 서버의 기본값" in text
        assert await of(bench, Scope.GUILD, GUILD) == ALL
        assert await of(bench) == NO_PREFERENCES

    @pytest.mark.parametrize("locale", LOCALES)
    @pytest.mark.parametrize("sub", ["서버", "초기화"])
    @pytest.mark.parametrize("may", [0, ~(Permission.MANAGE_GUILD | Permission.ADMINISTRATOR) & (1 << 50) - 1])
    async def test_others_may_not(self, may: int, sub: str, locale: str) -> None:
        """Whatever else they may: it is looked at with each use, not only when the command is registered."""
        bench = Bench()
        await bench.users.preferences.put(Scope.GUILD, GUILD, KEPT)
        options = {"비율": "3:2"} if sub == "서버" else {"대상": "guild"}
        text = await said(bench, settings(sub, options, may=may, locale=locale))
        assert ("서버 관리" if locale == "ko" else "Manage Server") in text
        assert await of(bench, Scope.GUILD, GUILD) == KEPT

    @pytest.mark.parametrize("sub", ["서버", "초기화"])
    async def test_there_is_none_in_a_direct_message(self, sub: str) -> None:
        """No server, no defaults: said, and nothing saved."""
        bench = Bench()
        options = {"비율": "3:2"} if sub == "서버" else {"대상": "guild"}
        assert "서버가 아니라서" in await said(bench, in_dm(settings(sub, options)))
        assert bench.users.preferences.rows == {}


class TestReset:
    async def test_one_choice(self) -> None:
        """The others stay."""
        bench = Bench()
        await bench.users.preferences.put(Scope.USER, USER, ALL)
        await said(bench, settings("초기화", {"항목": "persona"}))
        assert (await of(bench)).chosen() == {k: v for k, v in ALL.chosen().items() if k != "persona"}

    async def test_all_of_mine(self) -> None:
        """Mine go, the server's stay."""
        bench = Bench()
        await bench.users.preferences.put(Scope.USER, USER, ALL)
        await bench.users.preferences.put(Scope.GUILD, GUILD, ALL)
        await said(bench, settings("초기화"))
        assert await of(bench) == NO_PREFERENCES and await of(bench, Scope.GUILD, GUILD) == ALL

    async def test_all_of_the_servers(self) -> None:
        """The server's go, the manager's own stay."""
        bench = Bench()
        await bench.users.preferences.put(Scope.USER, USER, ALL)
        await bench.users.preferences.put(Scope.GUILD, GUILD, ALL)
        await said(bench, settings("초기화", {"대상": "guild", "항목": "all"}, may=Permission.MANAGE_GUILD))
        assert await of(bench) == ALL and await of(bench, Scope.GUILD, GUILD) == NO_PREFERENCES

    @pytest.mark.parametrize("field", ["nothing", 7, ["all"], "__class__"])
    async def test_an_unknown_choice_is_refused(self, field: Any) -> None:
        """Nothing changes."""
        bench = Bench()
        await bench.users.preferences.put(Scope.USER, USER, KEPT)
        assert "바뀐 것은 없어요" in await said(bench, settings("초기화", {"항목": field}))
        assert await of(bench) == KEPT


class TestView:
    async def test_each_choice_with_where_it_comes_from(self) -> None:
        """The user's goes over the server's, the server's over the bot's."""
        bench = Bench()
        await bench.users.choose(USER, ratio="16:9")
        await bench.users.preferences.put(Scope.GUILD, GUILD, Preferences(ratio="3:2", style="anime", model="large"))
        text = await said(bench, settings("보기"))
        assert "가로 16:9" in line_of(text, "비율") and line_of(text, "비율").endswith("내 설정")
        assert "애니메이션" in line_of(text, "스타일") and line_of(text, "스타일").endswith("서버 기본값")
        assert "`large`" in line_of(text, "모델") and line_of(text, "모델").endswith("서버 기본값")
        assert "없음" in line_of(text, "말투") and line_of(text, "말투").endswith("봇 기본값")
        assert "모두에게" in line_of(text, "비공개") and "Discord의 언어" in line_of(text, "언어")

    async def test_a_servers_defaults_hold_only_there(self) -> None:
        """In a direct message there are but one's own and the bot's."""
        bench = Bench()
        await bench.users.preferences.put(Scope.GUILD, GUILD, ALL)
        text = await said(bench, in_dm(settings("보기")))
        assert all(line.endswith("봇 기본값") for line in text.split("\n") if line.startswith("· **"))
        assert "`small`" in line_of(text, "모델")

    @pytest.mark.parametrize("locale", LOCALES)
    async def test_what_is_no_longer_offered_is_ignored_and_said_so(self, locale: str) -> None:
        """The bot's default holds then; who saved it hears that it is not used, and how to change that."""
        bench = Bench()
        gone = Preferences(model="retired`-model", ratio="5:4", style="clay")
        await bench.users.preferences.put(Scope.USER, USER, gone)
        text = await said(bench, settings("보기", locale=locale))
        names = ("모델", "비율", "스타일") if locale == "ko" else ("model", "ratio", "style")
        for name in names:
            assert line_of(text, name).endswith("봇 기본값" if locale == "ko" else "the bot's default")
        warnings = [line for line in text.split("\n") if line.startswith("⚠️")]
        assert len(warnings) == 3 and "`retired'-model`" in warnings[0] and "`5:4`" in warnings[1]

    async def test_the_longest_choices_fit(self) -> None:
        """A persona of 500 characters that all need escaping, and three choices that are gone."""
        bench = Bench()
        long = Preferences(model="m" * 300, persona="*😀" * 250, ratio="r" * 300, style="s" * 300, private=True)
        await bench.users.preferences.put(Scope.USER, USER, long)
        assert "…" in await said(bench, settings("보기"))


class TestCompletion:
    @staticmethod
    async def offered(typed: Any, *, focused: str = "모델") -> list[str]:
        """Return the names that are offered while somebody types."""
        inner = [{"name": focused, "type": 3, "value": typed, "focused": True}]
        data = {"id": "1", "name": "설정", "type": 1, "options": [{"type": 1, "name": "내설정", "options": inner}]}
        reply = json.loads((await Bench().post(interaction(data, type=4))).body)
        assert reply["type"] == 8
        assert all(choice["name"] == choice["value"] for choice in reply["data"]["choices"])
        return [choice["name"] for choice in reply["data"]["choices"]]

    async def test_models_that_contain_what_was_typed(self) -> None:
        """Whatever the case; all while nothing is typed; none for another option."""
        assert await self.offered("") == ["small", "large"]
        assert await self.offered(" LAR ") == ["large"]
        assert await self.offered("gpt-9") == []
        assert await self.offered(7) == []
        assert await self.offered("", focused="말투") == []


def test_all_that_is_offered_can_be_shown() -> None:
    """Every ratio and style has a name in both languages, which is what users see."""
    for name in (*RATIOS.values(), *STYLES.values()):
        assert isinstance(name, Text) and name.ko and name.en
