"""What Discord's check would find at an address, found before Discord does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from app.clock import SystemClock
from app.discord.signature import SignatureVerifier
from ops.doctor.endpoint import PUBLIC, near, public
from ops.doctor.finding import Finding, State
from ops.doctor.place import Kind, Place
from ops.system import Paths
from tests.kit.running import serving
from tests.unit.ops.doctor_kit import KEY, a_case

Change = Callable[[Request, bytes, Response], Response]


def unchanged(request: Request, body: bytes, answer: Response) -> Response:
    """An endpoint as it should be."""
    return answer


@asynccontextmanager
async def an_endpoint(change: Change = unchanged) -> AsyncIterator[str]:
    """Yield the base URL of an endpoint that does everything right, but for what `change` makes of it."""
    verifier = SignatureVerifier(KEY.verify_key.encode().hex(), SystemClock())

    async def interactions(request: Request) -> Response:
        body = await request.body()
        headers = request.headers
        given = [headers.get(name) for name in ("x-signature-ed25519", "x-signature-timestamp")]
        signature, timestamp = (value.encode() if value is not None else None for value in given)
        right = verifier.verify(body, signature, timestamp)
        answer = JSONResponse({"type": 1}) if right else JSONResponse({"error": "signature"}, 401)
        return change(request, body, answer)

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "instance": 3})

    routes = [Route("/interactions", interactions, methods=["POST", "GET"]), Route("/health", health)]
    async with serving(Starlette(routes=routes)) as url:
        yield url


async def visited(directory: Path, url: str, *, signed: bool = True) -> dict[str, Finding]:
    """What is found at the public address."""
    async with a_case(directory, url=url, key=KEY if signed else None) as case:
        return {finding.subject: finding for finding in await public(case)}


async def test_a_right_endpoint_is_well_with_and_without_the_key(tmp_path: Path) -> None:
    """Ten forgeries are refused and a PING is answered; who has no key is told that only Discord can sign."""
    async with an_endpoint() as base:
        found = await visited(tmp_path, f"{base}/interactions")
        unsigned = await visited(tmp_path, f"{base}/interactions", signed=False)
    assert found[PUBLIC].detail.startswith("refuses 10 of 10 forged requests")
    assert found[f"{PUBLIC}, PING"].state is State.OK
    assert found[f"{PUBLIC}, /health"].detail == "instance 3 answers through it"
    assert unsigned[PUBLIC].detail.startswith("refuses 7 of 7 forged requests")
    assert unsigned[f"{PUBLIC}, PING"].state is State.NOT_CHECKED
    assert "only Discord can sign" in unsigned[f"{PUBLIC}, PING"].detail


def accepts_all(request: Request, body: bytes, answer: Response) -> Response:
    """Checks nothing."""
    return JSONResponse({"type": 1})


def bad_request(request: Request, body: bytes, answer: Response) -> Response:
    """Says 400 where Discord wants 401."""
    return Response(status_code=400) if answer.status_code == 401 else answer


def stumbles(request: Request, body: bytes, answer: Response) -> Response:
    """Takes the digits apart before it looks whether they are digits."""
    return Response(status_code=500) if "not" in request.headers.get("x-signature-ed25519", "") else answer


def reads_first(request: Request, body: bytes, answer: Response) -> Response:
    """Parses before it verifies."""
    return answer if body.startswith(b"{") else Response(status_code=422)


def guards(request: Request, body: bytes, answer: Response) -> Response:
    """A bot protection in front."""
    return PlainTextResponse("Just a moment...", 403, headers={"server": "cloudflare", "cf-mitigated": "challenge"})


def redirects(request: Request, body: bytes, answer: Response) -> Response:
    """Sends to https, or to www."""
    return RedirectResponse("https://www.example.com/interactions?x=1", 301)


def welcomes(request: Request, body: bytes, answer: Response) -> Response:
    """Shows a page to whoever looks."""
    return PlainTextResponse("Hello!") if request.method == "GET" else answer


def is_alone(request: Request, body: bytes, answer: Response) -> Response:
    """A front with nobody behind it."""
    return Response(status_code=502)


@pytest.mark.parametrize(
    ("change", "told", "advice"),
    [
        (accepts_all, "without the signature headers is answered with 200 instead of 401", "checks no signature"),
        (bad_request, "without the signature headers is answered with 400 instead of 401", "pass path, headers"),
        (stumbles, "with a signature that is no hexadecimal is answered with 500", "pass path, headers"),
        (reads_first, "with a body that is no JSON is answered with 422", "pass path, headers"),
        (guards, "is answered with 403", "bot protection"),
        (redirects, "answered with 301, a redirection to www.example.com", "Discord follows no redirection"),
        (welcomes, "a request with GET is answered with 200 instead of 405", "checks no signature"),
        (is_alone, "is answered with 502", "Nobody stands behind it"),
    ],
)
async def test_what_discord_would_refuse_is_told_with_what_to_do(
    tmp_path: Path, change: Change, told: str, advice: str
) -> None:
    """Discord only says that the address could not be verified; the doctor says why."""
    async with an_endpoint(change) as base:
        found = await visited(tmp_path, f"{base}/interactions", signed=False)
    assert found[PUBLIC].state is State.FAULT
    assert told in found[PUBLIC].detail
    assert advice in found[PUBLIC].advice


def forgets_the_body(request: Request, body: bytes, answer: Response) -> Response:
    """Verifies the headers over a body of its own: an altered one passes."""
    altered = b"d0ctor" in body
    return JSONResponse({"type": 1}) if altered else answer


def knows_another_key(request: Request, body: bytes, answer: Response) -> Response:
    """Started before the key in the file was corrected."""
    return JSONResponse({"error": "signature"}, 401)


def loses_the_type(request: Request, body: bytes, answer: Response) -> Response:
    """A front that changes the content type."""
    return PlainTextResponse('{"type":1}') if answer.status_code == 200 else answer


def answers_otherwise(request: Request, body: bytes, answer: Response) -> Response:
    """Refuses well, and does not know a PING."""
    return JSONResponse({"type": 5}) if answer.status_code == 200 else answer


@pytest.mark.parametrize(
    ("change", "subject", "told"),
    [
        (forgets_the_body, PUBLIC, "with an altered body is answered with 200"),
        (knows_another_key, f"{PUBLIC}, PING", "it was started with another DISCORD_PUBLIC_KEY"),
        (loses_the_type, f"{PUBLIC}, PING", "the PONG comes as text/plain"),
        (answers_otherwise, f"{PUBLIC}, PING", "a signed PING is answered with 200"),
    ],
)
async def test_what_only_a_signer_can_see_is_seen_with_a_key(
    tmp_path: Path, change: Change, subject: str, told: str
) -> None:
    """With the simulated Discord's key the whole of its check is run."""
    async with an_endpoint(change) as base:
        found = await visited(tmp_path, f"{base}/interactions")
    assert found[subject].state is State.FAULT
    assert told in found[subject].detail


async def test_a_foreign_signing_key_is_told_as_such(tmp_path: Path) -> None:
    """What is refused then is refused rightly."""
    async with an_endpoint() as base, a_case(tmp_path, url=f"{base}/interactions", key=KEY) as case:
        case.signing_key = type(KEY)(bytes(32))
        found = {finding.subject: finding for finding in await public(case)}
    assert "the signing key is not DISCORD_PUBLIC_KEY's" in found[f"{PUBLIC}, PING"].detail


async def test_each_instance_is_tried_behind_the_proxy(tmp_path: Path) -> None:
    """One of the two instances checks nothing: it is told by its number, the other and nginx are well."""
    async with an_endpoint() as good, an_endpoint(accepts_all) as bad:
        place = Place(Kind.NATIVE, Paths(tmp_path), good, good, {1: good, 2: bad})
        async with a_case(tmp_path, place=place) as case:
            found = {finding.subject: finding.state for finding in await near(case)}
    assert found == {
        "nginx, signatures": State.OK,
        "instance-1, signatures": State.OK,
        "instance-2, signatures": State.FAULT,
    }
