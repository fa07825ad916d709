"""The fault tests' own tools: what they would overlook, nobody would find."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from simulator.check import Report, check
from simulator.check_secrets import leaks, leaks_in
from tests.faults.hostile import Attacker
from tests.faults.judge import Judge
from tests.faults.load import chats
from tests.faults.network import faulty_network
from tests.faults.record import Record
from tests.faults.stage import Happening
from tests.faults.test_fault_01_kill import plan
from tests.faults.trial import Trial

SECRET = "sk-simulated-0123456789"
TOKEN = base64.urlsafe_b64encode(b"interaction:12345:" + b"x" * 60).decode().rstrip("=")


def story(*webhooks: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """An accepted interaction and the webhook calls that followed."""
    yield {"event": "sent", "t": 1.0, "interaction": "1", "prompts": {"질문": "p"}}
    yield {"event": "acked", "t": 1.1, "interaction": "1", "type": 5, "ms": 5.0}
    for n, more in enumerate(webhooks):
        yield {"event": "webhook", "t": 2.0 + n, "interaction": "1", "status": 200, "message": "m", **more}


def test_a_message_left_in_progress_beside_the_answer_is_found() -> None:
    """An answer in a second message does not excuse the first, which says "one moment" for ever."""
    progress, answer = {"visible": "a", "final": False}, {"visible": "b", "final": True}
    assert check(story(progress, {**answer, "message": "n"})).violations() == {"left_open": ["1"]}
    assert check(story(progress, answer)).ok


def test_only_a_fault_that_was_asked_for_excuses_an_unanswered_interaction() -> None:
    """50027 by a fault: nobody could answer. 50027 because the token's time was up: lost."""
    gone = {"status": 401, "code": 50027}
    excused = check(story({**gone, "fault": "50027"}))
    assert "lost" not in excused.violations()
    assert excused.figures["undeliverable"] == 1
    assert check(story(gone)).violations()["lost"] == ["1"]


@pytest.mark.parametrize("shown", [SECRET, base64.b64encode(SECRET.encode()).decode(), TOKEN])
def test_a_secret_is_found_in_any_form_and_not_shown(shown: str, tmp_path: Path) -> None:
    """Plain, in base64, and an interaction token nobody listed; the finding names the place alone."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").write_text(f"all is well\nfailed: {shown}\n")
    found = [*leaks([tmp_path], [SECRET]), *leaks_in({"/metrics": shown.encode()}, [SECRET])]
    assert len(found) == 2
    assert not [line for line in found if shown in line]
    assert leaks([tmp_path], ["sk-another-secret-of-ours"], tokens=False) == []


def test_a_secret_on_the_border_of_two_pieces_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read in pieces that overlap."""
    monkeypatch.setattr("simulator.check_secrets.CHUNK", 32)
    (tmp_path / "log").write_text("x" * 20 + SECRET + "x" * 100)
    assert leaks([tmp_path], [SECRET])


def test_the_same_seed_makes_the_same_plan(tmp_path: Path) -> None:
    """Users, payloads, moments and victims; another seed makes another plan."""

    def made(seed: int) -> object:
        trial = Trial(1, "kill", seed, False, random.Random(seed), tmp_path, tmp_path)
        return chats(trial.rng, 20, 10.0), plan(trial, 6, 10.0)

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_attacks_are_what_they_say() -> None:
    """Each kind is made, and only what has a status of its own is genuinely signed."""
    signing = SigningKey(b"1" * 32)
    attacks = [Attacker(random.Random(n), signing).any() for n in range(200)]
    assert len({attack.kind for attack in attacks}) == 10
    for attack in attacks:
        headers, genuine = attack.headers, False
        try:
            stamp = headers["X-Signature-Timestamp"].encode()
            signing.verify_key.verify(stamp + attack.body, bytes.fromhex(headers["X-Signature-Ed25519"]))
            genuine = attack.kind != "late replay"
        except Exception:  # whatever is wrong with it
            genuine = False
        assert (attack.right == {401}) is not genuine


def test_interrupted_work_is_found_with_where_it_went_on(tmp_path: Path) -> None:
    """What was at work at the kill counts; what had its answer, or belonged to another key, does not."""
    lines: list[dict[str, Any]] = [
        {"event": "sent", "t": 1.0, "interaction": str(n), "prompts": {"질문": f"p{n}"}} for n in range(3)
    ]
    call = {
        "event": "provider_call",
        "provider": "openai",
        "route": "chat.completions",
        "costly": True,
        "admitted": True,
    }
    lines += [{**call, "n": n, "t": 2.0, "key": f"set-{1 + n // 2}", "prompt": f"p{n}"} for n in range(3)]
    lines += [
        {"event": "webhook", "t": 3.0, "interaction": "1", "status": 200, "message": "m", "visible": "v", "final": True}
    ]
    lines += [{**call, "n": 9, "t": 6.5, "key": "set-3", "prompt": "p0"}]
    path = tmp_path / "ledger.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"event": "half a li')
    judge = Judge(path)
    found = judge.interrupted(Happening(4.0, "kill", 1), ["set-1"])
    assert [(one.interaction, one.seconds, one.on) for one in found] == [("0", 2.5, "set-3")]


def test_only_times_are_set_aside_and_only_on_a_starved_machine() -> None:
    """A lost answer is one however busy the machine; a late one is named as not judged."""

    def record(starved: float, **found: Any) -> Record:
        made = Record(1, "t", 1, "short", starved=starved)
        made.judge(Report(figures={}, **found))
        return made

    late: list[dict[str, Any]] = [{"interaction": "1", "ms": 4000.0}]
    busy = record(0.9, late=late)
    busy.require()
    assert busy.ok
    assert "not judged" in busy.not_run[0]
    for failing in (record(0.1, late=late), record(0.9, lost=["1"])):
        with pytest.raises(AssertionError):
            failing.require()
        assert not failing.ok
        assert "**NO**" in failing.markdown()


def test_a_test_that_broke_off_has_not_passed() -> None:
    """Without its end there is no verdict."""
    record = Record(1, "t", 1, "short")
    record.check("something", True)
    assert not record.ok


async def test_the_network_resets_swallows_and_heals() -> None:
    """An open connection breaks with a reset; a black hole keeps what was said until the network is whole again."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, faulty_network() as network:
        network.target = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", network.port)
        network.set("black_hole")
        writer.write(b"hello")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(5), 0.2)
        network.set("open")
        assert await asyncio.wait_for(reader.readexactly(5), 5) == b"hello"
        network.set("reset")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), 5)
        writer.transport.abort()
