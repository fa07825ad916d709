"""The doctor's single looks: clock, disk, store, packages, containers; and how they are run, shown and redacted."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app import VERSION
from app.jobs import file_system
from app.jobs.schema import MIGRATIONS
from app.jobs.sqlite_engine import SqliteEngine
from ops.checks import check
from ops.doctor import clocks, endpoint, machine, store, system
from ops.doctor.asking import Answer, aside
from ops.doctor.case import Case
from ops.doctor.command import from_environment, interactions_url
from ops.doctor.finding import Finding, State, fault, not_checked, ok, warning
from ops.doctor.place import INSIDE, Kind, Place, look_around
from ops.doctor.report import as_json, summary_of, table_of
from ops.doctor.runner import Check, examine
from ops.failures import Exit, OpsError
from ops.status import ProgramStatus, Status
from ops.system import Paths
from tests.kit.running import serving
from tests.redis_kit import RedisServer
from tests.unit.ops.doctor_kit import a_case
from tests.unit.ops.files import filled


def dated(header: str, *, began: float, took: float = 0.2) -> Answer:
    """An answer that says what time it is."""
    return Answer(200, {"date": header}, began=began, took=took)


@pytest.mark.parametrize(
    ("off", "state", "told"),
    [
        (0, State.OK, "is within 3 s of Discord's"),
        (20, State.WARNING, "is 20 s ahead of Discord's"),
        (-400, State.FAULT, "is 400 s behind Discord's"),
    ],
)
def test_a_wrong_clock_is_told_by_how_much_and_which_way(off: int, state: State, told: str) -> None:
    """Seconds are told, minutes are a fault: at five of them every interaction is refused."""
    true = 1_700_000_000.5
    answer = dated("Tue, 14 Nov 2023 22:13:20 GMT", began=true + off - 0.1)
    (finding,) = clocks._compared({"Discord": answer})
    assert (finding.state, finding.detail) == (state, told)


def test_nobody_telling_the_time_is_not_a_right_clock() -> None:
    """Without a Date header nothing is known."""
    (finding,) = clocks._compared({"Discord": Answer(0), "the public address": dated("soon", began=1.0)})
    assert finding.state is State.NOT_CHECKED


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        ("NTP=yes\nNTPSynchronized=yes\n", State.OK),
        ("NTP=yes\nNTPSynchronized=no\n", State.WARNING),
        ("NTP=no\nNTPSynchronized=no\n", State.WARNING),
        ("", State.NOT_CHECKED),
    ],
)
def test_ntp_is_judged_by_what_timedatectl_shows(shown: str, state: State) -> None:
    """Switched on is not yet synchronised."""
    assert clocks.judged(shown).state is state


async def opened(path: Path) -> None:
    """Make the store's file as an instance does."""
    engine = SqliteEngine(path, MIGRATIONS)
    await engine.open()
    await engine.close()


async def test_a_sound_file_is_well_and_not_changed(tmp_path: Path) -> None:
    """The look takes no lock and writes no byte."""
    path = tmp_path / "quartet.db"
    await opened(path)
    before = path.read_bytes()
    facts, intact = store.examine_file(path)
    assert facts.state is intact.state is State.OK
    assert "WAL" in facts.detail
    assert path.read_bytes() == before


async def test_a_damaged_file_a_later_schema_and_no_database_are_faults(tmp_path: Path) -> None:
    """Each is told with what to do, and nothing in the file is changed."""
    later = tmp_path / "later.db"
    await opened(later)
    with closing(sqlite3.connect(later)) as connection, connection:
        connection.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    facts = store.examine_file(later)[0]
    assert (facts.state, "written by a later version" in facts.detail) == (State.FAULT, True)
    with closing(sqlite3.connect(later)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS compatibility (oldest INTEGER)")
        connection.execute("INSERT INTO compatibility (oldest) VALUES (?)", (len(MIGRATIONS),))
    assert "which this one works with" in store.examine_file(later)[0].detail

    damaged = tmp_path / "damaged.db"
    await opened(damaged)
    with damaged.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(4096 * 4))
    found = store.examine_file(damaged)
    assert State.FAULT in {finding.state for finding in found}
    assert any("backup" in finding.advice for finding in found)

    text = tmp_path / "text.db"
    text.write_text("no database at all, but text that is longer than a header of SQLite's is " * 20)
    (finding,) = store.examine_file(text)
    assert (finding.state, "not a database" in finding.detail) == (State.FAULT, True)


