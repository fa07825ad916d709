"""deploy-multi.bat, which can't be run here: every jump, quote and word in it that can be checked by reading."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer.main
import yaml  # type: ignore[import-untyped]

from ops.cli import app
from ops.docker import RENDER
from ops.engine import PROJECT
from ops.envfile import ROOT
from ops.failures import Exit
from ops.ingress import PROFILES

RAW = (ROOT / "deploy-multi.bat").read_bytes()
LINES = RAW.decode("ascii").split("\r\n")
CODE = [line for line in LINES if line and not line.lower().startswith("rem ")]
WORDS = ("start", "stop", "restart", "status", "logs", "register", "doctor")
COMPOSE = 'docker compose --env-file "%QUARTET_ENV_FILE%" '
COMPOSE_FILE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def section(label: str) -> list[str]:
    """The lines from a label to the end of what runs on from it."""
    start = CODE.index(f":{label}")
    lines = []
    for line in CODE[start + 1 :]:
        lines.append(line)
        if re.match(r"(exit /b|goto )", line):
            break
    return lines


def test_windows_can_read_it() -> None:
    """cmd.exe looks for labels by CRLF and reads bytes by the console's code page, so there is nothing but ASCII."""
    assert RAW.count(b"\n") == RAW.count(b"\r\n") == len(LINES) - 1
    assert "*.bat text eol=crlf" in (ROOT / ".gitattributes").read_text()
    assert "*.sh text eol=lf" in (ROOT / ".gitattributes").read_text()


def test_every_jump_has_its_label_and_every_label_its_jump() -> None:
    """No jump ends the script with "cannot find the batch label", and nothing in it is left over."""
    labels = [line[1:] for line in CODE if line.startswith(":")]
    assert len(labels) == len(set(labels))
    jumps = set(re.findall(r"(?:goto |call :)(\w+)", "\n".join(CODE)))
    assert jumps == set(labels)


def test_nothing_runs_on_into_the_next_command() -> None:
    """Before each label stands an end or a jump, or the label is part of the command before it."""
    beginnings = {*WORDS, "store", "reload", "ready", "no_docker", "no_file", "wrong_count", "not_running", "unhealthy"}
    beginnings |= {"help", "usage", "words"}
    for number, line in enumerate(CODE):
        if line.startswith(":") and line[1:] in beginnings:
            assert re.match(r"(exit /b|goto )", CODE[number - 1]), line


def test_the_words_are_those_of_the_other_script() -> None:
    """Each word there is a command here with at least the same options."""
    dispatched = re.findall(r'^if "%command%"=="(\w+)" goto (\w+)$', "\n".join(CODE), re.MULTILINE)
    assert dispatched == [(word, word) for word in WORDS]
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    known = {name: {flag for parameter in commands[name].params for flag in parameter.opts} for name in WORDS}
    offered = {line.split()[1]: set(re.findall(r"--[a-z]+", line)) for line in section("words") if "  " in line[5:]}
    for word in WORDS:
        assert offered[word] <= known[word], word
    tested = set(re.findall(r'"%~1"=="(--?\w+)"', "\n".join(CODE)))
    assert tested == {"--json", "--follow", "-f", "--lines", "-n"}
    assert tested <= known["status"] | known["logs"] | known["doctor"]


@pytest.mark.parametrize("word", WORDS)
def test_each_command_looks_first_whether_it_can_do_anything(word: str) -> None:
    """Docker answers, the file is there and has four instances: otherwise a sentence and its exit code."""
    text = "\n".join(CODE)
    body = text[text.index(f"\n:{word}\n") :]
    ready, first = body.index("call :ready\nif errorlevel 1 exit /b %errorlevel%\n"), body.index(COMPOSE)
    assert ready < first


def test_compose_is_always_given_the_file() -> None:
    """Every call names the env file, in quotes, since a user's name may hold a blank."""
    calls = [line for line in CODE if "docker compose" in line and "docker compose version" not in line]
    assert len(calls) >= 10
    assert [line for line in calls if COMPOSE not in line] == []


