"""What the edge answers to what Discord sends, in the user's language."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.discord.answers import DEFERRED, DRAINING, NO_CHOICES, PONG, UNAUTHORIZED
from app.errors import QuartetError, StoreUnavailable
from tests.unit.edge.kit import USER, Bench, forever, interaction, message_of, signed, use


@pytest.fixture
def bench() -> Bench:
    """One instance's edge."""
    return Bench()


class TestSignature:
    async def test_without_a_good_signature_there_is_no_answer(self, bench: Bench) -> None:
        """401 without a detail, and nothing is recorded, whatever the body says."""
        body = json.dumps(use("채팅", {"질문": "안녕"})).encode()
        signature, timestamp = signed(body, bench.clock.now())
        for bad in [
            (body + b" ", signature, timestamp), (body, None, timestamp), (body, signature, None), (b"", None, None),
            (body, signature, b"1"), (body, b"0" * 128, timestamp), (b"\xff", signature, timestamp),
        ]:  # fmt: skip
            assert await bench.hand_in(*bad) == UNAUTHORIZED
        assert json.loads(UNAUTHORIZED.body) == {"error": "unauthorized"}
        assert bench.store.jobs == {} and bench.notified == 0

    async def test_an_old_request_is_not_believed_again(self, bench: Bench) -> None:
        """What was good is 401 five minutes later."""
        body = json.dumps(use("핑")).encode()
        signature, timestamp = signed(body, bench.clock.now())
        assert (await bench.hand_in(body, signature, timestamp)).status == 200
        await bench.clock.sleep(302)
        assert await bench.hand_in(body, signature, timestamp) == UNAUTHORIZED

    async def test_while_draining_only_discord_hears_so(self, bench: Bench) -> None:
        """A bad signature stays 401; a good one is sent on to another instance by 503."""
        bench.edge.draining = True
        assert await bench.post(use("핑")) == DRAINING
        assert await bench.hand_in(b"{}", None, None) == UNAUTHORIZED


class TestPing:
    @pytest.mark.parametrize(
        "rest",
        [{}, {"id": 5, "user": [], "data": "x"}, {"token": None, "member": 5}, {"id": "1", "application_id": "2"}],
    )
    async def test_pong_whatever_else_is_in_it(self, bench: Bench, rest: dict[str, Any]) -> None:
        """Exactly `{"type":1}`."""
        reply = await bench.post({"type": 1, **rest})
        assert reply == PONG and reply.body == b'{"type":1}'


class TestUnknown:
    @pytest.mark.parametrize(("locale", "word"), [("ko", "모르는 명령"), ("en-US", "unknown"), ("ja", "unknown")])
    async def test_command(self, bench: Bench, locale: str, word: str) -> None:
        """A private sentence in the user's language; English for languages we don't speak."""
        for name in ("chat", "없는명령", "채팅 ", "a" * 10_000):
            assert word in message_of(await bench.ask(name, locale=locale), ephemeral=True)
        assert bench.store.jobs == {}

    @pytest.mark.parametrize("kind", [3, 5])
    @pytest.mark.parametrize(("locale", "word"), [("ko", "버튼이나 양식"), ("en-GB", "no longer works")])
    async def test_component_and_form(self, bench: Bench, kind: int, locale: str, word: str) -> None:
        """An old button or form: the user is told to run the command again."""
        reply = await bench.post(interaction({"custom_id": "old:1", "component_type": 2}, type=kind, locale=locale))
        assert word in message_of(reply, ephemeral=True)

    @pytest.mark.parametrize("kind", [0, -1, 6, 99, 2**63, -(10**30)])
    @pytest.mark.parametrize(
        ("locale", "word"), [("ko", "지원하지 않는"), ("fr", "not supported"), (5, "지원하지 않는")]
    )
    async def test_type(self, bench: Bench, kind: int, locale: Any, word: str) -> None:
        """Discord may invent types: a sentence, in the guild's language if the user's is missing, whatever the rest."""
        payload = {"type": kind, "locale": locale, "guild_locale": "ko", "id": [], "data": 5}
        assert word in message_of(await bench.post(payload), ephemeral=True)

    @pytest.mark.parametrize("name", ["채팅", "핑", "없는명령"])
    async def test_autocomplete_has_no_choices(self, bench: Bench, name: str) -> None:
        """A type 8 with an empty list, and no job."""
        focused = [{"name": "질문", "type": 3, "value": "바", "focused": True}]
        reply = await bench.post(interaction({"id": "1", "name": name, "type": 1, "options": focused}, type=4))
        assert reply == NO_CHOICES
        assert json.loads(reply.body) == {"type": 8, "data": {"choices": []}}
        assert bench.store.jobs == {}


