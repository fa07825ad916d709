"""The benchmark's requests are what Discord would send."""

from __future__ import annotations

import json

from nacl.signing import VerifyKey

from app.commands.base import JobCommand
from app.commands.registry import COMMANDS
from app.discord.models import parse, read_json
from bench.interactions import Signer, body, ping, presigned


def _parts(request: bytes) -> tuple[dict[str, str], bytes]:
    head, _, content = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")[1:]
    return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}, content


def test_each_request_is_signed_over_its_own_timestamp_and_body() -> None:
    """A verifier that knows nothing of the benchmark accepts every request."""
    signer = Signer.make()
    for request in (*presigned(signer, 20).to("/interactions"), ping(signer, "/")):
        headers, content = _parts(request)
        signature = bytes.fromhex(headers["x-signature-ed25519"])
        VerifyKey(signer.public_key).verify(headers["x-signature-timestamp"].encode() + content, signature)
        assert int(headers["content-length"]) == len(content)


def test_requests_carry_the_ids_they_are_listed_with_and_none_twice() -> None:
    """What is on disk afterwards can be compared with what was sent, by id."""
    requests = presigned(Signer.make(), 50)
    carried = [json.loads(_parts(request)[1])["id"] for request in requests.to("/")]
    assert carried == list(requests.ids)
    assert len(set(carried)) == 50


def test_the_body_is_a_job_for_the_real_bot() -> None:
    """The benchmark measures a command that is recorded, not one that is refused or unknown."""
    content = body("1300000000000000001", 1000000000000000007)
    interaction = parse(read_json(content))
    assert (interaction.id, interaction.user_id) == ("1300000000000000001", "1000000000000000007")
    command = COMMANDS[interaction.command]
    assert isinstance(command, JobCommand)
    assert command.check(interaction) is None
    assert 1700 <= len(content) <= 2000


def test_the_path_stands_in_the_request_line() -> None:
    """Every server gets the same signed bytes at the path where it listens."""
    requests = presigned(Signer.make(), 1)
    assert requests.to("/")[0].startswith(b"POST / HTTP/1.1\r\n")
    assert requests.to("/interactions")[0].partition(b"\r\n")[2] == requests.to("/")[0].partition(b"\r\n")[2]