async def test_a_file_of_an_earlier_schema_is_migrated_at_the_next_start(tmp_path: Path) -> None:
    """Which is no fault."""
    path = tmp_path / "earlier.db"
    engine = SqliteEngine(path, MIGRATIONS[:1])
    await engine.open()
    await engine.close()
    assert "schema 1 is migrated at the next start" in store.examine_file(path)[0].detail


def test_a_store_on_a_network_file_system_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instances can't share a WAL file there, however well it seems to work."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text("22 1 0:40 / / rw - nfs4 server:/export rw\n")
    monkeypatch.setattr(file_system, "MOUNTS", mounts)
    (finding,) = store.examine_file(tmp_path / "quartet.db")
    assert finding.state is State.FAULT
    assert "network file system (nfs4)" in finding.detail
    assert finding.advice.startswith("Put DATA_DIR on a disk")
    assert "STORE_URL=redis://" in finding.advice


async def test_a_server_tells_its_version_and_what_may_be_lost_by_it(tmp_path: Path, own_redis: RedisServer) -> None:
    """One that keeps everything is well; one that flushes every second is a warning that says what it costs."""
    async with a_case(tmp_path, STORE_URL=f"'{own_redis.url}'") as case:
        (well,) = await store.store(case)
        own_redis.set("appendfsync", "everysec")
        found = await store.store(case)
    assert well.state is State.OK
    assert re.match(r"Redis or Valkey \d+\.\d+\.\d+ at .* answers in [\d.]+ ms", well.detail)
    assert [finding.subject for finding in found] == ["store", "store, safety"]
    assert found[1].state is State.WARNING
    assert "appendfsync is everysec" in found[1].detail


async def test_a_store_that_does_not_answer_names_no_password(tmp_path: Path) -> None:
    """A Redis URL may hold a password; what is shown is where the server should be."""
    async with a_case(tmp_path, STORE_URL="redis://bot:s3cret-w0rd@127.0.0.1:1/0") as case:
        findings = [finding.without(case.secrets) for finding in await store.store(case)]
    assert findings[0].state is State.FAULT
    assert "127.0.0.1:1" in findings[0].detail
    assert "s3cret" not in str(findings)


@pytest.mark.parametrize(
    ("free", "files", "state"),
    [
        (100, 10**6, State.OK),
        (1.5, 10**6, State.WARNING),
        (0.1, 10**6, State.FAULT),
        (100, 500, State.WARNING),
    ],
)
def test_room_on_the_disk_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, files: int, state: State
) -> None:
    """A full disk refuses every interaction, and so does one without room for another file."""

    class Room:
        total = 200 * machine.GIB
        f_files = 10**7
        f_favail = files

    room = Room()
    room.free = int(free * machine.GIB)  # type: ignore[attr-defined]
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: room)  # type: ignore[attr-defined]
    monkeypatch.setattr(machine.os, "statvfs", lambda path: room)  # type: ignore[attr-defined]
    (finding,) = machine._disk(tmp_path / "not" / "made yet")
    assert finding.state is state


def test_packages_other_than_the_locked_are_named(tmp_path: Path) -> None:
    """What is installed here is what uv.lock says; against a lock that says otherwise it is told which differs."""
    lock = tmp_path / "uv.lock"
    lock.write_text('[[package]]\nname = "pydantic"\nversion = "0.0.1"\n[[package]]\nname = "absent"\nversion = "1"\n')
    (finding,) = machine._packages(lock)
    assert finding.state is State.WARNING
    assert finding.detail.startswith("1 of 1 differ from uv.lock: pydantic ")
    assert machine._packages(tmp_path / "missing")[0].state is State.NOT_CHECKED


def program(name: str, state: str, health: str, *, restarts: int = 0, here: bool = True) -> ProgramStatus:
    """A program as the supervisor or the container engine tells it."""
    return ProgramStatus(name, state, 1, 60.0, restarts, "", health, here=here)


