"""What the moderation's answers mean, as its documentation shows them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection
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
)
from app.providers.openai_moderation import MODEL, UNNAMED, OpenAIModeration
from tests.kit.clock import FakeClock
from tests.unit.providers.loopback import Peer, loopback, whole
from tests.unit.providers.subjects import KEY, NOW


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    """A plain client."""
    async with httpx2.AsyncClient(trust_env=False, verify=False) as made:
        yield made


CATEGORIES = (
    "sexual", "sexual/minors", "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit",
    "illicit/violent", "self-harm", "self-harm/intent", "self-harm/instructions", "violence", "violence/graphic",
)  # fmt: skip


def answer(*flagged: str, **fields: Any) -> dict[str, Any]:
    """Return an answer in the documented shape."""
    result = {
        "flagged": bool(flagged),
        "categories": {name: name in flagged for name in CATEGORIES},
        "category_scores": {name: 0.9 if name in flagged else 0.0001 for name in CATEGORIES},
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }
    return {"id": "modr-1", "model": MODEL, "results": [result | fields]}


async def flags(client: httpx2.AsyncClient, body: object, status: str = "200 OK", *headers: str) -> Collection[str]:
    """Return what a text is flagged for when the server answers `body`."""

    async def script(peer: Peer) -> None:
        await peer.send(whole(status, json.dumps(body).encode(), "content-type: application/json", *headers))

    async with loopback(script) as server:
        try:
            return await OpenAIModeration(KEY, f"{server.url}/v1", client, clock=FakeClock(NOW)).flags(
                "그림\ud83d", timeout_s=5
            )
        finally:
            (peer,) = server.peers
            assert peer.head.startswith(b"POST /v1/moderations HTTP/1.1\r\n")
            assert f"authorization: bearer {KEY}".lower().encode() in peer.head.lower()
            assert json.loads(peer.body) == {"model": MODEL, "input": "그림?"}


@pytest.mark.parametrize("flagged", [(), ("violence",), ("sexual", "sexual/minors"), CATEGORIES])
async def test_the_flags(client: httpx2.AsyncClient, flagged: tuple[str, ...]) -> None:
    """The categories that are flagged, and none for a text that is fine."""
    assert set(await flags(client, answer(*flagged))) == set(flagged)


async def test_a_category_nobody_looked_for(client: httpx2.AsyncClient) -> None:
    """`null` is no flag."""
    categories = {"illicit": None, "hate": True}
    assert set(await flags(client, answer("hate", categories=categories))) == {"hate"}


@pytest.mark.parametrize("categories", [{}, {"hate": False}])
async def test_flagged_without_a_category(client: httpx2.AsyncClient, categories: dict[str, bool]) -> None:
    """A flagged text stays flagged, whatever it is for."""
    assert set(await flags(client, answer(flagged=True, categories=categories))) == {UNNAMED}


@pytest.mark.parametrize(
    "body",
    [
        {"results": []},
        {"results": {}},
        {"results": [7]},
        answer(flagged="no"),
        answer(flagged=None),
        answer(flagged=True, categories=[]),
    ],
)
async def test_no_result_is_not_fine(client: httpx2.AsyncClient, body: object) -> None:
    """An answer that does not say whether the text is flagged is an error, never a pass."""
    with pytest.raises(ProviderBadAnswer):
        await flags(client, body)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ("401 Unauthorized", "invalid_api_key", ProviderKeyRejected),
        ("429 Too Many Requests", "rate_limit_exceeded", ProviderRateLimited),
        ("429 Too Many Requests", "insufficient_quota", ProviderQuotaExhausted),
        ("404 Not Found", None, ProviderBadInput),
    ],
)
async def test_an_error_is_what_it_is_for_chats(
    client: httpx2.AsyncClient, status: str, code: str | None, kind: type[ProviderError]
) -> None:
    """The body's code decides before the status, and a key it echoes is not repeated."""
    body = {"error": {"code": code, "type": None, "param": None, "message": f"no: {KEY}"}}
    with pytest.raises(ProviderError) as caught:
        await flags(client, body, status, "retry-after: 3")
    assert type(caught.value) is kind
    assert KEY not in str(caught.value)
    assert caught.value.retry_after == 3
