"""What the instant commands show, in both languages, small and large."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.balancing.budget import KeySnapshot, KeyState, day_of
from app.balancing.state import DEAD_AFTER_S
from app.jobs.job import FinishedJob, Outcome, ServedBecause
from tests.kit.clock import FakeClock
from tests.unit.edge.kit import LIMITS, USER, Bench, message_of, snapshot

LOCALES = ["ko", "en-US"]
COUNTS = [1, 4, 16]


def bench_of(count: int, **limits: Any) -> Bench:
    """Return an edge of a system with `count` instances."""
    return Bench(limits=replace(LIMITS, instance_count=count, **limits))


def finished(number: int, bench: Bench, *, user: str = USER, ago: float = 60, **fields: Any) -> FinishedJob:
    """Return a job that ended `ago` seconds before now, four seconds after it came."""
    ended = bench.clock.now() - ago
    return FinishedJob(
        **{
            "id": str(number), "kind": "chat", "user_id": user, "home": 2, "served_by": 3, "provider": "openai",
            "because": ServedBecause.HOME_BUSY, "outcome": Outcome.ANSWERED, "error": "", "received_at": ended - 4,
            "started_at": ended - 3, "finished_at": ended, **fields,
        }
    )  # fmt: skip


async def crowd(bench: Bench, **fields: Any) -> None:
    """Let every instance show the longest figures there may be."""
    rest: dict[str, Any] = {"minute_limit": 9_999_999, "day_limit": 9_999_999, "minute_used": 0}
    keys = {
        "openai": KeySnapshot(**rest),
        "stability": KeySnapshot(**rest, state=KeyState.COOLING, rest_s=86_399.0),
        "minimax": KeySnapshot(**rest, state=KeyState.DEAD, rest_s=599.0),
    }
    now = bench.clock.now()
    for instance in range(1, bench.limits.instance_count + 1):
        shown = snapshot(instance, now, keys=keys, running=1000, slots=1000, started_at=now - 9_999_999, **fields)
        await bench.state.beat(shown, now=now)
        for kind in ("chat", "image", "video"):
            await bench.state.add(day(bench), f"done:{instance}:{kind}", 9_999_999)
    await bench.overview.refresh()


def day(bench: Bench) -> str:
    """Return today by the bench's clock."""
    return day_of(bench.clock.now())


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("command", ["핑", "로드밸런서", "성능", "할당"])
async def test_every_answer_fits_into_one_message(command: str, count: int, locale: str) -> None:
    """Before any sign of life, in ordinary use, and with the longest figures there may be."""
    bench = bench_of(count, openai_per_minute=10**7, stability_per_minute=10**7, minimax_per_day=10**7, chat_day=10**7)
    message_of(await bench.ask(command, locale=locale), ephemeral=False)
    await bench.populate()
    message_of(await bench.ask(command, locale=locale), ephemeral=False)
    await crowd(bench, draining=True)
    bench.store.finished = [finished(n, bench, ago=9_999_999, kind="x" * 30) for n in range(50)]
    message_of(await bench.ask(command, locale=locale), ephemeral=False)


class TestPing:
    @pytest.mark.parametrize(
        ("locale", "words"), [("ko", ("퐁", "담당 인스턴스")), ("en-US", ("Pong", "home instance"))]
    )
    async def test_who_answered_and_whose_home(self, locale: str, words: tuple[str, str]) -> None:
        """The caller's home by the formula, and the instance that answered."""
        text = message_of(await bench_of(4).ask("핑", locale=locale))
        assert all(word in text for word in words)
        assert f"**{int(USER) % 4 + 1}**" in text and "**1**" in text

    @pytest.mark.parametrize(
        ("behind", "shown"),
        [(0.25, "250 ms"), (0.0, "0 ms"), (59.0, "59000 ms"), (61.0, None), (-0.5, None), (-3600.0, None), (1e7, None)],
    )
    @pytest.mark.parametrize(("locale", "unknown"), [("ko", "시계가 맞지 않아요"), ("en-US", "the clocks disagree")])
    async def test_clocks_that_disagree_are_said_to(
        self, behind: float, shown: str | None, locale: str, unknown: str
    ) -> None:
        """A way of less than nothing or more than a minute is no measurement, and no number is shown for it."""
        made_ms = 1_760_000_000_000
        bench = Bench(clock=FakeClock(made_ms / 1000 + behind))
        interaction_id = str((made_ms - 1_420_070_400_000) << 22)
        first = message_of(await bench.ask("핑", id=interaction_id, locale=locale)).split("\n")[1]
        assert (shown or unknown) in first
        assert (" ms" in first) is (shown is not None)