def test_what_compose_is_asked_for_exists() -> None:
    """Services, profiles, labels and the proxy's script are those of docker-compose.yml and of the other script."""
    text = "\n".join(CODE)
    services = COMPOSE_FILE["services"]
    assert set(re.findall(r"--profile (\w+)", text)) == {*PROFILES, "tools"}
    assert set(re.findall(r"com\.docker\.compose\.service=([\w-]+)", text)) <= set(services)
    assert set(re.findall(r"com\.docker\.compose\.project=(\w+)", text)) == {PROJECT} == {COMPOSE_FILE["name"]}
    assert f"docker exec %1 {RENDER}\n" in text
    numbers = re.search(r"for %%k in \(([\d ]+)\) do \(\n.*instance-%%k", text)
    assert numbers is not None
    assert [f"instance-{k}" for k in numbers[1].split()] == [name for name in services if name.startswith("instance-")]
    assert re.search(r"--wait valkey\n", text)
    assert services["valkey"]["profiles"] == ["valkey"]
    for name in ("register", "tools"):
        assert services[name]["profiles"] == ["tools"]
    assert services["tools"]["command"] == ["doctor"]


def test_the_tools_service_sees_all_and_changes_nothing() -> None:
    """It knows every key and every address, and is no part of what `start` starts."""
    tools, nginx = COMPOSE_FILE["services"]["tools"], COMPOSE_FILE["services"]["nginx"]
    environment = tools["environment"]
    assert environment["INSTANCE_ADDRESSES"] == nginx["environment"]["INSTANCE_ADDRESSES"]
    keys = {name: value for name, value in environment.items() if re.search(r"_API_KEY_\d", name)}
    assert len(keys) == 12
    assert all(value == f"${{{name}:-}}" for name, value in keys.items())
    assert environment["DISCORD_TOKEN"] == "${DISCORD_TOKEN:-}"
    assert environment["QUARTET_INSIDE"] == "1"
    assert tools["build"]["target"] == "tools"
    assert re.search(r"(?m)^FROM \S+ AS tools$", (ROOT / "Dockerfile").read_text())
    assert (ROOT / "Dockerfile").read_text().rindex("FROM ") > (ROOT / "Dockerfile").read_text().rindex(" AS tools")


def test_the_exit_codes_are_those_of_the_other_script() -> None:
    """0 done, 1 failed, 2 wrong configuration or usage, 3 not running; and each is passed on from what was called."""
    assert (
        section("no_file")[-1] == section("wrong_count")[-1] == section("usage")[-1] == f"exit /b {Exit.CONFIGURATION}"
    )
    assert section("unhealthy")[-1] == section("no_docker")[-1] == f"exit /b {Exit.FAILED}"
    assert section("not_running")[-1] == f"exit /b {Exit.NOT_RUNNING}"
    assert section("help")[-1] == f"exit /b {Exit.OK}"
    for number, line in enumerate(CODE):
        if line.startswith(COMPOSE):
            assert re.match(r"(exit /b %errorlevel%|if errorlevel 1 |goto judge|:judge)", CODE[number + 1]), line


def test_quotes_and_special_characters_are_in_order() -> None:
    """Quotes are paired; outside of them stands no unescaped pipe or angle but a redirection; nothing expands late."""
    for line in CODE:
        assert line.count('"') % 2 == 0, line
        assert "!" not in line, line
        bare = re.sub(r'"[^"]*"', "", line)
        bare = re.sub(r"\^[|<>&]|2\^?>nul|1>&2|>nul|2>nul|\|\| goto|\| findstr", "", bare)
        if not line.startswith("for /f"):
            assert not re.search(r"[|<>&]", bare), line
    opened = [line for line in CODE if line.endswith("(")]
    assert len(opened) == CODE.count(")") == 1


def test_the_shells_variables_give_way_to_the_files() -> None:
    """As with the other script: what the file names is cleared from the shell first, since Compose prefers that."""
    ready = section("ready")
    cleared = next(number for number, line in enumerate(ready) if line.endswith('do set "%%v="'))
    counted = next(number for number, line in enumerate(ready) if 'if "%%v"=="INSTANCE_COUNT"' in line)
    stored = next(
        number for number, line in enumerate(ready) if line.endswith('set "STORE_URL=sqlite:////data/quartet.db"')
    )
    assert cleared < counted < stored
    assert "eol=#" in ready[cleared]
