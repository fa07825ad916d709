"""The simulated Stability and MiniMax: strict forms, real files, tasks that belong to their key."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from simulator.config import Key, Limits, SimulatorConfig
from simulator.media import Pattern, mp4, png
from simulator.pictures import Size, size_in
from simulator.server import SimulatorServer
from simulator.wire import tls

GENERATE = "/v2beta/stable-image/generate/core"


@pytest.fixture
def config(config: SimulatorConfig) -> SimulatorConfig:
    """Two keys for MiniMax; for Stability one of two calls a day, and one without limits."""
    keys = (
        Key("minimax", "mm-key-1", "set-1"),
        Key("minimax", "mm-key-2", "set-2"),
        Key("stability", "st-key-1", "set-1", Limits(rpd=2)),
        Key("stability", "st-key-2", "set-2"),
    )
    return dataclasses.replace(config, keys=keys)


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    """A plain client."""
    async with httpx2.AsyncClient(timeout=10, verify=tls()) as client:
        yield client


def auth(key: str) -> dict[str, str]:
    """Return the header that carries a key."""
    return {"Authorization": f"Bearer {key}"}


def form(**fields: str) -> dict[str, Any]:
    """Return text fields as a multipart form."""
    return {name: (None, value) for name, value in fields.items()}


def decode_png(data: bytes) -> tuple[int, int]:
    """Return a PNG's size after checking signature, every checksum and the number of pixels."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, {}
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + size]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0]
        chunks[kind] = body
        at += 12 + size
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    assert len(zlib.decompress(chunks[b"IDAT"])) == height * (1 + 3 * width) and b"IEND" in chunks
    return width, height


def boxes(data: bytes) -> list[tuple[str, bytes]]:
    """Return the boxes of an MP4, which must fill the data exactly."""
    found, at = [], 0
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        found.append((kind.decode("ascii"), data[at + 8 : at + size]))
        at += size
    assert at == len(data)
    return found


async def test_a_picture_is_a_real_png_of_the_asked_shape(sim: SimulatorServer, http: httpx2.AsyncClient) -> None:
    """Bytes or base64, always the same picture for the same prompt and seed."""
    fields = form(prompt="고양이", aspect_ratio="16:9", seed="7")
    url = sim.stability_url + GENERATE
    raw = await http.post(url, files=fields, headers={**auth("st-key-1"), "accept": "image/*"})
    assert raw.headers["content-type"] == "image/png" and raw.headers["finish-reason"] == "SUCCESS"
    assert raw.headers["seed"] == "7" and decode_png(raw.content) == (256, 144)
    packed = await http.post(url, files=fields, headers={**auth("st-key-1"), "accept": "application/json"})
    assert base64.b64decode(packed.json()["image"]) == raw.content and packed.json()["finish_reason"] == "SUCCESS"
    spent = await http.post(url, files=fields, headers=auth("st-key-1"))
    assert spent.status_code == 429 and spent.json()["errors"]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"json": {"prompt": "x"}}, "content-type: must be multipart/form-data"),
        ({"files": form(none="")}, "prompt: is required"),
        ({"files": form(prompt="x", aspect_ratio="4:3")}, "aspect_ratio:"),
        ({"files": form(prompt="x", width="5")}, "width: unknown field"),
        ({"files": form(prompt="x" * 10_001)}, "prompt: must be at most"),
        ({"files": form(prompt="x", seed="-1")}, "seed:"),
        ({"files": form(prompt="x"), "headers": {"accept": "text/html"}}, "accept:"),
    ],
)
async def test_stability_refuses_bad_forms(
    sim: SimulatorServer, http: httpx2.AsyncClient, options: dict[str, Any], fault: str
) -> None:
    """400 with one line per fault."""
    headers = {**auth("st-key-1"), **options.pop("headers", {})}
    answer = await http.post(sim.stability_url + GENERATE, headers=headers, **options)
    assert answer.status_code == 400 and answer.json()["name"] == "bad_request"
    assert answer.json()["errors"][0].startswith(fault)