@pytest.mark.parametrize("kind", [Kind.NATIVE, Kind.CONTAINERS])
async def test_programs_are_judged_as_they_are_kept(tmp_path: Path, kind: Kind) -> None:
    """What is not healthy is a fault, what was restarted again and again a warning, native or in containers."""
    programs = [
        program("instance-1", "RUNNING", "healthy", restarts=1),
        program("instance-2", "RUNNING", "healthy", restarts=7),
        program("instance-3", "EXITED", ""),
        program("instance-4", "ELSEWHERE", "no answer", here=False),
        program("nginx", "RUNNING", "unhealthy (502)"),
    ]
    place = Place(kind, Paths(tmp_path), status=Status(True, programs, {}))
    async with a_case(tmp_path, place=place) as case:
        found = {finding.subject: finding for finding in await system.programs(case)}
    assert {name: finding.state for name, finding in found.items()} == {
        "instance-1": State.OK,
        "instance-2": State.WARNING,
        "instance-3": State.FAULT,
        "instance-4": State.FAULT,
        "nginx": State.FAULT,
    }
    assert found["instance-2"].detail == "running, healthy, 7 restarts"
    assert found["nginx"].advice == "See: ./deploy-multi.sh logs nginx"


def test_an_instance_is_judged_by_what_it_says_of_itself() -> None:
    """Failing parts are named, another's id at its address is told, and a resting key is no fault."""

    def said(code: int, **body: Any) -> Finding:
        answer = Answer(code, content=json.dumps({"instance": 2, "status": "ok", **body}).encode())
        return system._instance(2, answer)

    assert said(200, keys={"openai": "ready"}).state is State.OK
    cooling = said(200, keys={"openai": "cooling", "minimax": "dead"})
    assert cooling.state is State.WARNING
    assert cooling.detail == "well, but its openai key is cooling, its minimax key is dead"
    assert said(503, status="failing", store="failing").detail == "503: store failing"
    assert "instance 3 answers" in said(200, instance=3).detail
    assert system._instance(2, Answer(0, problem="the connection is refused")).state is State.FAULT


def test_instances_of_several_versions_are_told() -> None:
    """After an upgrade that was not finished, some run the old one."""
    (finding,) = system._one_version({1: VERSION, 2: "0.0.9"})
    assert finding.state is State.WARNING
    assert "instance-2 0.0.9" in finding.detail
    assert system._one_version({1: VERSION, 2: VERSION})[0].state is State.OK


async def test_a_check_that_hangs_or_stumbles_leaves_the_others_alone(tmp_path: Path) -> None:
    """Each has its own time; what is told keeps the order, the progress is told, and no secret gets through."""
    told: list[tuple[int, int]] = []

    async def hang(case: Case) -> Sequence[Finding]:
        await asyncio.Event().wait()
        return []

    async def stumble(case: Case) -> Sequence[Finding]:
        raise ValueError(f"with {case.secrets[0]} in it")

    async def leak(case: Case) -> Sequence[Finding]:
        return [fault("leak", f"the provider echoed {case.secrets[-1]}", f"do not show {case.secrets[0]}")]

    released = threading.Event()

    async def stuck(case: Case) -> Sequence[Finding]:
        await aside(lambda: released.wait(60))
        return []

    checks = [Check("hang", hang, 0.05), Check("stumble", stumble), Check("leak", leak), Check("stuck", stuck, 0.05)]
    async with a_case(tmp_path) as case:
        found = [finding async for finding in examine(case, checks, lambda done, of, _: told.append((done, of)))]
        secrets = case.secrets
    released.set()
    assert [finding.subject for finding in found] == ["hang", "stumble", "leak", "stuck"]
    assert [finding.state is State.NOT_CHECKED for finding in found] == [True, True, False, True]
    assert found[0].detail == found[3].detail == "took longer than 0.05 s"
    assert found[1].detail.startswith("could not be looked at (ValueError, test_doctor_parts.py:")
    assert (told[0], told[-1]) == ((0, 4), (4, 4))
    assert not any(secret in str(found) for secret in secrets)
    assert len(secrets) == 13


def test_the_table_says_state_and_what_to_do_and_json_the_same() -> None:
    """Nothing a finding says is taken for the table's own markup."""
    findings = [
        ok("store", "it is [red]well[/]"),
        warning("disk", "1 GiB free", "Make room."),
        fault("Discord", "no", "Reset the token."),
        not_checked("clock", "nobody told the time"),
    ]
    console = Console(file=StringIO(), width=100)
    console.print(table_of(findings))
    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    assert "it is [red]well[/]" in shown
    assert "→ Reset the token." in shown
    assert summary_of(findings) == "1 fault, 1 warning, 1 ok, 1 not checked."
    assert [(entry["state"], entry["well"]) for entry in json.loads(as_json(findings))] == [
        ("ok", True),
        ("warning", True),
        ("fault", False),
        ("not checked", True),
    ]


