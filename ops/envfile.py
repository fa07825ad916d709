"""The operator's file `.env.multi`: how it is read, and which part of it one instance gets.

The syntax is the part of Docker Compose's env-file syntax that means the same everywhere: `NAME=value`, `# comments`,
single quotes (literal) and double quotes (with `\\n`, `\\"`, `\\\\`). Only the standard library is used here,
since every start of an instance passes through this module. What the values mean is checked in `ops.checks`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEY_NAMES = ("OPENAI_API_KEY", "MINIMAX_API_KEY", "STABILITY_API_KEY")
NUMBERED_KEY = re.compile(rf"({'|'.join(KEY_NAMES)})_(\d+)")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


@dataclass(frozen=True)
class EnvFile:
    """What the file says. `faults` are the lines that can't be read, without their content."""

    path: Path
    values: Mapping[str, str]
    faults: list[str] = field(default_factory=list)

    @property
    def data_dir(self) -> Path:
        """Absolute; a relative DATA_DIR is relative to the checkout."""
        return (ROOT / Path(self.values.get("DATA_DIR") or "./data").expanduser()).resolve()

    @property
    def instance_count(self) -> int:
        """INSTANCE_COUNT, or 4 where it is missing or not a number (`ops.checks` says so)."""
        value = self.values.get("INSTANCE_COUNT", "").strip()
        return int(value) if value.isascii() and value.isdigit() else 4

    def instance_environment(self, instance_id: int) -> dict[str, str]:
        """Return the variables of one instance: the shared ones and its own key set, no other's key."""
        shared = {name: value for name, value in self.values.items() if value and not is_key(name)}
        own = {name: self.values.get(f"{name}_{instance_id}", "") for name in KEY_NAMES}
        store = shared.get("STORE_URL", "")
        if store.startswith("sqlite:///") and not store.removeprefix("sqlite:///").startswith(("/", "$")):
            shared["STORE_URL"] = f"sqlite:///{ROOT / store.removeprefix('sqlite:///')}"
        return {**shared, **own, "DATA_DIR": str(self.data_dir), "INSTANCE_ID": str(instance_id)}


def is_key(name: str) -> bool:
    """Whether a variable holds a provider's key, numbered or not."""
    return name in KEY_NAMES or NUMBERED_KEY.fullmatch(name) is not None


def read_env_file(path: Path) -> EnvFile:
    """Read the file; lines that can't be read become faults. Raises `OSError` if there is no such file."""
    values: dict[str, str] = {}
    lines_of: dict[str, int] = {}
    faults: list[str] = []
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return EnvFile(path, {}, [f"{path.name}: is not UTF-8 text"])
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            entry = _parse_line(line)
        except ValueError as error:
            faults.append(f"{path.name}, line {number}: {error}")
            continue
        if entry is None:
            continue
        name, value = entry
        if name in values:
            faults.append(f"{name}: is set twice (lines {lines_of[name]} and {number})")
        values[name], lines_of[name] = value, number
    return EnvFile(path, values, faults)


def format_line(name: str, value: str) -> str:
    """Write one variable so that `read_env_file` and Docker Compose both read the same value back."""
    if re.fullmatch(r"[\w./:@,+-]*", value):
        return f"{name}={value}"
    if "'" not in value and "\n" not in value:
        return f"{name}='{value}'"
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("\n", "\\n")
    return f'{name}="{quoted}"'


def _parse_line(line: str) -> tuple[str, str] | None:
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    name, sign, value = line.removeprefix("export ").partition("=")
    name = name.strip()
    if not sign or not _NAME.fullmatch(name):
        raise ValueError("expected NAME=value")
    return name, _parse_value(value.strip())


def _parse_value(raw: str) -> str:
    if raw[:1] == "'":
        value, end, rest = raw[1:].partition("'")
        if not end:
            raise ValueError("the quote is not closed")
    elif raw[:1] == '"':
        match = re.match(r'"((?:[^"\\]|\\.)*)"', raw)
        if match is None:
            raise ValueError("the quote is not closed")
        value = re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[0]), match[1])
        rest = raw[match.end() :]
    else:
        return re.split(r"(?:^|\s)#", raw, maxsplit=1)[0].strip()
    if rest.strip() and not rest.strip().startswith("#"):
        raise ValueError("there is text after the closing quote")
    return value
