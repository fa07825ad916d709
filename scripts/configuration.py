#!/usr/bin/env python3
"""Writes docs/configuration.md: every variable, from the settings' types and bounds and the example's comments.

`--check` changes nothing and ends with 1 if the page is not what would be written.
"""

from __future__ import annotations

import argparse
import re
import sys
import types
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from app.settings import InstanceSettings
from ops.checks import OperatorSettings
from ops.envfile import NUMBERED_KEY, ROOT

EXAMPLE = ROOT / ".env.multi.example"
PAGE = ROOT / "docs" / "configuration.md"

_SECTION = re.compile(r"# --- (.+?) -*$")
_ASSIGNMENT = re.compile(r"(# )?([A-Z][A-Z0-9_]*)=(.*)$")

_INTRODUCTION = """\
# Configuration

<!-- Made by scripts/configuration.py from app/settings.py, ops/checks.py and .env.multi.example: change those. -->

Everything is a variable of `.env.multi`, which is made from [.env.multi.example](../.env.multi.example); what is not
set there has its default. The syntax is Docker Compose's: `NAME=value`, `# comment`, `'single quotes'` around a value
that holds `$`, `#` or quotes. The operator's shell does not count: the file is the one source. A wrong file is refused
with every fault at once, by name; `./deploy-multi.sh restart` takes a changed one into use, one instance after the
other.
"""

_ALONE = """\
## One instance alone

`python -m app` reads its environment: the variables above that concern the bot itself, and these. `./deploy-multi.sh`
sets them for each instance, so they do not belong into `.env.multi`. SECRETS_DIR (directories with `:` between them)
holds a file for each variable that is not to stand in the environment.
"""

_SHAPES = {
    "_http_url": "an http(s) URL without user, query or fragment",
    "_optional_url": "an http(s) URL without user, query or fragment",
    "_public_key": "64 hexadecimal characters",
    "_snowflake": "an id, digits",
    "_ids": "ids, with commas between them",
    "_models": "names, with commas between them",
    "_role_quotas": "`ROLE=JOBS`, with commas between the pairs",
    "_store_url": "`sqlite:///…`, `redis://…` and its kin",
    "_key": "an API key",
    "_networks": "addresses and networks, with commas between them",
    "_profiles": "names, with commas between them",
    "_subnet": "three numbers with points between them",
    "_url_safe": "a secret of letters, digits, - and _",
    "read_addresses": "`host:port`, with commas between them",
    "read_here": "ids with commas between them, or `none`",
}
"""What a validator accepts, by its name: the one thing about a type that its bounds do not say."""


@dataclass(frozen=True)
class Variable:
    """One line of the example: its value there, which is the default unless the line is `required`."""

    name: str
    shown: str
    required: bool
    comment: str


@dataclass(frozen=True)
class Section:
    """A headed part of the example."""

    title: str
    variables: list[Variable]


def main(arguments: list[str] | None = None) -> int:
    """Write or check the page, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; 1 if the page is out of date")
    options = parser.parse_args(arguments)
    page = render(read_example(EXAMPLE.read_text()))
    if PAGE.exists() and PAGE.read_text() == page:
        return 0
    if options.check:
        print(f"{PAGE.relative_to(ROOT)} is out of date: run scripts/configuration.py", file=sys.stderr)
        return 1
    PAGE.write_text(page)
    return 0


def read_example(text: str) -> list[Section]:
    """Read the example: a comment holds for the assignments below it, up to an empty line or the next comment."""
    sections: list[Section] = []
    comment: list[str] = []
    fresh = True
    for line in text.splitlines():
        if heading := _SECTION.match(line):
            sections.append(Section(heading[1], []))
            comment, fresh = [], True
        elif (assignment := _ASSIGNMENT.match(line)) and sections:
            hidden, name, shown = assignment.groups()
            required = not hidden
            sections[-1].variables.append(Variable(name, shown.strip("\"'"), required, " ".join(comment)))
            fresh = True
        elif line.startswith("# "):
            comment = [line[2:]] if fresh else [*comment, line[2:]]
            fresh = False
        elif not line:
            comment, fresh = [], True
    return sections


def render(sections: Sequence[Section]) -> str:
    """Return the page."""
    parts = [_INTRODUCTION]
    for section in sections:
        title, _, remark = section.title.partition(": ")
        parts.append(f"## {title}\n" + (f"\n{_sentence(remark)}\n" if remark else ""))
        parts.append(_table(_rows(section.variables)))
    parts.append(_ALONE)
    fields = {name: InstanceSettings.model_fields[name] for name in _ALONE_TOLD}
    rows = [(f"`{name.upper()}`", _default(field), _takes(field), _ALONE_TOLD[name]) for name, field in fields.items()]
    parts.append(_table(rows))
    return "\n".join(parts)


_ALONE_TOLD = {
    "instance_id": "Which instance it is, from 1 to INSTANCE_COUNT.",
    "unix_socket": "A Unix socket to listen at besides: nginx on the same machine reaches it for less.",
    "host": "Where it listens.",
    "port": "The port it listens on.",
    "openai_api_key": "Its key set, and no other's.",
    "minimax_api_key": "Its key set.",
    "stability_api_key": "Its key set.",
}


def _rows(variables: Sequence[Variable]) -> Iterator[tuple[str, ...]]:
    above = ""
    for variable in variables:
        numbered = NUMBERED_KEY.fullmatch(variable.name)
        if numbered and numbered[2] != "1":
            continue
        if numbered:
            yield f"`{numbered[1]}_1` …", "required", "an API key", "One for each instance, up to INSTANCE_COUNT."
            continue
        field = OperatorSettings.model_fields[variable.name.lower()]
        default = "required" if variable.required else f"`{variable.shown}`" if variable.shown else "empty"
        told = "(as above)" if variable.comment and variable.comment == above else _sentence(variable.comment)
        yield f"`{variable.name}`", default, _takes(field), told
        above = variable.comment


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| variable | default | takes | what it does |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:] if not re.match(r"\w+:", text) else text
    return text if not text or text.endswith((".", "…", "!")) else f"{text}."


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    value = value.get_secret_value() if isinstance(value, SecretStr) else value
    return f"`{value}`" if value not in ("", None) else "empty"


def _takes(field: FieldInfo) -> str:
    """Say what values a variable may have."""
    annotation, metadata = field.annotation, [*field.metadata]
    for shape in (_SHAPES.get(getattr(getattr(item, "func", None), "__name__", "")) for item in metadata):
        if shape:
            return shape
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(annotation))
    if annotation is bool:
        return "`true` or `false`"
    kinds = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    if int in kinds or float in kinds:
        return _range("a whole number" if int in kinds else "a number", metadata)
    if SecretStr in kinds:
        return "a secret"
    if Path in kinds:
        return "a path"
    longest = next((item.max_length for item in metadata if isinstance(item, MaxLen)), 0)
    least = "" if any(isinstance(item, MinLen) for item in metadata) or not longest else ", may be empty"
    return f"a text of up to {longest:,} characters{least}" if longest else "a text"


def _range(kind: str, metadata: Sequence[Any]) -> str:
    words = [kind]
    for item in metadata:
        if isinstance(item, Ge):
            words.append(f"from {item.ge:,}")
        elif isinstance(item, Gt):
            words.append(f"above {item.gt:,}")
        elif isinstance(item, Le):
            words.append(f"to {item.le:,}")
        elif isinstance(item, Lt):
            words.append(f"below {item.lt:,}")
    return " ".join(words)


if __name__ == "__main__":
    sys.exit(main())
