"""The simulated OpenAI, held against OpenAI's own client."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from simulator.config import Key, Limits, SimulatorConfig
from simulator.media import png
from simulator.server import SimulatorServer
from simulator.wire import tls


@pytest.fixture
def config(config: SimulatorConfig) -> SimulatorConfig:
    """One valid key of three calls a minute."""
    key = Key("openai", "sk-good-key-1234", "set-1", Limits(rpm=3))
    return dataclasses.replace(config, keys=(key,))


@pytest.fixture
async def client(sim: SimulatorServer) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client with the valid key and no retries of its own."""
    http = openai.DefaultAsyncHttpx2Client(verify=tls())
    async with openai.AsyncOpenAI(
        api_key="sk-good-key-1234", base_url=sim.openai_url, max_retries=0, http_client=http
    ) as made:
        yield made


def shown(url: str) -> dict[str, Any]:
    """Return a content part that shows a picture."""
    return {"type": "image_url", "image_url": {"url": url, "detail": "auto"}}


async def stream(client: openai.AsyncOpenAI, *messages: str, **more: Any) -> tuple[str, str | None, int | None]:
    """Return text, finish reason and completion tokens of a streamed answer; messages alternate from user."""
    turns: Any = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(messages)]
    chunks = await client.chat.completions.create(
        model="gpt-5.4", messages=turns, stream=True, stream_options={"include_usage": True}, **more
    )
    text, finish, tokens = "", None, None
    async for chunk in chunks:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
        tokens = chunk.usage.completion_tokens if chunk.usage else tokens
    return text, finish, tokens


async def test_a_streamed_answer_shows_the_question_back(client: openai.AsyncOpenAI) -> None:
    """In the question's language, ended by a finish reason and a usage chunk."""
    text, finish, tokens = await stream(client, "하늘은 왜 파란가요?")
    assert "하늘은 왜 파란가요?" in text and "핵심" in text
    assert finish == "stop" and tokens


async def test_the_whole_answer_is_the_streamed_one(client: openai.AsyncOpenAI) -> None:
    """Streaming and not streaming differ in nothing but the way."""
    text, _, _ = await stream(client, "Why is the sky blue?")
    turns: Any = [{"role": "user", "content": "Why is the sky blue?"}]
    whole = await client.chat.completions.create(model="gpt-5.4", messages=turns)
    assert whole.choices[0].message.content == text and whole.usage is not None


async def test_history_and_wishes_show_in_the_answer(client: openai.AsyncOpenAI) -> None:
    """An earlier question is quoted; a prompt may ask for a length, code or a table."""
    text, _, _ = await stream(client, "first?", "an answer", "second? #code #table")
    assert "question 2" in text and "first?" in text and "```python" in text and "|---|" in text
    long, _, _ = await stream(client, "#chars=5000")
    assert len(long) == 5000


async def test_a_token_limit_cuts_the_answer(client: openai.AsyncOpenAI) -> None:
    """The finish reason says so."""
    text, finish, tokens = await stream(client, "hello", max_completion_tokens=5)
    assert (finish, tokens) == ("length", 5) and "hello".startswith(text[-3:]) is False


async def test_an_unknown_key_is_refused_and_never_recorded(sim: SimulatorServer, client: openai.AsyncOpenAI) -> None:
    """401/invalid_api_key; the ledger knows the valid key by its label only."""
    await stream(client, "hello")
    with pytest.raises(openai.AuthenticationError) as caught:
        await client.with_options(api_key="sk-wrong-key-9999").models.list()
    assert caught.value.code == "invalid_api_key"
    recorded = str(list(sim.ledger.events))
    assert "set-1" in recorded and "sk-" not in recorded


