"""Checking `.env.multi`: all faults at once, by name, never with a value."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.checks import check
from ops.envfile import KEY_NAMES, read_env_file
from tests.unit.ops.files import EXAMPLE, env_file


def faults(directory: Path, **changes: str | None) -> list[str]:
    return check(env_file(directory, **changes)).faults


def test_a_filled_in_example_has_no_fault_and_no_warning(tmp_path: Path) -> None:
    """What the example leads to is a working configuration."""
    report = check(env_file(tmp_path))
    assert (report.faults, report.warnings) == ([], [])
    assert report.settings is not None
    assert report.settings.public_port == 8080


def test_the_untouched_example_names_every_placeholder(tmp_path: Path) -> None:
    """Each of the 15 values that have to be filled in is named once."""
    path = tmp_path / ".env.multi"
    path.write_text(EXAMPLE.read_text())
    names = ["DISCORD_TOKEN", "DISCORD_APPLICATION_ID", "DISCORD_PUBLIC_KEY"]
    names += [f"{name}_{k}" for name in KEY_NAMES for k in range(1, 5)]
    assert sorted(fault.partition(":")[0] for fault in check(read_env_file(path)).faults) == sorted(names)


def test_an_empty_file_names_everything_that_is_missing(tmp_path: Path) -> None:
    """Nothing has to be found out one run after the other."""
    path = tmp_path / ".env.multi"
    path.write_text("")
    assert len(check(read_env_file(path)).faults) == 15


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"DISCORD_TOKEN": None}, "DISCORD_TOKEN: is missing"),
        ({"DISCORD_TOKEN": ""}, "DISCORD_TOKEN: is empty"),
        ({"DISCORD_PUBLIC_KEY": "abc"}, "DISCORD_PUBLIC_KEY: is not a public key"),
        ({"DISCORD_APPLICATION_ID": "me"}, "DISCORD_APPLICATION_ID: is not an application id"),
        ({"OPENAI_API_KEY_2": None}, "OPENAI_API_KEY_2: is missing (INSTANCE_COUNT is 4)"),
        ({"STABILITY_API_KEY_4": ""}, "STABILITY_API_KEY_4: is empty"),
        ({"MINIMAX_API_KEY_1": "'a b'"}, "MINIMAX_API_KEY_1: has a character"),
        ({"MINIMAX_API_KEY_1": "<your key>"}, "MINIMAX_API_KEY_1: still holds the placeholder"),
        ({"OPENAI_BASE_URL": "api.openai.com"}, "OPENAI_BASE_URL: is not an http(s) URL"),
        ({"PUBLIC_PORT": "80800"}, "PUBLIC_PORT: input should be less than or equal to 65535"),
        ({"OPS_PORT": "8080"}, "PUBLIC_PORT and OPS_PORT: are the same port"),
        ({"INSTANCE_BASE_PORT": "8078"}, "PUBLIC_PORT: lies within the instances' ports"),
        ({"INSTANCE_BASE_PORT": "65534"}, "INSTANCE_BASE_PORT: leaves no room"),
        ({"INSTANCE_COUNT": "17"}, "INSTANCE_COUNT: input should be less than or equal to 16"),
        ({"ROUTING": "random"}, "ROUTING: input should be 'user' or 'functional'"),
    ],
)
def test_a_fault_starts_with_the_variables_name(tmp_path: Path, changes: dict[str, str | None], fault: str) -> None:
    """Each kind of mistake is told by the variable it is in."""
    assert any(found.startswith(fault) for found in faults(tmp_path, **changes))


def test_no_fault_and_no_warning_ever_shows_a_value(tmp_path: Path) -> None:
    """A key pasted into the wrong place is not printed with the complaint about it."""
    wrong = "sk-SECRET value"
    names = ["DISCORD_PUBLIC_KEY", "DISCORD_APPLICATION_ID", "OPENAI_API_KEY_1", "PUBLIC_PORT", "ROUTING", "LEASE_S"]
    names += ["OPENAI_BASE_URL", "STORE_URL", "INSTANCE_COUNT", "LOG_LEVEL", "OPENAI_API_KEY_9", "NO_SUCH_NAME"]
    report = check(env_file(tmp_path, **dict.fromkeys(names, f"'{wrong}'")))
    assert len(report.faults) >= 10
    assert "SECRET" not in "".join([*report.faults, *report.warnings])


def test_fewer_instances_need_fewer_key_sets(tmp_path: Path) -> None:
    """With INSTANCE_COUNT=1, set 1 is enough."""
    gone = {f"{name}_{k}": None for name in KEY_NAMES for k in (2, 3, 4)}
    assert faults(tmp_path, INSTANCE_COUNT="1", **gone) == []


def test_a_key_used_twice_is_a_warning_that_names_the_sets(tmp_path: Path) -> None:
    """It works, but two instances then share one account's limit, and the operator should know."""
    report = check(env_file(tmp_path, OPENAI_API_KEY_3="sk-openai-of-set-1"))
    assert report.settings is not None
    (warning,) = report.warnings
    assert warning.startswith("OPENAI_API_KEY_1, OPENAI_API_KEY_3: are the same key")
    assert "sk-" not in warning


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("OPENAI_MODLE", "did you mean OPENAI_MODEL?"),
        ("PUBLIC_PORTS", "did you mean PUBLIC_PORT?"),
        ("OPENAI_API_KEY_5", "is not used, INSTANCE_COUNT is 4"),
        ("OPENAI_API_KEY", "each instance is given its own"),
        ("INSTANCE_ID", "each instance is given its own"),
    ],
)
def test_a_variable_that_has_no_effect_is_a_warning(tmp_path: Path, name: str, warning: str) -> None:
    """A misspelt variable does not silently leave the default in force."""
    (found,) = check(env_file(tmp_path, **{name: "1"})).warnings
    assert found.startswith(f"{name}: ")
    assert warning in found


def test_a_file_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    """Keys should be their owner's alone."""
    file = env_file(tmp_path)
    file.path.chmod(0o644)
    assert [warning for warning in check(file).warnings if "chmod 600" in warning]


def test_the_shells_variables_do_not_stand_in_for_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs is what the file says, from whatever shell it is started."""
    monkeypatch.setenv("DISCORD_TOKEN", "from-the-shell")
    monkeypatch.setenv("PUBLIC_PORT", "1234")
    assert faults(tmp_path, DISCORD_TOKEN=None) == ["DISCORD_TOKEN: is missing"]
    settings = check(env_file(tmp_path)).settings
    assert settings is not None
    assert settings.public_port == 8080
