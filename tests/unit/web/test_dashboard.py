"""The dashboard is one file: nothing of it comes from elsewhere, and nothing users wrote is taken for markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from app.web.ops import PAGE, PAGE_HEADERS

TEXT = PAGE.read_text(encoding="utf-8")


class _Addresses(HTMLParser):
    """Collects every address an element names, and every inline handler."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "action", "data", "srcset", "poster", "formaction"):
                self.addresses.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)


def test_nothing_comes_from_elsewhere() -> None:
    """No element, style or script names another host; the icon is empty data."""
    found = _Addresses()
    found.feed(TEXT)
    assert found.addresses == ["data:,"]
    assert found.handlers == []
    assert not re.search(r"https?://|//[a-z]|@import|url\(|import\s*\(|XMLHttpRequest|WebSocket|EventSource", TEXT)
    assert re.findall(r"fetch\(([^,)]*)", TEXT) == ['"stats"']


def test_the_browser_is_told_so_too() -> None:
    """Everything is forbidden but what the page has; nobody may frame it; it is not kept."""
    policy = dict(part.strip().partition(" ")[::2] for part in PAGE_HEADERS["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert not any("http" in value or "*" in value or "unsafe-eval" in value for value in policy.values())
    assert PAGE_HEADERS["cache-control"] == "no-store" and PAGE_HEADERS["x-content-type-options"] == "nosniff"


def test_texts_are_never_markup() -> None:
    """Errors and names are set as text."""
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", TEXT)
    assert "textContent" in TEXT