async def test_a_key_has_its_requests_per_minute(sim: SimulatorServer, client: openai.AsyncOpenAI) -> None:
    """The fourth call is 429 with Retry-After, and counted as over the limit."""
    for _ in range(3):
        await stream(client, "hello")
    with pytest.raises(openai.RateLimitError) as caught:
        await stream(client, "hello")
    assert caught.value.code == "rate_limit_exceeded" and caught.value.type == "requests"
    assert 50 < int(caught.value.response.headers["retry-after"]) <= 60
    state = sim.app.world.keys.by_label("openai", "set-1")
    assert state is not None and (state.refused, state.max_per_minute, state.in_flight) == (1, 3, 0)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"messages": []}, 400),
        ({"messages": [{"role": "bot", "content": "x"}]}, 400),
        ({"messages": [{"role": "user", "content": None}]}, 400),
        ({"messages": [{"role": "user", "content": "x"}], "max_tokens": 5}, 400),
        ({"messages": [{"role": "user", "content": "x"}], "stream_options": {"include_usage": True}}, 400),
        ({"messages": [{"role": "user", "content": "x"}], "safety_identifier": "x" * 129}, 400),
        ({"messages": [{"role": "user", "content": "x"}], "extra_body": {"made_up": 1}}, 400),
        ({"messages": [{"role": "user", "content": "x" * 400_001}]}, 400),
        ({"messages": [{"role": "user", "content": "x"}], "model": "unknown-1"}, 404),
        ({"messages": [{"role": "user", "content": [{"type": "picture"}]}]}, 400),
        ({"messages": [{"role": "system", "content": [shown("data:image/png;base64,AAAA")]}]}, 400),
        ({"messages": [{"role": "user", "content": [shown("data:image/png;base64,no!")]}]}, 400),
        ({"messages": [{"role": "user", "content": [shown("data:image/png;base64,AAAA")]}]}, 400),
        ({"messages": [{"role": "user", "content": [shown("file:///etc/passwd")]}]}, 400),
    ],
)
async def test_bad_requests_are_refused(client: openai.AsyncOpenAI, body: dict[str, Any], status: int) -> None:
    """Each with the API's own error object."""
    call: Any = client.chat.completions.create
    with pytest.raises(openai.APIStatusError) as caught:
        await call(**{"model": "gpt-5.4", **body})
    assert caught.value.status_code == status and caught.value.type == "invalid_request_error"


FAULTS: list[tuple[dict[str, Any], type[openai.APIError], str | None]] = [
    ({"kind": "429"}, openai.RateLimitError, "rate_limit_exceeded"),
    ({"kind": "quota"}, openai.RateLimitError, "insufficient_quota"),
    ({"kind": "401"}, openai.AuthenticationError, "invalid_api_key"),
    ({"kind": "403"}, openai.PermissionDeniedError, "invalid_api_key"),
    ({"kind": "500"}, openai.InternalServerError, None),
    ({"kind": "503"}, openai.InternalServerError, "server_is_overloaded"),
    ({"kind": "refusal"}, openai.BadRequestError, "invalid_prompt"),
    ({"kind": "error_frame", "code": "server_error"}, openai.APIError, "server_error"),
    ({"kind": "reset"}, openai.APIConnectionError, None),
    ({"kind": "cut"}, openai.APIConnectionError, None),
    ({"kind": "done_then_drop"}, openai.APIConnectionError, None),
]


@pytest.mark.parametrize(("fault", "error", "code"), FAULTS, ids=[f[0]["kind"] for f in FAULTS])
async def test_faults_reach_the_client_as_the_real_ones_do(
    sim: SimulatorServer, client: openai.AsyncOpenAI, fault: dict[str, Any], error: type[openai.APIError], code: str
) -> None:
    """OpenAI's client raises what it raises for the real API, once; the next call succeeds."""
    sim.app.world.faults.add({"target": "openai", "route": "chat", "key": "set-1", "count": 1, **fault})
    with pytest.raises(error) as caught:
        await stream(client, "hello")
    assert caught.value.code == code
    assert (await stream(client, "hello"))[1] == "stop"
    calls = [event for event in sim.ledger.events if event["event"] == "provider_call"]
    assert [call.get("fault") for call in calls] == [fault["kind"], None]