SD3, FAST, CONSERVATIVE = (
    f"/v2beta/stable-image/{path}" for path in ("generate/sd3", "upscale/fast", "upscale/conservative")
)


def with_picture(data: bytes, **fields: str) -> dict[str, Any]:
    """Return a form with a picture in it."""
    return {**form(**fields), "image": ("image.png", data, "image/png")}


async def test_a_picture_from_a_picture_keeps_its_shape(sim: SimulatorServer, http: httpx2.AsyncClient) -> None:
    """sd3 draws in the source's ratio; another seed makes another picture, and so does another source."""
    free, url = auth("st-key-2"), sim.stability_url + SD3
    made = []
    for source, seed in ((png("a", 1, 128, 64), "5"), (png("a", 1, 128, 64), "6"), (png("b", 1, 128, 64), "5")):
        fields = with_picture(source, prompt="x", mode="image-to-image", strength="0.6", seed=seed)
        made.append((await http.post(url, files=fields, headers=free)).content)
    assert [decode_png(picture) for picture in made] == [(256, 128)] * 3 and len(set(made)) == 3


async def test_an_enlarged_picture_is_the_same_picture(sim: SimulatorServer, http: httpx2.AsyncClient) -> None:
    """Fast makes four times the pixels each way, conservative four megapixels; a JPEG if asked; what it shows stays."""
    source = png("a", 1, 256, 128)
    fast = await http.post(
        sim.stability_url + FAST, files=with_picture(source, output_format="jpeg"), headers=auth("st-key-2")
    )
    assert fast.headers["content-type"] == "image/jpeg" and fast.headers["finish-reason"] == "SUCCESS"
    assert size_in(fast.content) == Size("jpeg", 1024, 512)
    fields = with_picture(source, prompt="x", output_format="png")
    large = (await http.post(sim.stability_url + CONSERVATIVE, files=fields, headers=auth("st-key-2"))).content
    assert decode_png(large) == (2828, 1414) and Pattern.seen_in(large) == Pattern.seen_in(source) == Pattern.of("a", 1)


async def test_style_and_seed_change_a_picture(sim: SimulatorServer, http: httpx2.AsyncClient) -> None:
    """The same prompt in another style or with another seed is another picture."""
    wishes: list[dict[str, str]] = [{"seed": "1"}, {"seed": "2"}, {"seed": "1", "style_preset": "anime"}, {}]
    made = [
        (
            await http.post(sim.stability_url + GENERATE, files=form(prompt="x", **wish), headers=auth("st-key-2"))
        ).content
        for wish in wishes
    ]
    assert len(set(made)) == len(wishes)


SMALL, LONG, PLAIN = png("x", 1, 20, 20), png("x", 1, 600, 100), png("x", 1, 128, 128)


