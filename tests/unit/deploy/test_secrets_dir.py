"""SECRETS_DIR: variables as files, so that no key stands in the environment of a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import read_instance_settings

ENVIRONMENT = {"DISCORD_APPLICATION_ID": "1200000000000000001", "DISCORD_PUBLIC_KEY": "ab" * 32, "INSTANCE_ID": "2"}
KEYS = {"OPENAI_API_KEY": "sk-openai", "MINIMAX_API_KEY": "minimax", "STABILITY_API_KEY": "sk-stability"}


@pytest.fixture(name="mounted")
def a_mounted_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory as Kubernetes mounts a Secret: the files are links into a directory that a link names."""
    for name in (*KEYS, *ENVIRONMENT, "DISCORD_TOKEN", "SECRETS_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    place = tmp_path / "keys"
    (place / "..2026").mkdir(parents=True)
    (place / "..data").symlink_to("..2026")
    for name, value in KEYS.items():
        (place / "..2026" / name).write_text(f"{value}\n")
        (place / name).symlink_to(f"..data/{name}")
    return place


def test_keys_are_read_from_files(mounted: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Several directories are read, a line's end is not part of a key, and the keys are known as secrets."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "DISCORD_TOKEN").write_text("token")
    monkeypatch.setenv("SECRETS_DIR", f"{mounted}:{tmp_path / 'shared'}")
    settings = read_instance_settings()
    assert sorted(settings.secrets) == sorted([*KEYS.values(), "token"])


def test_the_environment_goes_before_the_files(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set is meant; an empty one is not set."""
    monkeypatch.setenv("SECRETS_DIR", str(mounted))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    monkeypatch.setenv("MINIMAX_API_KEY", "")
    settings = read_instance_settings()
    assert settings.openai_api_key.get_secret_value() == "sk-of-the-environment"
    assert settings.minimax_api_key.get_secret_value() == "minimax"


def test_a_directory_that_is_not_there_is_told(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount that was forgotten is a sentence, not three missing keys; a wrong file is told by its name alone."""
    monkeypatch.setenv("SECRETS_DIR", "/nowhere/keys")
    with pytest.raises(SettingsError, match="SECRETS_DIR: /nowhere/keys is not a directory"):
        read_instance_settings()
    (mounted / "OPENAI_API_KEY").unlink()
    (mounted / "OPENAI_API_KEY").write_text("a b")
    monkeypatch.setenv("SECRETS_DIR", str(mounted))
    with pytest.raises(SettingsError) as caught:
        read_instance_settings()
    assert [fault.partition(":")[0] for fault in caught.value.faults] == ["OPENAI_API_KEY"]
    assert "a b" not in str(caught.value)