class TestLoadBalancer:
    @pytest.mark.parametrize("locale", LOCALES)
    async def test_every_instance_is_shown(self, locale: str) -> None:
        """Alive or not, with what is left of its keys; the totals count the living."""
        bench = bench_of(4)
        await bench.populate(3)
        await bench.ask("채팅", {"질문": "왜?"})
        await bench.overview.refresh()
        lines = message_of(await bench.ask("로드밸런서", locale=locale)).split("\n")
        assert "3/4" in lines[0]
        assert [line[0] for line in lines if line[0] in "🟢🔴"] == ["🟢", "🟢", "🟢", "🔴"]
        assert sum("3488/3500" in line for line in lines) == 3
        assert sum("93/100" in line for line in lines) == 3
        assert "9/30" in lines[-1] and " 1" in lines[-1]

    async def test_an_instance_that_falls_silent_is_shown_so(self) -> None:
        """Three seconds without a sign of life."""
        bench = bench_of(1)
        await bench.populate()
        await bench.clock.sleep(DEAD_AFTER_S + 0.1)
        await bench.overview.refresh()
        assert "🔴 **1번**" in message_of(await bench.ask("로드밸런서"))

    @pytest.mark.parametrize(
        ("state", "ko", "en"),
        [
            (KeyState.COOLING, "쉬는 중", "cooling"),
            (KeyState.SPENT, "사용량 소진", "out of credit"),
            (KeyState.DEAD, "거부된 키", "key rejected"),
        ],
    )
    async def test_a_key_at_rest_says_why(self, state: KeyState, ko: str, en: str) -> None:
        """In the user's language; and only while it rests."""
        bench = bench_of(1)
        for rest, shown in ((30.0, True), (0.0, False)):
            keys = {"openai": KeySnapshot(state=state, rest_s=rest, minute_limit=10)}
            await bench.state.beat(snapshot(1, bench.clock.now(), keys=keys), now=bench.clock.now())
            await bench.overview.refresh()
            assert (ko in message_of(await bench.ask("로드밸런서"))) is shown
            assert (en in message_of(await bench.ask("로드밸런서", locale="en-US"))) is shown

    async def test_sixteen_instances_are_all_there(self) -> None:
        """Where the keys' lines don't fit they are left out, and no instance is."""
        bench = bench_of(16)
        await crowd(bench)
        text = message_of(await bench.ask("로드밸런서"))
        assert all(f"**{instance}번**" in text for instance in range(1, 17))


class TestPerformance:
    @pytest.mark.parametrize("locale", LOCALES)
    async def test_one_set_beside_all(self, locale: str) -> None:
        """The nominal figures of one key set and of four, and the note on organisations."""
        bench = bench_of(4)
        await bench.populate()
        text = message_of(await bench.ask("성능", locale=locale))
        for pair in ("3,500 → 14,000", "100 → 400", "10 → 40", "1,060 → 4,240"):
            assert pair in text
        assert ("조직 단위" if locale == "ko" else "per organisation") in text

    @pytest.mark.parametrize(("locale", "none"), [("ko", "아직 없어요"), ("en-US", "no job has finished")])
    async def test_what_was_measured(self, locale: str, none: str) -> None:
        """Nothing is claimed before a job has finished; then median and 95 % of what was answered in the last hour."""
        bench = bench_of(4)
        assert none in message_of(await bench.ask("성능", locale=locale))
        bench.store.finished = [finished(n, bench) for n in range(9)]
        bench.store.finished += [finished(99, bench, ago=3700), finished(98, bench, outcome=Outcome.FAILED)]
        text = message_of(await bench.ask("성능", locale=locale))
        assert none not in text and text.count("4.0") == 2 and "9" in text

    async def test_no_limit_is_shown_as_none(self) -> None:
        """Symptom: with `CHAT_DAILY_LIMIT=0`, which means no limit, `/성능` showed 60 jobs a day.
        Cause: the limits were added up although 0 is none. Rule: one kind without a limit, and the sum has none.
        """
        text = message_of(await bench_of(4, openai_per_minute=0, chat_day=0).ask("성능"))
        assert text.count("∞ → ∞") == 2 and "60 → 240" not in text


class TestAssignment:
    @pytest.mark.parametrize("locale", LOCALES)
    async def test_the_formula_for_the_caller_and_for_another(self, locale: str) -> None:
        """Filled in, exact beyond 2^53, and no history claimed where there is none."""
        bench = bench_of(4)
        nothing = "최근에 처리한 작업이 없어요" if locale == "ko" else "No jobs lately"
        own = message_of(await bench.ask("할당", locale=locale))
        assert f"`{USER} % 4 + 1 = {int(USER) % 4 + 1}`" in own and nothing in own
        big = "18446744073709551615"
        other = message_of(await bench.ask("할당", {"사용자": big}, locale=locale))
        assert f"<@{big}>" in other and f"`{big} % 4 + 1 = 4`" in other and USER not in other

    @pytest.mark.parametrize(
        ("locale", "words"),
        [
            ("ko", ("채팅", "2분 5초 전", "**3**번이 처리", "담당이 바빠서", "답함")),
            ("en-US", ("chat", "2m 5s ago", "served by **#3**", "the home was busy", "answered")),
        ],
    )
    async def test_a_named_users_history(self, locale: str, words: tuple[str, ...]) -> None:
        """The last five of that user's jobs, newest first, with who served each and why; nobody else's."""
        bench = bench_of(4)
        other = "77"
        bench.store.finished = [finished(n, bench, user=other, ago=125 + n * 60) for n in range(8)]
        bench.store.finished.append(finished(99, bench, user=USER, ago=1, kind="video", served_by=4))
        lines = message_of(await bench.ask("할당", {"사용자": other}, locale=locale)).split("\n")
        jobs = [line for line in lines if line.startswith("·")]
        assert len(jobs) == 5
        assert all(word in jobs[0] for word in words)
        assert not any("비디오" in line or "video" in line for line in jobs)

    @pytest.mark.parametrize("locale", LOCALES)
    @pytest.mark.parametrize("because", list(ServedBecause))
    @pytest.mark.parametrize("outcome", list(Outcome))
    async def test_every_reason_and_outcome_has_a_word(
        self, because: ServedBecause, outcome: Outcome, locale: str
    ) -> None:
        """No job of a user's history can break the answer or show a name from the code."""
        bench = bench_of(4)
        bench.store.finished = [finished(1, bench, because=because, outcome=outcome)]
        text = message_of(await bench.ask("할당", locale=locale), ephemeral=False)
        assert "_" not in text.split("\n", 2)[2]

    async def test_the_old_split_is_named(self) -> None:
        """With `ROUTING=functional` the answer says that the feature decides."""
        assert "기능별 분리" in message_of(await bench_of(4, routing="functional").ask("할당"))