@pytest.mark.parametrize(
    ("given", "called"),
    [
        ("https://bot.example.com", "https://bot.example.com/interactions"),
        ("bot.example.com/", "https://bot.example.com/interactions"),
        ("https://example.com/bot/interactions", "https://example.com/bot/interactions"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/interactions"),
    ],
)
def test_an_address_is_completed_as_an_operator_means_it(given: str, called: str) -> None:
    """Without a path it is /interactions, without a scheme https."""
    assert interactions_url(given) == called


@pytest.mark.parametrize("given", ["ftp://example.com", "https://", "https://me:secret@example.com", "two words"])
def test_what_is_no_address_is_a_wrong_call_and_not_repeated(given: str) -> None:
    """Exit code 2, and a password in it is not shown."""
    with pytest.raises(OpsError) as raised:
        interactions_url(given)
    assert raised.value.code is Exit.CONFIGURATION
    assert "secret" not in f"{raised.value} {raised.value.hint}"


async def test_inside_a_container_the_neighbours_are_known_by_name(tmp_path: Path) -> None:
    """The tools service of docker-compose.yml says where the instances are."""
    environment = {INSIDE: "1", "INSTANCE_ADDRESSES": "instance-1:8000,instance-2:8000"}
    async with a_case(tmp_path) as case:
        place = look_around(case.file, case.settings, environment)
    assert (place.kind, place.proxy) == (Kind.INSIDE, "http://nginx:8080")
    assert place.instances == {1: "http://instance-1:8000", 2: "http://instance-2:8000"}


def test_inside_a_container_the_configuration_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """As docker-compose.yml hands it over, neighbours' addresses and all, it has no fault; elsewhere a file is read."""
    assert from_environment() is None
    values = {name: value for name, value in filled_values().items() if name != "DATA_DIR"}
    addresses = ",".join(f"10.203.44.1{k}:8000" for k in range(1, 5))
    for name, value in {**values, "DATA_DIR": "/data", INSIDE: "1", "INSTANCE_ADDRESSES": addresses}.items():
        monkeypatch.setenv(name, value)
    file = from_environment()
    assert file is not None
    assert check(file).faults == []
    assert file.values["OPENAI_API_KEY_4"] == "sk-openai-of-set-4"
    assert "PATH" not in file.values


def filled_values() -> dict[str, str]:
    """The variables that the example sets, filled in."""
    return dict(re.findall(r"(?m)^([A-Z][A-Z0-9_]*)=(.+)$", filled()))


STATS = {
    "instances": [
        {"instance": 1, "alive": True, "version": VERSION, "keys": {"openai": {"state": "ready"}}},
        {"instance": 2, "alive": True, "version": "0.0.9", "keys": {"openai": {"state": "spent"}}},
        {"instance": 3, "alive": False, "version": "", "keys": {}},
    ]
}


async def test_where_instances_can_not_be_reached_any_of_them_is_asked_about_all(tmp_path: Path) -> None:
    """With Docker Desktop only nginx can be reached: /stats tells of each, and what was not looked at is said."""

    async def stats(request: Request) -> JSONResponse:
        return JSONResponse(STATS)

    async with serving(Starlette(routes=[Route("/stats", stats)])) as url:
        place = Place(Kind.CONTAINERS, Paths(tmp_path), proxy=url, ops=url)
        async with a_case(tmp_path, place=place) as case:
            found = {finding.subject: finding for finding in await system.instances(case)}
            signatures = {finding.subject: finding for finding in await endpoint.near(case)}
            (kept,) = await store.store(case)
    assert {subject: finding.state for subject, finding in found.items()} == {
        "instance-1, health": State.OK,
        "instance-2, health": State.WARNING,
        "instance-3, health": State.FAULT,
        "instances, version": State.WARNING,
    }
    assert "openai key is spent" in found["instance-2, health"].detail
    for finding in (signatures["instances, signatures"], kept):
        assert finding.state is State.NOT_CHECKED
        assert "run --rm" in finding.advice
