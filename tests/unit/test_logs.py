"""One JSON object a line, ours and the libraries' alike, and no secret in any of them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import logs
from app.redaction import MASK

SECRET = "correct-horse-battery"
TOKEN_URL = "https://discord.com/api/v10/webhooks/1200000000000000001/aW50ZXJhY3Rpb246dG9rZW4/messages/@original"

QUIET = ("httpx2", "httpcore2", "openai", "uvicorn.access", "asyncio")

SERVER = ("uvicorn", "uvicorn.error", "uvicorn.access")

Lines = Callable[[], list[dict[str, Any]]]


def _not_raw(_handler: logging.Handler, record: logging.LogRecord) -> None:
    """Fail where logging would print the raw record to standard error."""
    raise AssertionError(f"could not be logged: {record.levelname} of {record.name}") from sys.exc_info()[1]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Configure logging as an instance does; returns what was logged since the last look, and undoes it all."""
    root, handlers, level = logging.root, logging.root.handlers, logging.root.level
    quiet = {name: logging.getLogger(name).level for name in QUIET}
    for name in SERVER:  # a server that another test ran in this process may have silenced its own
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
        quiet[name] = logging.getLogger(name).level
        logging.getLogger(name).setLevel(logging.NOTSET)
    usual, written = sys.stdout, io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="utf-8", write_through=True))
    monkeypatch.setattr(logging.Handler, "handleError", _not_raw)
    logs.configure("INFO", 3, [SECRET])
    monkeypatch.setattr(sys, "stdout", usual)

    def logged() -> list[dict[str, Any]]:
        logging.root.handlers[0].flush()
        text = written.getvalue().decode()
        written.seek(0)
        written.truncate()
        return [json.loads(line) for line in text.split("\n") if line]

    yield logged
    root.handlers = handlers
    root.setLevel(level)
    for name, before in quiet.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def test_a_line_is_an_object(lines: Lines) -> None:
    """With time in UTC, level, logger, instance, the event and what was bound to it; Korean stays readable."""
    structlog.get_logger("test").info("시작", jobs=3, ratio=0.5, fine=True, nothing=None)
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "시작", "jobs": 3, "ratio": 0.5, "fine": True, "nothing": None, "level": "info", "logger": "test",
        "instance": 3,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["uvicorn.error", "fastapi", "sqlite", "asyncio"])
def test_libraries_write_the_same_shape(lines: Lines, name: str) -> None:
    """Formatted arguments, level and logger's name; with the secret in an argument masked."""
    logging.getLogger(name).warning("bound to %s with %s", ("127.0.0.1", 8000), SECRET)
    (line,) = lines()
    assert line["event"] == f"bound to ('127.0.0.1', 8000) with {MASK}"
    assert (line["level"], line["logger"], line["instance"]) == ("warning", name, 3)


@pytest.mark.parametrize("name", ["httpx2", "httpcore2.connection", "openai._base_client", "uvicorn.access"])
def test_libraries_that_log_every_request_are_quiet(lines: Lines, name: str) -> None:
    """Below a warning; a warning comes through, its URL's token masked."""
    logging.getLogger(name).info("PATCH %s", TOKEN_URL)
    assert lines() == []
    logging.getLogger(name).warning("PATCH %s", TOKEN_URL)
    (line,) = lines()
    assert line["event"] == f"PATCH https://discord.com/api/v10/webhooks/1200000000000000001/{MASK}/messages/@original"


def test_levels_below_the_configured_are_silent(lines: Lines) -> None:
    """`INFO` shows no debugging line, ours or a library's."""
    structlog.get_logger("test").debug("x")
    logging.getLogger("some.library").debug("x")
    assert lines() == []


class Holder:
    """An object that shows its secret."""

    def __repr__(self) -> str:
        return f"<Holder {SECRET}>"


@pytest.mark.parametrize(
    "value",
    [
        SECRET, f"key {SECRET}.", [SECRET], (SECRET,), {SECRET}, {"a": {"b": [SECRET]}}, {SECRET: 1}, SECRET.encode(),
        bytearray(SECRET.encode()), ValueError(SECRET), Holder(), [Holder()], Path(SECRET),
        {"headers": [("x", SECRET)]},
        "Authorization: Bearer 0123456789abcdef", {"x": "sk-proj-abcDEF0123456789"}, [TOKEN_URL],
    ],
)  # fmt: skip
def test_a_secret_is_masked_however_deep_it_lies(lines: Lines, value: Any) -> None:
    """Symptom: a secret inside a list, a mapping or an exception was logged as it is. Cause: only texts were masked.
    Rule: whatever is logged is masked all the way down, and what JSON can't hold is shown by its masked `repr`.
    """
    structlog.get_logger("test").info("event", value=value)
    logging.getLogger("library").info("event %s", value)
    text = json.dumps(lines())
    for secret in (SECRET, "0123456789abcdef", "abcDEF0123456789", "aW50ZXJhY3Rpb246dG9rZW4"):
        assert secret not in text
    assert MASK in text


