"""The doctor on the whole real system of a demo: nginx, four instances, and a Discord whose key it knows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.envfile import ROOT
from ops.nginx import find_nginx
from ops.supervisor import Supervisor
from tests.acceptance.playground_kit import House, open_house

pytestmark = [
    pytest.mark.processes,
    pytest.mark.nginx,
    pytest.mark.skipif(find_nginx() is None, reason="nginx with njs is not installed"),
]


@pytest.fixture(scope="module", name="house")
def a_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One running demo for all tests here."""
    with open_house(tmp_path_factory.mktemp("doctor")) as house:
        yield house


def doctor(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does; nothing it prints holds a key or the token."""
    command = [sys.executable, "-m", "ops", "doctor", *arguments, "--env-file", str(house.stage.file.path)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    for name, value in house.stage.file.values.items():
        if ("KEY" in name and "PUBLIC" not in name) or name == "DISCORD_TOKEN":
            assert value not in done.stdout + done.stderr, name
    return done


def findings(house: House, *arguments: str) -> dict[str, dict[str, Any]]:
    """What it finds, by subject."""
    printed = doctor(house, *arguments, "--json").stdout
    return {entry["subject"]: entry for entry in json.loads(printed)}


def test_a_sound_system_is_found_sound_from_end_to_end(house: House) -> None:
    """Discord's whole check passes at the public address, at nginx and at each instance; the 13 keys are accepted."""
    found = findings(house)
    assert [entry for entry in found.values() if entry["state"] == "fault"] == []
    signed = [f"instance-{k}, signatures" for k in range(1, 5)] + ["nginx, signatures", "public address"]
    for subject in signed:
        assert found[subject]["detail"].startswith("refuses 10 of 10 forged requests"), found[subject]
        assert found[f"{subject}, PING"]["detail"].startswith("a signed PING is answered with a PONG")
    for provider in ("OpenAI", "Stability", "MiniMax"):
        assert [found[f"{provider}, set {k}"]["state"] for k in range(1, 5)] == ["ok"] * 4
    for subject in ("Discord", "Discord, address", "Discord, commands", "store", "store, integrity", "disk", "clock"):
        assert found[subject]["state"] == "ok", found[subject]
    assert found["instances, version"]["detail"].startswith("all 4 run ")
    assert all(found[f"instance-{k}, health"]["state"] == "ok" for k in range(1, 5))


def test_the_table_tells_the_same_and_ends_with_0(house: House) -> None:
    """Warnings and what can't be checked don't fail it, so that it may stand in a script."""
    done = doctor(house)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no faults, " in done.stdout
    assert "OpenAI, set 3" in done.stdout
    assert done.stderr == ""


def test_an_instance_that_is_down_is_found_and_ends_with_1(house: House) -> None:
    """Its own lines say so and what to do; the address that Discord calls still passes the check, by the others."""
    supervisor = Supervisor(house.system.socket)
    supervisor.stop("instance-2")
    try:
        found = findings(house)
        assert doctor(house).returncode == 1
    finally:
        supervisor.start("instance-2")
    assert {subject for subject, entry in found.items() if entry["state"] == "fault"} == {
        "instance-2",
        "instance-2, health",
    }
    assert "logs instance-2" in found["instance-2"]["advice"]
    assert found["public address"]["state"] == "ok"


def test_a_foreign_signing_key_and_a_wrong_address_are_told(house: House, tmp_path: Path) -> None:
    """The running system refuses what another key signed; an address that Discord does not call is a fault."""
    key = tmp_path / "key"
    key.write_text("00" * 32)
    found = findings(house, "--signing-key-file", str(key))
    assert found["public address, PING"]["state"] == "fault"
    assert "the signing key is not DISCORD_PUBLIC_KEY's" in found["public address, PING"]["detail"]
    port = house.system.public.rpartition(":")[2]
    found = findings(house, f"http://localhost:{port}/elsewhere")
    assert "Discord calls http://127.0.0.1:" in found["Discord, address"]["detail"]
    assert "answered with 404 instead of 401" in found["public address"]["detail"]


def test_a_wrong_call_ends_with_2_and_tries_nothing(house: House, tmp_path: Path) -> None:
    """What is no address, and a key file that is none, are told before anything is asked."""
    done = doctor(house, "ftp://example.com")
    assert (done.returncode, done.stdout) == (2, "")
    assert "URL: is not an address" in done.stderr
    assert doctor(house, "--signing-key-file", str(tmp_path / "missing")).returncode == 2