async def test_a_hanging_call_ends_with_the_caller_or_the_simulator(
    sim: SimulatorServer, client: openai.AsyncOpenAI
) -> None:
    """A caller that gives up frees the key's place at once."""
    sim.app.world.faults.add({"target": "openai", "kind": "hang", "seconds": 600, "count": 1})
    with pytest.raises(openai.APITimeoutError):
        await stream(client.with_options(timeout=0.1), "hello")
    await stream(client, "hello")
    state = sim.app.world.keys.by_label("openai", "set-1")
    assert state is not None and state.in_flight == 0


async def test_an_unfinished_or_filtered_stream(sim: SimulatorServer, client: openai.AsyncOpenAI) -> None:
    """`no_finish` ends without a finish reason, `filter` with content_filter."""
    sim.app.world.faults.add({"target": "openai", "kind": "no_finish", "count": 1})
    assert (await stream(client, "hello"))[1:] == (None, None)
    assert (await stream(client, "hello #filter"))[1] == "content_filter"


async def test_models_and_moderations(client: openai.AsyncOpenAI) -> None:
    """The small endpoints parse as the real ones; a text is flagged for what it asks to be flagged for."""
    assert "gpt-5.4" in [model.id async for model in client.models.list()]
    judged = await client.moderations.create(input=["fine", "bad #flag=sexual/minors,hate", "#flag"])
    assert [result.flagged for result in judged.results] == [False, True, True]
    categories = judged.results[1].categories
    assert (categories.sexual_minors, categories.hate, categories.violence) == (True, True, False)
    whole: Any = [{"type": "text", "text": "a"}, {"type": "text", "text": "#flag=self-harm"}]
    (result,) = (await client.moderations.create(input=whole)).results
    assert result.categories.self_harm and result.category_scores.self_harm > 0.5
    with pytest.raises(openai.BadRequestError):
        await client.moderations.create(input=[])


async def test_an_answer_says_what_pictures_it_saw(client: openai.AsyncOpenAI) -> None:
    """How many came with the last question, and their sizes; those of earlier questions are not counted."""
    pictures = [shown(f"data:image/png;base64,{base64.b64encode(png('x', 1, size, 10)).decode()}") for size in (20, 30)]
    asked: Any = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, *pictures]}]
    whole = await client.chat.completions.create(model="gpt-5.4", messages=asked)
    answer = whole.choices[0].message.content or ""
    assert "I see 2 images (20×10, 30×10)." in answer
    more: Any = [*asked, {"role": "assistant", "content": answer}, {"role": "user", "content": "And now?"}]
    later = (await client.chat.completions.create(model="gpt-5.4", messages=more)).choices[0].message.content or ""
    assert "image" not in later and "question 2" in later


async def test_a_wish_in_the_system_prompt_shows(client: openai.AsyncOpenAI) -> None:
    """`#say=word` is said, so that a test sees whose wishes went along."""
    asked: Any = [{"role": "system", "content": "Be kind. #say=ahoy"}, {"role": "user", "content": "hello"}]
    whole = await client.chat.completions.create(model="gpt-5.4", messages=asked)
    assert "ahoy" in (whole.choices[0].message.content or "")


async def test_an_answer_can_break_off_and_be_gone_on_with(client: openai.AsyncOpenAI) -> None:
    """`#cut` breaks the stream after so many characters; asked to continue, the rest comes, and nothing twice."""
    question: Any = {"role": "user", "content": "Tell me a story #cut=100"}
    came = ""
    chunks = await client.chat.completions.create(model="gpt-5.4", messages=[question], stream=True)
    with pytest.raises(openai.APIConnectionError):
        async for chunk in chunks:
            came += chunk.choices[0].delta.content or ""
    assert len(came) == 100
    whole = (await client.chat.completions.create(model="gpt-5.4", messages=[question])).choices[
        0
    ].message.content or ""
    turns: Any = [question, {"role": "assistant", "content": came}, {"role": "user", "content": "Continue, please."}]
    rest = (await client.chat.completions.create(model="gpt-5.4", messages=turns)).choices[0].message.content or ""
    assert "".join((came + rest).split()) == "".join(whole.split())
