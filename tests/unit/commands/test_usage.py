"""`/사용량`: what was used, what it cost as far as prices are known, and what is left today."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.discord.wire import Permission
from app.userdata.usage import Usage
from tests.unit.edge.kit import USER, Bench, message_of

GUILD, OTHER = "1100000000000000001", "77"
TODAY = "2026-01-02"
LOCALES = ["ko", "en-US"]
CHAT = Usage(prompt_tokens=1200, completion_tokens=345, micro_usd=2500)


async def use(bench: Bench, kind: str = "chat", usage: Usage = CHAT, **fields: Any) -> None:
    """Count one answered job of today."""
    given = {"day": TODAY, "user_id": USER, "guild_id": GUILD, **fields}
    await bench.users.usage.add(given.pop("day"), kind=kind, usage=usage, **given)


def priced() -> Bench:
    """Return an edge whose operator stated prices."""
    bench = Bench()
    bench.edge._people = replace(bench.users.people, prices_known=True)
    return bench


async def shown(bench: Bench, scope: str | None = None, *, may: int = 0, **fields: Any) -> str:
    """Return the private answer to somebody with the permissions `may`."""
    member = {"user": {"id": USER}, "roles": [], "permissions": str(int(may))}
    options = {"범위": scope} if scope else {}
    return message_of(await bench.ask("사용량", options, **{"member": member, **fields}), ephemeral=True)


class TestMine:
    @pytest.mark.parametrize(
        ("locale", "chat", "image", "video"),
        [
            ("ko", "채팅 2건 · 토큰 입력 2,400 · 출력 690", "이미지 1건 · 그림 4장", "비디오 1건 · 영상 1편"),
            ("en-US", "chat: 2 · tokens in 2,400 · tokens out 690", "image: 1 · pictures 4", "video: 1 · videos 1"),
        ],
    )
    async def test_today_and_the_last_thirty_days(self, locale: str, chat: str, image: str, video: str) -> None:
        """Sums by kind, over all servers; nobody else's, and nothing older."""
        bench = Bench()
        await use(bench)
        await use(bench, guild_id=None)
        await use(bench, "image", Usage(images=4), day="2025-12-31")
        await use(bench, "video", Usage(videos=1), day="2025-12-04")
        await use(bench, "video", Usage(videos=1), day="2025-12-03")
        await use(bench, user_id=OTHER)
        today, long = (await shown(bench, locale=locale)).split("30")[:2]
        assert chat in today and image not in today
        assert chat in long and image in long and video in long

    @pytest.mark.parametrize(
        ("locale", "nothing"), [("ko", "아직 답한 것이 없어요"), ("en-US", "nothing answered yet")]
    )
    async def test_nothing_yet(self, locale: str, nothing: str) -> None:
        """Said for today and for the thirty days."""
        assert (await shown(Bench(), locale=locale)).count(nothing) == 2

    @pytest.mark.parametrize(
        ("micro_usd", "dollars"),
        [(0, "$0.00"), (1, "$0.0001"), (2500, "$0.0025"), (999_999, "$1.0000"), (1_234_567_890, "$1,234.57")],
    )
    async def test_what_it_cost(self, micro_usd: int, dollars: str) -> None:
        """Small amounts in detail, and nothing that was paid is shown as zero; always called an estimate."""
        bench = priced()
        await use(bench, usage=replace(CHAT, micro_usd=micro_usd))
        text = await shown(bench)
        assert text.count(f"약 {dollars}\n") == 2 and "운영자가 정한 가격으로 어림한" in text

    @pytest.mark.parametrize(("locale", "note"), [("ko", "가격을 정하지 않아"), ("en-US", "stated no prices")])
    async def test_without_prices_no_cost_is_claimed(self, locale: str, note: str) -> None:
        """Not even zero."""
        bench = Bench()
        await use(bench)
        text = await shown(bench, locale=locale)
        assert "$" not in text and note in text

    @pytest.mark.parametrize(("quota", "left"), [(10, 7), (3, 0), (2, 0)])
    async def test_what_is_left_today(self, quota: int, left: int) -> None:
        """What was accepted counts, answered or not; never less than nothing; and when it begins anew."""
        bench = Bench()
        bench.edge._people = replace(bench.users.people, day_ends_at=lambda: bench.clock.now() + 3600)
        bench.users.quota = quota
        for number in range(3):
            await bench.ask("채팅", {"질문": "왜?"}, id=f"130000000000000000{number}")
        await bench.ask("채팅", {"질문": "왜?"}, id="1300000000000000009", member={"user": {"id": OTHER}, "roles": []})
        text = await shown(bench)
        assert f"{quota}번 가운데 **{left}번**" in text and f"<t:{int(bench.clock.now()) + 3600}:R>" in text

    async def test_yesterdays_do_not_count_against_today(self) -> None:
        """The quota's day began an hour ago; what came before is another day's."""
        bench = Bench()
        bench.users.quota = 5
        await bench.ask("채팅", {"질문": "왜?"})
        ends = bench.clock.now() + 23 * 3600
        bench.edge._people = replace(bench.users.people, day_ends_at=lambda: ends)
        assert "**4번**" in await shown(bench)
        bench.edge._people = replace(bench.users.people, day_ends_at=lambda: ends + 24 * 3600)
        assert "**5번**" in await shown(bench)

    @pytest.mark.parametrize(("locale", "none"), [("ko", "한도가 없어요"), ("en-US", "no personal daily limit")])
    async def test_no_quota(self, locale: str, none: str) -> None:
        """No limit is shown as none."""
        assert none in await shown(Bench(), locale=locale)


class TestServers:
    @pytest.mark.parametrize("locale", LOCALES)
    @pytest.mark.parametrize("may", [Permission.MANAGE_GUILD, Permission.ADMINISTRATOR])
    async def test_sums_and_who_used_most(self, may: Permission, locale: str) -> None:
        """Everybody's use in this server, five users at the most; no other server's."""
        bench = priced()
        for user in range(1, 8):
            for _ in range(user):
                await use(bench, user_id=f"{user}00")
        await use(bench, guild_id="5", user_id="900")
        lines = (await shown(bench, "guild", may=may, locale=locale)).split("\n")
        assert any("28" in line and "33,600" in line for line in lines)
        assert [line.split(" ")[1] for line in lines if line[:2] in ("1.", "2.", "3.", "4.", "5.", "6.")] == [
            "<@700>", "<@600>", "<@500>", "<@400>", "<@300>",
        ]  # fmt: skip

    @pytest.mark.parametrize(("locale", "said"), [("ko", "서버 관리"), ("en-US", "Manage Server")])
    async def test_others_may_not_see_it(self, locale: str, said: str) -> None:
        """Nothing of the server's use is in the answer."""
        bench = Bench()
        await use(bench, user_id=OTHER)
        text = await shown(bench, "guild", may=Permission.MANAGE_MESSAGES, locale=locale)
        assert said in text and OTHER not in text and "1,200" not in text

    async def test_there_is_none_in_a_direct_message(self) -> None:
        """Said, with what to do instead."""
        text = await shown(Bench(), "guild", member=None, guild_id=None, user={"id": USER})
        assert "서버가 아니에요" in text and "/사용량" in text

    async def test_an_unused_server(self) -> None:
        """No list of users where nobody used anything."""
        text = await shown(Bench(), "guild", may=Permission.MANAGE_GUILD)
        assert text.count("아직 답한 것이 없어요") == 2 and "<@" not in text
