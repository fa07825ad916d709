"""How `.env.multi` is read, and what one instance is given of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.envfile import KEY_NAMES, ROOT, format_line, read_env_file
from tests.unit.ops.files import env_file


def read(directory: Path, text: str) -> dict[str, str]:
    path = directory / "env"
    path.write_text(text)
    file = read_env_file(path)
    assert file.faults == []
    return dict(file.values)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("  A = b  ", "b"),
        ("export A=b", "b"),
        ("A=b # a comment", "b"),
        ("A=b#c", "b#c"),
        ("A=", ""),
        ("A=# nothing", ""),
        ("A='b # $c'  # a comment", "b # $c"),
        ('A="b \\"c\\" \\\\ \\n"', 'b "c" \\ \n'),
        ("A=x=y", "x=y"),
        ("A=b\r", "b"),
        ("\ufeffA=b", "b"),
    ],
)
def test_a_line_is_read_as_compose_reads_it(tmp_path: Path, line: str, value: str) -> None:
    """Quotes, comments, blanks, Windows line ends and a byte order mark mean what they mean in Compose's env files."""
    assert read(tmp_path, f"{line}\n# comment\n\n") == {"A": value}


@pytest.mark.parametrize("line", ["SECRETVALUE", "1A=SECRETVALUE", "A='SECRETVALUE", 'A="SECRETVALUE" more'])
def test_a_line_that_cant_be_read_is_a_fault_with_its_number_and_without_its_content(tmp_path: Path, line: str) -> None:
    """The operator is told where to look; what stands there may be a key and is not repeated."""
    path = tmp_path / "env"
    path.write_text(f"B=1\n{line}\n")
    (fault,) = read_env_file(path).faults
    assert "line 2" in fault
    assert "SECRETVALUE" not in fault


def test_a_variable_set_twice_is_a_fault(tmp_path: Path) -> None:
    """Neither of the two values is silently preferred."""
    path = tmp_path / "env"
    path.write_text("A=1\nB=2\nA=3\n")
    assert read_env_file(path).faults == ["A: is set twice (lines 1 and 3)"]


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]) | st.just("\n")))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    """`format_line` and `read_env_file` agree on every value."""
    assert read(tmp_path_factory.mktemp("env"), format_line("A", value)) == {"A": value}


def test_an_instance_is_given_its_own_key_set_and_no_other(tmp_path: Path) -> None:
    """Instance 3 finds set 3 under the plain names; no other set's value is anywhere in its variables."""
    environment = env_file(tmp_path).instance_environment(3)
    assert {name: environment[name] for name in KEY_NAMES} == {
        "OPENAI_API_KEY": "sk-openai-of-set-3",
        "MINIMAX_API_KEY": "sk-minimax-of-set-3",
        "STABILITY_API_KEY": "sk-stability-of-set-3",
    }
    assert environment["INSTANCE_ID"] == "3"
    assert sum("of-set-" in value for value in environment.values()) == 3


def test_relative_paths_are_relative_to_the_checkout(tmp_path: Path) -> None:
    """Wherever the command is started, the data lie at the same place."""
    file = env_file(tmp_path, DATA_DIR="./some data", STORE_URL="sqlite:///some.db")
    environment = file.instance_environment(1)
    assert environment["DATA_DIR"] == str(ROOT / "some data")
    assert environment["STORE_URL"] == f"sqlite:///{ROOT}/some.db"


def test_a_store_below_the_data_directory_stays_there(tmp_path: Path) -> None:
    """`$DATA_DIR` in STORE_URL is left to the settings, which know it."""
    store = "sqlite:///$DATA_DIR/other.db"
    assert env_file(tmp_path, STORE_URL=f"'{store}'").instance_environment(1)["STORE_URL"] == store