class TestJobs:
    @pytest.mark.parametrize(
        ("command", "options", "kind"),
        [("채팅", {"질문": "왜?"}, "chat"), ("이미지", {"설명": "달"}, "image"), ("비디오", {"설명": "파도"}, "video")],
    )
    async def test_is_recorded_and_deferred(
        self, bench: Bench, command: str, options: dict[str, str], kind: str
    ) -> None:
        """Type 5, publicly; the record holds the user, the home, the raw body and an end before the token's."""
        payload = use(command, options)
        body = json.dumps(payload).encode()
        assert await bench.post(body) == DEFERRED
        assert json.loads(DEFERRED.body) == {"type": 5}
        (job,) = bench.store.jobs.values()
        assert (job.id, job.kind, job.user_id, job.home) == (payload["id"], kind, USER, int(USER) % 4 + 1)
        assert job.payload == body
        assert job.received_at == bench.clock.now()
        assert 800 < job.expires_at - job.received_at < 900
        assert bench.notified == 1

    async def test_in_a_direct_message_too(self, bench: Bench) -> None:
        """The user stands in `user` there."""
        payload = use("채팅", {"질문": "왜?"}, member=None, guild_id=None, user={"id": "7"})
        assert await bench.post(payload) == DEFERRED
        assert [(job.user_id, job.home) for job in bench.store.jobs.values()] == [("7", 4)]


class TestFailures:
    async def test_a_store_that_fails_while_an_instant_command_reads(self, bench: Bench) -> None:
        """The user gets the error's sentence, only for them."""

        async def fail() -> None:
            raise StoreUnavailable("the disk is gone: /secret/path")

        bench.store.before_read = fail
        text = message_of(await bench.ask("할당"), ephemeral=True)
        assert text == StoreUnavailable.sentence.ko and "secret" not in text

    async def test_an_error_nobody_thought_of(self, bench: Bench) -> None:
        """Still a private sentence, never a 500, and nothing of the error in it."""

        async def fail() -> None:
            raise ZeroDivisionError("internal detail")

        bench.store.before_read = fail
        assert message_of(await bench.ask("성능", locale="en-US"), ephemeral=True) == QuartetError.sentence.en

    async def test_an_instant_command_ends_although_the_store_hangs(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Symptom: `/할당` was never answered while the store hung. Cause: only intake had a limit of time.
        Rule: whatever the store does, the user hears a sentence within Discord's three seconds.
        """
        monkeypatch.setattr("app.edge.RECORD_WITHIN_S", 0.05)
        bench.store.before_read = forever
        assert "읽을 수 없고" in message_of(await bench.ask("할당"), ephemeral=True)

    async def test_every_answer_is_counted_by_what_it_was(self, bench: Bench) -> None:
        """The metrics tell deferred from instant, refused, malformed and unauthorized."""
        await bench.populate()
        await bench.ask("채팅", {"질문": "왜?"})
        await bench.ask("핑")
        await bench.ask("채팅", {"질문": ""})
        await bench.post(b"{}")
        await bench.hand_in(b"", None, None)
        text = bench.metrics.exposition(running=0).decode()
        for label in ("deferred", "instant", "refused", "malformed", "unauthorized"):
            assert f'quartet_ack_seconds_count{{answer="{label}",instance_id="1"}} 1.0' in text