@pytest.mark.parametrize(
    "name", ["token", "bot_token", "Authorization", "api_key", "X-Api-Key", "password", "signature"]
)
def test_what_its_name_calls_secret_is_masked(lines: Lines, name: str) -> None:
    """Also if no pattern would know it, at the top and further down."""
    structlog.get_logger("test").info("event", **{name: "short"}, headers={name: "short"}, listed=[{name: "short"}])
    (line,) = lines()
    assert line[name] == line["headers"][name] == line["listed"][0][name] == MASK


def test_what_only_sounds_so_stays(lines: Lines) -> None:
    """Numbers and other names are for reading."""
    structlog.get_logger("test").info("event", tokens=512, token=7, key_set="set-1", interaction="1300000000000000001")
    (line,) = lines()
    assert (line["tokens"], line["token"], line["key_set"]) == (512, 7, "set-1")
    assert line["interaction"] == "1300000000000000001"


def test_a_traceback_is_one_line_and_masked(lines: Lines) -> None:
    """Ours and a library's: the exception is there with its cause, without the secret in its message."""
    try:
        try:
            raise OSError(f"refused for {SECRET}")
        except OSError as cause:
            raise RuntimeError(f"could not PATCH {TOKEN_URL}") from cause
    except RuntimeError:
        structlog.get_logger("test").exception("broke", key=SECRET)
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    ours, theirs = lines()
    for line in (ours, theirs):
        assert "RuntimeError: could not PATCH" in line["exception"] and "OSError: refused for" in line["exception"]
        assert SECRET not in json.dumps(line) and "aW50ZXJhY3Rpb246dG9rZW4" not in json.dumps(line)
    assert theirs["event"] == "Exception in ASGI application"


async def test_a_task_nobody_waited_for(lines: Lines) -> None:
    """What asyncio says of a lost task is a line too, and masked."""
    loop = asyncio.get_running_loop()
    loop.call_exception_handler({"message": "Task was lost", "exception": ValueError(SECRET)})
    (line,) = lines()
    assert line["logger"] == "asyncio" and SECRET not in json.dumps(line) and "ValueError" in line["exception"]


@pytest.mark.parametrize("text", ["half a pair \ud800", "a\nb\r\nc", "\u2028\x00\x1b[31m", "줄" * 10_000, '"}{'])
def test_any_text_is_one_good_line(lines: Lines, text: str) -> None:
    """Line breaks, controls and half a surrogate pair neither break the line nor make logging print it raw."""
    structlog.get_logger("test").info("event", text=text, other=text)
    (line,) = lines()
    assert line["text"] == line["other"] == text.encode("utf-8", "replace").decode()


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@given(_VALUES, st.text(max_size=5))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_anything_can_be_logged(lines: Lines, value: Any, around: str) -> None:
    """Whatever is logged becomes one line of JSON without the secret."""
    structlog.get_logger("test").info("event", value=value, secret_too=[value, f"{around}{SECRET}{around}"])
    (line,) = lines()
    assert SECRET not in json.dumps(line)


_SERVE = """
import sys
import threading
from app.__main__ import main
sys.exit(main())
"""


@pytest.mark.processes
def test_a_process_that_can_not_start_says_so_in_this_shape(tmp_path: Path) -> None:
    """uvicorn's own lines and the traceback of a failed start are JSON, without a key; the exit code is not 0."""
    keys = {f"{name}_API_KEY": f"{SECRET}-{name.lower()}" for name in ("OPENAI", "MINIMAX", "STABILITY")}
    (tmp_path / "file").write_text("")
    environment = {
        "PATH": os.environ["PATH"], "DISCORD_APPLICATION_ID": "1", "DISCORD_PUBLIC_KEY": "ab" * 32, "INSTANCE_ID": "1",
        "DISCORD_TOKEN": f"{SECRET}-discord", "DATA_DIR": str(tmp_path / "file"), "PORT": "1", **keys,
    }  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-c", _SERVE], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode not in (0, 2)
    assert SECRET not in ended.stdout + ended.stderr
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert any("StoreUnavailable" in json.dumps(event) for event in events)
    assert {"uvicorn.error"} <= {event["logger"] for event in events}
    assert ended.stderr == ""


