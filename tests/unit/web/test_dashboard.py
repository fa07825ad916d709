"""The dashboard's files: nothing of them comes from elsewhere, and nothing anybody wrote is taken for markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.web.dashboard.files import FOLDER, HEADERS, PAGE, TYPES, PageFiles

FILES = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
SCRIPTS = {name: text for name, text in FILES.items() if name.endswith(".js")}


class _Addresses(HTMLParser):
    """Collects every address an element names, every inline handler and style, and every script's text."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_script = tag in ("script", "style")
        for name, value in attrs:
            if name in ("src", "href", "action", "data", "srcset", "poster", "formaction"):
                self.addresses.append(value or "")
            if name.startswith("on") or name == "style":
                self.inline.append(name)

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script and data.strip():
            self.inline.append(data)


def test_the_page_asks_for_its_own_files_only() -> None:
    """Each address is a file there is, or a place on the page; no script and no style stands in the page itself."""
    found = _Addresses()
    found.feed(FILES[PAGE])
    assert found.inline == []
    assert {address for address in found.addresses if address != "#main"} == {
        "dashboard/quartet.svg", "dashboard/dashboard.css", "dashboard/main.js",
    }  # fmt: skip


def test_nothing_comes_from_elsewhere() -> None:
    """No script and no style names another host; modules import files there are; events come from one address."""
    for name, text in FILES.items():
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|[\"'(]//\w|@import|url\(|import\s*\(", text), name
    for name, text in SCRIPTS.items():
        assert set(re.findall(r'from "\./([^"]+)"', text)) <= set(SCRIPTS), name
        assert not re.search(r"\bfetch\(|XMLHttpRequest|WebSocket|sendBeacon", text), name
    assert [name for name, text in SCRIPTS.items() if "EventSource(" in text] == ["stream.js"]


def test_texts_are_never_markup() -> None:
    """Errors and names are set as text, and nothing is run that was not served."""
    for name, text in SCRIPTS.items():
        forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\(\"on"
        assert not re.search(forbidden, text), name


def test_every_word_is_there_in_both_languages() -> None:
    """Each word the page asks for has a Korean and an English form with the same places for values."""
    words = dict(re.findall(r'(\w+): (\["(?:[^"\\]|\\.)*", "(?:[^"\\]|\\.)*"\])', SCRIPTS["text.js"]))
    assert len(words) > 80
    for name, pair in words.items():
        korean, english = re.findall(r'"((?:[^"\\]|\\.)*)"', pair)
        assert set(re.findall(r"\{\d\}", korean)) == set(re.findall(r"\{\d\}", english)), name
    asked = {word for text in SCRIPTS.values() for word in re.findall(r'\bt\("(\w+)"', text)}
    asked |= set(re.findall(r'data-(?:text|label)="(\w+)"', FILES[PAGE]))
    assert asked - set(words) == set()


def test_the_browser_is_told_so_too() -> None:
    """Everything is forbidden but the page's own files and events; nobody may frame it; text can't become script."""
    policy = dict(part.strip().partition(" ")[::2] for part in HEADERS["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["img-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'" and policy["trusted-types"] == "'none'"
    assert HEADERS["x-content-type-options"] == "nosniff" and HEADERS["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("name", sorted(FILES))
def test_each_file_is_given_away_once(name: str) -> None:
    """With its type and the policy; who has it already is told that it is the same."""
    files = PageFiles()
    answer = files.answer(name, None)
    assert (answer.status_code, bytes(answer.body)) == (200, FILES[name].replace("{release}", files.release).encode())
    assert answer.headers["content-type"].startswith(TYPES[Path(name).suffix])
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    etag = answer.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        again = files.answer(name, known)
        assert (again.status_code, bytes(again.body), again.headers["etag"]) == (304, b"", etag)
    assert files.answer(name, '"other"').status_code == 200


@pytest.mark.parametrize("name", ["", "..", "../ops.py", "files.py", "__init__.py", "index.html/", "%2e%2e"])
def test_nothing_else_is_given_away(name: str) -> None:
    """404 for what is not one of the page's files."""
    assert PageFiles().answer(name, None).status_code == 404


def test_another_state_of_the_files_has_another_name(tmp_path: Path) -> None:
    """An open page, which carries it, learns that it is outdated; the same files are the same everywhere."""
    assert f'content="{PageFiles().release}"'.encode() in bytes(PageFiles().answer(PAGE, None).body)
    assert PageFiles().release == PageFiles().release
    (tmp_path / "index.html").write_text("<!doctype html>")
    before = PageFiles(tmp_path).release
    (tmp_path / "index.html").write_text("<!doctype html> ")
    assert PageFiles(tmp_path).release != before != PageFiles().release