@pytest.mark.parametrize(
    ("path", "fields", "fault"),
    [
        (GENERATE, with_picture(PLAIN, prompt="x"), "image: unknown field"),
        (SD3, with_picture(PLAIN, prompt="x", mode="image-to-image"), "strength: is required"),
        (SD3, with_picture(PLAIN, prompt="x", strength="0.5"), "mode: must be image-to-image"),
        (SD3, with_picture(SMALL, prompt="x", mode="image-to-image", strength="1"), "image: each side"),
        (SD3, with_picture(PLAIN, prompt="x", mode="image-to-image", strength="2"), "strength: must be"),
        (SD3, with_picture(b"GIF89a\1\0\1\0", prompt="x", mode="image-to-image", strength="1"), "image: must be a"),
        (SD3, form(prompt="x", mode="image-to-image"), "image: is required"),
        (FAST, form(output_format="png"), "image: is required"),
        (FAST, with_picture(SMALL), "image: each side"),
        (FAST, with_picture(PLAIN, prompt="x"), "prompt: unknown field"),
        (FAST, with_picture(png("x", 1, 1100, 1000)), "image: the number of pixels"),
        (CONSERVATIVE, with_picture(PLAIN), "prompt: is required"),
        (CONSERVATIVE, with_picture(LONG, prompt="x"), "image: the aspect ratio"),
        (CONSERVATIVE, with_picture(PLAIN, prompt="x", creativity="0.9"), "creativity: must be"),
    ],
)
async def test_stability_refuses_bad_pictures(
    sim: SimulatorServer, http: httpx2.AsyncClient, path: str, fields: dict[str, Any], fault: str
) -> None:
    """400 with the field's name."""
    answer = await http.post(sim.stability_url + path, headers=auth("st-key-1"), files=fields)
    assert answer.status_code == 400 and answer.json()["errors"][0].startswith(fault)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (png("x", 1, 400, 320), 0),
        (png("x", 1, 400, 300), 2013),
        (png("x", 1, 1000, 310), 2013),
        (b"GIF89a\0\2\0\2", 2013),
        (b"no picture", 2013),
    ],
)
async def test_a_video_may_begin_with_a_picture(
    sim: SimulatorServer, http: httpx2.AsyncClient, frame: bytes, code: int
) -> None:
    """One that is a JPG, PNG or WebP of more than 300 pixels and not too long; the prompt is then optional."""
    body = {
        "model": "MiniMax-Hailuo-2.3",
        "first_frame_image": f"data:image/png;base64,{base64.b64encode(frame).decode()}",
    }
    url = f"{sim.minimax_url}/v1/video_generation"
    answer = (await http.post(url, json=body, headers=auth("mm-key-1"))).json()
    assert answer["base_resp"]["status_code"] == code and ("task_id" in answer) is (code == 0)
    broken = {**body, "first_frame_image": "data:image/png;base64,no!"}
    refused = (await http.post(url, json=broken, headers=auth("mm-key-1"))).json()
    assert refused["base_resp"]["status_code"] == 2013


@pytest.mark.parametrize(
    ("kind", "status", "name"),
    [("429", 429, "rate_limit_exceeded"), ("quota", 402, "payment_required"), ("401", 401, "unauthorized"),
     ("403", 403, "unauthorized"), ("refusal", 403, "content_moderation"), ("500", 500, "internal_error")],
)  # fmt: skip
async def test_stability_faults(
    sim: SimulatorServer, http: httpx2.AsyncClient, kind: str, status: int, name: str
) -> None:
    """Each in Stability's own envelope."""
    sim.app.world.faults.add({"target": "stability", "kind": kind, "count": 1})
    answer = await http.post(sim.stability_url + GENERATE, files=form(prompt="x"), headers=auth("st-key-1"))
    assert (answer.status_code, answer.json()["name"]) == (status, name)


async def test_a_filtered_picture_is_a_200_that_says_so(sim: SimulatorServer, http: httpx2.AsyncClient) -> None:
    """The header tells, not the status."""
    answer = await http.post(sim.stability_url + GENERATE, files=form(prompt="x #filter"), headers=auth("st-key-1"))
    assert answer.status_code == 200 and answer.headers["finish-reason"] == "CONTENT_FILTERED"


async def test_stability_knows_its_keys(sim: SimulatorServer, http: httpx2.AsyncClient) -> None:
    """A wrong key is 401; the balance echoes its ends, as the real one does."""
    wrong = await http.post(sim.stability_url + GENERATE, files=form(prompt="x"), headers=auth("sk-nobody-knows"))
    assert wrong.status_code == 401 and wrong.json()["errors"] == ["authorization: invalid or missing header value"]
    balance = await http.get(f"{sim.stability_url}/v1/user/balance", headers=auth("sk-nobody-knows"))
    assert balance.status_code == 401 and "sk-nobo" in balance.json()["message"]
    good = await http.get(f"{sim.stability_url}/v1/user/balance", headers=auth("st-key-1"))
    assert good.json()["credits"] > 0