def test_a_wrong_environment_is_told_without_a_value() -> None:
    """Every fault on a line of standard error, exit code 2, and none of the values."""
    environment = {"PATH": os.environ["PATH"], "OPENAI_API_KEY": f"{SECRET} x", "INSTANCE_ID": SECRET, "PORT": SECRET}
    ended = subprocess.run(
        [sys.executable, "-m", "app"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 2 and ended.stdout == "" and SECRET not in ended.stderr
    named = [line.strip().partition(":")[0] for line in ended.stderr.splitlines()[1:]]
    assert sorted(named) == sorted(
        ["DISCORD_APPLICATION_ID", "DISCORD_PUBLIC_KEY", "INSTANCE_ID", "MINIMAX_API_KEY", "OPENAI_API_KEY", "PORT",
         "STABILITY_API_KEY"]
    )  # fmt: skip


def test_a_step_of_a_job_has_the_same_shape(lines: Lines) -> None:
    """Like every other line; from the lease on (there is a fence) it names the key set; a secret in it is masked."""
    logs.journal("job accepted", {"interaction": "1300000000000000001", "home": 2})
    logs.journal("job lost", {"interaction": "13", "fence": 4, "error": f"for {SECRET}"}, logging.WARNING)
    accepted, lost = lines()
    assert accepted.pop("timestamp").endswith("Z") and lost.pop("timestamp").endswith("Z")
    assert accepted == {
        "event": "job accepted", "interaction": "1300000000000000001", "home": 2, "level": "info", "logger": "journal",
        "instance": 3,
    }  # fmt: skip
    assert lost == {
        "event": "job lost", "interaction": "13", "fence": 4, "error": f"for {MASK}", "level": "warning",
        "logger": "journal", "instance": 3, "key_set": 3,
    }  # fmt: skip


_NAMES = st.sampled_from(["interaction", "fence", "home", "error", "token", "api_key", "because"])


@given(st.dictionaries(_NAMES, _VALUES | st.just(SECRET) | st.from_regex(r"[0-9]{1,22}", fullmatch=True)))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_step_says_what_any_other_line_would(lines: Lines, facts: dict[str, Any]) -> None:
    """The journal's short way to a line leaves out no mask and changes no value, whatever the fields hold."""
    structlog.get_logger("journal").warning("job lost", **facts)
    logs.journal("job lost", facts, logging.WARNING)
    told, noted = lines()
    assert told.pop("timestamp") <= noted.pop("timestamp") and noted == told


def test_the_steps_can_be_left_out(lines: Lines) -> None:
    """With `LOG_LEVEL=WARNING` only what is worth a warning is written, and nothing is made for nobody."""
    logging.root.setLevel("WARNING")
    assert not logs.wanted(logging.INFO) and logs.wanted(logging.WARNING)
    logs.journal("job accepted", {"interaction": "13"})
    assert lines() == []


def test_what_is_remembered_of_texts_never_unmasks(lines: Lines) -> None:
    """The same text twice, once among others: each time it is masked, also where it was seen before."""
    for _ in range(3):
        structlog.get_logger("test").info("event", value=SECRET, token="abc", plain="abc")
        logs.journal("event", {"value": SECRET, "token": "abc", "plain": "abc"})
    for line in lines():
        assert (line["value"], line["token"], line["plain"]) == (MASK, MASK, "abc")


class StuckPipe(io.StringIO):
    """Takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()
        self.reached = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        assert self.let_go.wait(30)
        return super().write(text)


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("test", logging.INFO, "", 0, text, (), None)


def test_a_reader_that_does_not_keep_up_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Symptom: with a full pipe the event loop stood still in `write`, and Discord got no answer. Rule: lines wait, a
    bounded number of them; what is beyond that is counted and lost; what waited comes out in order.
    """
    monkeypatch.setattr(logs, "MOST_WAITING", 5)
    pipe = StuckPipe()
    writer = logs.LineWriter(pipe)
    writer.emit(record("first"))
    assert pipe.reached.wait(10)
    for n in range(8):
        writer.emit(record(str(n)))
    assert writer.dropped == 3
    pipe.let_go.set()
    writer.flush()
    assert pipe.getvalue().split() == ["first", "0", "1", "2", "3", "4"]


class ClosedPipe(io.StringIO):
    """Nobody reads any more."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_is_gone_is_survived() -> None:
    """Its lines are counted as dropped; nothing is raised, and the next line is tried again."""
    writer = logs.LineWriter(ClosedPipe())
    for n in range(1, 3):
        writer.emit(record("x"))
        writer.flush()
        assert writer.dropped == n


@pytest.mark.processes
def test_the_last_line_of_a_process_is_written() -> None:
    """What was logged right before an orderly end is there, all of it, in order."""
    script = "from app import logs\nlogs.configure('INFO', 1, [])\nfor n in range(2000): logs.journal('line', {'n': n})"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert [json.loads(line)["n"] for line in ended.stdout.splitlines()] == list(range(2000))


@pytest.mark.processes
def test_a_process_ends_although_nobody_reads() -> None:
    """A pipe that is full and never read delays the end for a moment only, and it stays a good end."""
    script = (
        "from app import logs\nlogs.configure('INFO', 1, [])\nfor n in range(3000): logs.journal('x' * 200, {'n': n})"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        try:
            assert process.wait(30) == 0
        finally:
            process.kill()
