"""OpenAI's stream, its errors in every place they can come up, and what it tells about the key."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import aclosing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import pytest

from app.errors import (
    ProviderBadAnswer,
    ProviderBadInput,
    ProviderError,
    ProviderKeyRejected,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
)
from app.providers.base import ChatChunk, ChatFinish, ChatRequest, RateHints
from app.providers.openai_frames import ANSWER_CHARS
from tests.kit.waiting import wait_until
from tests.unit.providers.conftest import Wired
from tests.unit.providers.loopback import CHUNKED, OK, Peer, chunk, loopback
from tests.unit.providers.subjects import KEY, ask, chat

_URL = "http://openai.test/v1"
_USAGE = {"choices": [], "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29}}


def frame(content: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """Return one chunk as OpenAI sends it."""
    choice = {"index": 0, "delta": {"content": content, **delta}, "finish_reason": finish, "logprobs": None}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", "choices": [choice], "usage": None}


def sse(*frames: dict[str, Any], done: bool = True) -> bytes:
    """Return the frames as a stream's body."""
    lines = [json.dumps(f) for f in frames] + (["[DONE]"] if done else [])
    return "".join(f"data: {line}\n\n" for line in lines).encode()


def streamed(*frames: dict[str, Any], done: bool = True, headers: dict[str, str] | None = None) -> httpx2.Response:
    """Return the frames as an answer."""
    headers = {"content-type": "text/event-stream", **(headers or {})}
    return httpx2.Response(200, headers=headers, content=sse(*frames, done=done))


async def failure(wired: Wired, answer: httpx2.Response) -> ProviderError:
    """Return the error that `answer` ends in."""
    wired.answer = answer
    with pytest.raises(ProviderError) as caught:
        await ask(chat(wired.client, _URL))
    assert len(wired.requests) == 1, "never retried by the SDK"
    return caught.value


async def test_an_answer_grows_and_ends_with_its_finish_and_usage(wired: Wired) -> None:
    """Pieces come as they are sent; the last chunk says why it ended and what it cost."""
    wired.answer = streamed(frame("", role="assistant"), frame("Hel"), frame("lo"), frame(None, "stop"), _USAGE)
    chunks = await ask(chat(wired.client, _URL))
    assert chunks == [ChatChunk(), ChatChunk("Hel"), ChatChunk("lo"), ChatChunk("", ChatFinish.STOP, 19, 10)]


async def test_the_request_is_what_the_documentation_asks_for(wired: Wired) -> None:
    """One POST with the key, the two messages, the token limit, the hashed user and usage asked for."""
    wired.answer = streamed(frame("x", "stop"))
    await ask(chat(wired.client, _URL), prompt="a\ud83db")
    (request,) = wired.requests
    assert (request.method, str(request.url)) == ("POST", "http://openai.test/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(request.content) == {
        "model": "gpt-test",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "a?b"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 500,
        "safety_identifier": "user-hash",
    }


async def test_what_was_said_before_goes_along_in_order(wired: Wired) -> None:
    """Earlier questions and answers stand between the system prompt and the question, sound as UTF-8."""
    wired.answer = streamed(frame("x", "stop"))
    await ask(chat(wired.client, _URL), prompt="and now?", history=(("one?", "1"), ("two?", "2\ud83d")))
    sent = json.loads(wired.requests[0].content)["messages"]
    assert [(message["role"], message["content"]) for message in sent] == [
        ("system", "be brief"),
        ("user", "one?"),
        ("assistant", "1"),
        ("user", "two?"),
        ("assistant", "2?"),
        ("user", "and now?"),
    ]


async def test_pictures_are_parts_of_the_question(wired: Wired) -> None:
    """The text first, then each picture by its data URL."""
    wired.answer = streamed(frame("x", "stop"))
    await ask(chat(wired.client, _URL), prompt="what is this?", images=("data:image/png;base64,AA", "data:b"))
    assert json.loads(wired.requests[0].content)["messages"][-1] == {
        "role": "user",
        "content": [
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
            {"type": "image_url", "image_url": {"url": "data:b"}},
        ],
    }


async def test_a_chosen_model_takes_the_place_of_the_usual_one(wired: Wired) -> None:
    """The request names it."""
    wired.answer = streamed(frame("x", "stop"))
    await ask(chat(wired.client, _URL), model="gpt-other")
    assert json.loads(wired.requests[0].content)["model"] == "gpt-other"