async def video(sim: SimulatorServer, http: httpx2.AsyncClient, prompt: str) -> dict[str, Any]:
    """Create a task with the first key and poll it to its end."""
    body = {"model": "MiniMax-Hailuo-2.3", "prompt": prompt}
    made = (await http.post(f"{sim.minimax_url}/v1/video_generation", json=body, headers=auth("mm-key-1"))).json()
    url = f"{sim.minimax_url}/v1/query/video_generation?task_id={made['task_id']}"
    async with asyncio.timeout(10):
        while True:
            state = dict((await http.get(url, headers=auth("mm-key-1"))).json())
            if state["status"] in ("Success", "Fail"):
                return state


async def test_a_video_from_task_to_file(sim: SimulatorServer, http: httpx2.AsyncClient) -> None:
    """The file is a real MP4 of the announced size; its link takes no Authorization header."""
    state = await video(sim, http, "a cat")
    url = f"{sim.minimax_url}/v1/files/retrieve?file_id={state['file_id']}"
    file = (await http.get(url, headers=auth("mm-key-1"))).json()["file"]
    data = (await http.get(file["download_url"])).content
    assert len(data) == file["bytes"] and [kind for kind, _ in boxes(data)][:3] == ["ftyp", "moov", "mdat"]
    assert (await http.get(file["download_url"], headers=auth("mm-key-1"))).status_code == 400
    assert isinstance(file["file_id"], int) and isinstance(state["file_id"], str)


async def test_stages_come_in_order(config: SimulatorConfig) -> None:
    """Preparing, Queueing, Processing, Success; never backwards."""
    fast = dataclasses.replace(config, keys=(), speed=dataclasses.replace(config.speed, video_s=0.3, spread=0.0))
    async with SimulatorServer(fast) as sim, httpx2.AsyncClient(headers=auth("st-key-2"), verify=tls()) as http:
        body = {"model": "MiniMax-Hailuo-2.3", "prompt": "x"}
        task = (await http.post(f"{sim.minimax_url}/v1/video_generation", json=body)).json()["task_id"]
        seen: list[str] = []
        async with asyncio.timeout(10):
            while not seen or seen[-1] != "Success":
                url = f"{sim.minimax_url}/v1/query/video_generation?task_id={task}"
                seen.append((await http.get(url)).json()["status"])
    order = ["Preparing", "Queueing", "Processing", "Success"]
    assert list(dict.fromkeys(seen)) == order


async def test_a_task_belongs_to_the_key_that_made_it(sim: SimulatorServer, http: httpx2.AsyncClient) -> None:
    """Another key finds neither the task nor its file."""
    state = await video(sim, http, "a cat")
    for path in (f"query/video_generation?task_id={state['task_id']}", f"files/retrieve?file_id={state['file_id']}"):
        other = await http.get(f"{sim.minimax_url}/v1/{path}", headers=auth("mm-key-2"))
        assert other.status_code == 200 and other.json()["base_resp"]["status_code"] == 2013


@pytest.mark.parametrize(("kind", "code"), [("filter", 1027), ("task_failed", 1000), (None, 1027)])
async def test_a_failed_task_says_why(
    sim: SimulatorServer, http: httpx2.AsyncClient, kind: str | None, code: int
) -> None:
    """Status Fail with the code that was asked for, by a fault or by the prompt itself."""
    if kind:
        sim.app.world.faults.add({"target": "minimax", "route": "video", "kind": kind, "code": code, "count": 1})
    state = await video(sim, http, "x" if kind else "x #filter")
    assert (state["status"], state["base_resp"]["status_code"]) == ("Fail", code)


@pytest.mark.parametrize(
    ("fault", "code"),
    [({"kind": "429"}, 1002), ({"kind": "quota"}, 1008), ({"kind": "401"}, 1004), ({"kind": "refusal"}, 1026),
     ({"kind": "base_resp", "code": 2056}, 2056)],
)  # fmt: skip
async def test_minimax_errors_are_http_200(
    sim: SimulatorServer, http: httpx2.AsyncClient, fault: dict[str, Any], code: int
) -> None:
    """The code stands in `base_resp`."""
    sim.app.world.faults.add({"target": "minimax", "count": 1, **fault})
    body = {"model": "image-01", "prompt": "x", "response_format": "base64"}
    answer = await http.post(f"{sim.minimax_url}/v1/image_generation", json=body, headers=auth("mm-key-1"))
    assert (answer.status_code, answer.json()["base_resp"]["status_code"]) == (200, code)


async def test_minimax_pictures(sim: SimulatorServer, http: httpx2.AsyncClient) -> None:
    """As base64 or as a link; a blocked one is missing from the list, the counts are text."""
    url = f"{sim.minimax_url}/v1/image_generation"
    body = {"model": "image-01", "prompt": "x", "seed": 3, "n": 2, "aspect_ratio": "4:3"}
    packed = (await http.post(url, json={**body, "response_format": "base64"}, headers=auth("mm-key-1"))).json()
    linked = (await http.post(url, json=body, headers=auth("mm-key-1"))).json()
    pictures = [base64.b64decode(text) for text in packed["data"]["image_base64"]]
    assert [(await http.get(link)).content for link in linked["data"]["image_urls"]] == pictures
    assert decode_png(pictures[0]) == (256, 192) and packed["metadata"]["success_count"] == "2"
    blocked = (await http.post(url, json={**body, "prompt": "#filter"}, headers=auth("mm-key-1"))).json()
    assert blocked["metadata"] == {"success_count": "0", "failed_count": "2"}
    bad = (await http.post(url, json={**body, "aspect_ratio": "5:4"}, headers=auth("mm-key-1"))).json()
    assert bad["base_resp"]["status_code"] == 2013


async def test_the_wire_breaks_as_asked(sim: SimulatorServer, http: httpx2.AsyncClient) -> None:
    """Cut in the middle, reset before and after the work: the caller gets an error, the ledger knows what was done."""
    for kind in ("cut", "reset", "done_then_drop"):
        sim.app.world.faults.add({"target": "minimax", "kind": kind, "count": 1})
        body = {"model": "MiniMax-Hailuo-2.3", "prompt": "x"}
        with pytest.raises(httpx2.TransportError):
            await http.post(f"{sim.minimax_url}/v1/video_generation", json=body, headers=auth("mm-key-1"))
    assert len(sim.app.minimax.tasks) == 2  # all but the one reset before the work


async def test_a_huge_answer_really_is(sim: SimulatorServer, http: httpx2.AsyncClient) -> None:
    """The body keeps coming up to the asked size."""
    sim.app.world.faults.add({"target": "stability", "kind": "huge", "bytes": 1_000_000, "count": 1})
    answer = await http.post(sim.stability_url + GENERATE, files=form(prompt="x"), headers=auth("st-key-1"))
    assert len(answer.content) > 900_000


def test_an_mp4_points_at_its_frames() -> None:
    """Each chunk offset leads to a PNG, and the file can be made as large as asked."""
    data = mp4("prompt", size=50_000)
    assert len(data) == 50_000
    table = data.index(b"stco") + 8
    count = struct.unpack(">I", data[table : table + 4])[0]
    for offset in struct.unpack(f">{count}I", data[table + 4 : table + 4 + 4 * count]):
        assert data[offset : offset + 4] == b"\x89PNG"
    moov = dict(boxes(data))["moov"]
    assert [kind for kind, _ in boxes(moov)] == ["mvhd", "trak"]


def test_prompts_have_their_own_colours() -> None:
    """Two prompts never look the same, one prompt always does."""
    assert png("a", 1, 64, 64) == png("a", 1, 64, 64) != png("b", 1, 64, 64)
    assert decode_png(png("a", 1, 61, 37)) == (61, 37)