async def test_the_environment_puts_nothing_into_the_request(wired: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other accounts' variables on the machine reach neither the key nor the organisation headers."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-other")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-other")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer sk-other")
    wired.answer = streamed(frame("x", "stop"))
    await ask(chat(wired.client, _URL))
    assert wired.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert "other" not in str(wired.requests[0].headers.multi_items())


async def test_an_answer_cut_at_the_token_limit_says_so(wired: Wired) -> None:
    """`length` is an answer, marked as cut."""
    wired.answer = streamed(frame("half"), frame(None, "length"), _USAGE)
    assert (await ask(chat(wired.client, _URL)))[-1].finish is ChatFinish.LENGTH


async def test_token_counts_that_never_come_do_not_spoil_the_answer(wired: Wired) -> None:
    """Without usage, and with an error after the finish, the answer is still whole."""
    wired.answer = streamed(frame("all"), frame(None, "stop"), {"error": {"message": "late"}}, done=False)
    assert await ask(chat(wired.client, _URL)) == [ChatChunk(), ChatChunk("all"), ChatChunk("", ChatFinish.STOP)]


async def test_an_emoji_split_over_two_frames_is_joined() -> None:
    """Escaped surrogate halves in two frames become one character, and a half alone a replacement character."""
    async with httpx2.AsyncClient(
        transport=httpx2.MockTransport(
            lambda _: httpx2.Response(
                200, content=sse(frame("a\ud83d"), frame("\ude00b"), frame("\udc00c"), frame("d\ud83d", "stop"))
            )
        )
    ) as client:
        text = "".join(c.text for c in await ask(chat(client, _URL)))
    assert text == "a😀b\ufffdcd"
    text.encode()


async def test_endless_text_is_cut(wired: Wired) -> None:
    """A server that ignores every token limit gives at most `ANSWER_CHARS` characters, marked as cut."""
    wired.answer = streamed(*[frame("x" * 30_000)] * 20, frame(None, "stop"))
    chunks = await ask(chat(wired.client, _URL))
    assert sum(len(c.text) for c in chunks) == ANSWER_CHARS
    assert chunks[-1].finish is ChatFinish.LENGTH


@pytest.mark.parametrize(
    "frames",
    [
        [frame("so far"), frame(None, "content_filter")],
        [frame(None, refusal="I can't help with that.")],
        [frame("so far"), frame(None, refusal="I can't"), frame(None, "stop")],
    ],
)
async def test_a_withheld_answer_is_a_refusal(frames: list[dict[str, Any]], wired: Wired) -> None:
    """The content filter's finish and the model's own refusal are both told apart from an answer."""
    assert type(await failure(wired, streamed(*frames))) is ProviderRefused


@pytest.mark.parametrize(
    "answer",
    [
        streamed(frame("half an ans"), done=False),
        streamed(frame("half an ans")),
        streamed(frame("x"), frame(None, "tool_calls")),
        streamed(frame(None, "stop"), _USAGE),
        streamed(frame(None, "length"), _USAGE),
        streamed(frame("", "stop")),
        httpx2.Response(200, content=b'data: {"choices": [{"delta"\n\n'),
        httpx2.Response(200, json={"choices": [{"message": {"content": "not streamed"}}]}),
    ],
    ids=["cut", "done-only", "tool", "empty", "spent-on-reasoning", "empty-text", "cut-json", "not-sse"],
)
async def test_a_stream_without_a_whole_answer_is_a_bad_answer(answer: httpx2.Response, wired: Wired) -> None:
    """Half an answer is never taken for a whole one, and no text is no answer."""
    assert type(await failure(wired, answer)) is ProviderBadAnswer


_ERRORS: list[tuple[int, str | None, str | None, str, type[ProviderError]]] = [
    (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: sk-…****abcd.", ProviderKeyRejected),
    (403, "request_forbidden", "unsupported_country_region_territory", "Country not supported", ProviderKeyRejected),
    (429, "requests", "rate_limit_exceeded", "Rate limit reached. Please try again in 20s", ProviderRateLimited),
    (429, "tokens", "rate_limit_exceeded", "Rate limit reached. Please try again in 20s", ProviderRateLimited),
    (503, "rate_limit_error", "slow_down", "Please try again in 20s", ProviderRateLimited),
    (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota", ProviderQuotaExhausted),
    (429, "insufficient_quota", "credit_balance_exhausted", "No credit", ProviderQuotaExhausted),
    (429, "insufficient_quota", None, "No credit", ProviderQuotaExhausted),
    (429, "requests", "insufficient_quota", "The code outweighs the type", ProviderQuotaExhausted),
    (500, "server_error", "invalid_prompt", "The code outweighs type and status", ProviderRefused),
    (429, None, "organization_spend_limit_exceeded", "Limit", ProviderQuotaExhausted),
    (429, None, "project_spend_limit_exceeded", "Limit", ProviderQuotaExhausted),
    (429, None, "organization_usage_limit_exceeded", "Limit", ProviderQuotaExhausted),
    (503, "service_unavailable_error", "server_is_overloaded", "Overloaded", ProviderUnavailable),
    (500, "server_error", None, "The server had an error", ProviderUnavailable),
    (400, "invalid_request_error", "invalid_prompt", "Invalid prompt: flagged", ProviderRefused),
    (400, "invalid_request_error", "content_policy_violation", "Your request was rejected", ProviderRefused),
    (400, "invalid_request_error", "context_length_exceeded", "Too long", ProviderBadInput),
    (404, "invalid_request_error", "model_not_found", "The model does not exist", ProviderBadInput),
    (400, "invalid_request_error", None, "Unsupported parameter", ProviderBadInput),
]


@pytest.mark.parametrize(("status", "kind", "code", "message", "expected"), _ERRORS)
async def test_an_error_answer_is_understood(
    status: int, kind: str | None, code: str | None, message: str, expected: type[ProviderError], wired: Wired
) -> None:
    """Code, then type, then status decide; the message says what OpenAI said, and how long to wait."""
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    error = await failure(wired, httpx2.Response(status, json=body))
    assert type(error) is expected
    assert f"HTTP {status}" in str(error)
    assert "****" not in str(error)
    assert (code or kind or "") in str(error)
    assert error.retry_after == (20 if "20s" in message else None)


@pytest.mark.parametrize("before", [[], [frame("so far")]], ids=["first-frame", "later-frame"])
@pytest.mark.parametrize(
    ("status", "kind", "code", "message", "expected"),
    [row for row in _ERRORS if row[2] != "unsupported_country_region_territory"],  # known by its status alone
)
async def test_an_error_inside_a_200_is_understood(
    status: int,
    kind: str | None,
    code: str | None,
    message: str,
    expected: type[ProviderError],
    before: list[dict[str, Any]],
    wired: Wired,
) -> None:
    """OpenAI may answer 200 and send the error as a frame, first or later: without a status it means the same."""
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    error = await failure(wired, streamed(*before, body, done=False))
    assert type(error) is expected
    assert error.retry_after == (20 if "20s" in message else None)


async def test_a_gateway_s_status_inside_a_frame_is_understood(wired: Wired) -> None:
    """Compatible gateways put the HTTP status into the frame's code, as a number."""
    body = {"error": {"message": "Provider returned error", "code": 429}}
    assert type(await failure(wired, streamed(body, done=False))) is ProviderRateLimited


async def test_rate_hints_are_told_from_answers_and_from_429(wired: Wired) -> None:
    """The budget learns what the key may still do from a success as from a refusal, and nothing from silence."""
    told: list[RateHints] = []
    provider = chat(wired.client, _URL, on_rate=told.append)
    headers = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59"}
    wired.answer = lambda _: streamed(frame("x", "stop"), headers={**headers, "x-ratelimit-reset-requests": "1s"})
    await ask(provider)
    headers["x-ratelimit-remaining-requests"] = "0"
    wired.answer = lambda _: httpx2.Response(429, headers={**headers, "x-ratelimit-reset-requests": "6m0s"})
    with pytest.raises(ProviderRateLimited) as caught:
        await ask(provider)
    assert told == [RateHints(60, 59, 1.0), RateHints(60, 0, 360.0)]
    assert caught.value.retry_after == 360, "the reset of an empty window stands in for a missing Retry-After"
    wired.answer = lambda _: streamed(frame("x", "stop"))
    await ask(provider)
    assert len(told) == 2


async def test_usage_is_awaited_only_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that hangs after the finish does not keep the user waiting for the deadline."""
    monkeypatch.setattr("app.providers.openai_chat._USAGE_GRACE_S", 0.05)

    async def finish_and_hang(peer: Peer) -> None:
        await peer.send(OK + CHUNKED + b"\r\n" + chunk(sse(frame("all", "stop"), done=False)))
        await peer.gone.wait()

    async with loopback(finish_and_hang) as server, httpx2.AsyncClient(trust_env=False, verify=False) as client:
        provider = chat(client, server.url)
        assert await ask(provider, 30) == [ChatChunk(), ChatChunk("all"), ChatChunk("", ChatFinish.STOP)]
        await wait_until(server.peers[0].gone.is_set, 1, "the connection to close")


async def test_the_next_question_goes_over_the_same_connection() -> None:
    """An answer is read to its very end.

    It was left at the token counts, before the mark of the end: its connection could not be used again, and each
    question began with a new one, over TLS with three more journeys.
    """
    opened = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(peer := Peer(reader, writer))
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await peer.read_request()
                await peer.send(OK + CHUNKED + b"\r\n" + chunk(sse(frame("all", "stop"), _USAGE, done=False)))
                await asyncio.sleep(0)
                await peer.send(chunk(sse(done=True)) + b"0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with httpx2.AsyncClient(trust_env=False, verify=False) as client:
        provider = chat(client, url)
        answers = [await ask(provider, 30) for _ in range(3)]
    server.close()
    await server.wait_closed()
    assert answers == [[ChatChunk(), ChatChunk("all"), ChatChunk("", ChatFinish.STOP, 19, 10)]] * 3
    assert len(opened) == 1


async def test_the_end_is_awaited_only_for_a_moment() -> None:
    """A server that leaves out the mark of the end after the token counts does not keep the user waiting."""

    async def count_and_hang(peer: Peer) -> None:
        await peer.send(OK + CHUNKED + b"\r\n" + chunk(sse(frame("all", "stop"), _USAGE, done=False)))
        await peer.gone.wait()

    async with loopback(count_and_hang) as server, httpx2.AsyncClient(trust_env=False, verify=False) as client:
        answer = await ask(chat(client, server.url), 30)
        assert answer[-1].finish is ChatFinish.STOP
        await wait_until(server.peers[0].gone.is_set, 1, "the connection to close")


async def test_a_reader_who_stops_early_closes_the_connection() -> None:
    """Closing the iterator in the middle of an answer closes the connection to the provider."""

    async def endless(peer: Peer) -> None:
        await peer.send(OK + CHUNKED + b"\r\n")
        while True:
            await peer.send(chunk(sse(frame("more "), done=False)))
            await asyncio.sleep(0.01)

    async with loopback(endless) as server, httpx2.AsyncClient(trust_env=False, verify=False) as client:
        stream = chat(client, server.url).stream(ChatRequest("hi", ""), timeout_s=30)
        async with aclosing(stream) as chunks:
            assert [(await anext(chunks)).text for _ in range(2)] == ["", "more "]
        await wait_until(server.peers[0].gone.is_set, 1, "the connection to close")


async def test_a_slow_reader_meets_the_deadline_between_chunks_not_in_its_own_work(wired: Wired) -> None:
    """The deadline never cancels the caller's work on a chunk; it strikes at the next chunk, buffered or not."""
    wired.answer = streamed(*[frame("x")] * 5, frame(None, "stop"))
    provider = chat(wired.client, _URL)
    await provider.warm()
    stream = provider.stream(ChatRequest("hi", ""), timeout_s=0.5)
    loop = asyncio.get_running_loop()
    async with aclosing(stream) as chunks:
        await anext(chunks)
        end = loop.time() + 0.6
        await wait_until(lambda: loop.time() >= end, 5, "the deadline to pass")
        with pytest.raises(ProviderTimeout):
            await anext(chunks)


async def test_the_sdk_is_loaded_on_first_use_only() -> None:
    """Importing the module costs no second and no 25 MB: the SDK comes with `warm` or the first question."""
    code = (
        "import sys, app.providers.openai_chat; assert 'openai' not in sys.modules; "
        "import app.providers.stability, app.providers.minimax; assert 'openai' not in sys.modules"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0


async def test_the_sdk_comes_without_another_http_client() -> None:
    """A package that some other program put into the environment costs no memory here, and stays importable."""
    code = (
        "import asyncio, sys, types, httpx2; from app.clock import SystemClock; "
        "from app.providers.openai_chat import OpenAIChat; sys.path.insert(0, sys.argv[1]); "
        "chat = OpenAIChat('k', 'http://127.0.0.1:9/v1', 'm', httpx2.AsyncClient(), max_output_tokens=1, "
        "clock=SystemClock()); asyncio.run(chat.warm()); assert 'openai' in sys.modules; "
        "assert 'aiohttp' not in sys.modules; import aiohttp; assert aiohttp.here"
    )
    with TemporaryDirectory() as directory:
        (Path(directory) / "aiohttp.py").write_text("here = True\n")
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, directory)
        assert await process.wait() == 0
