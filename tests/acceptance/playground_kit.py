"""The playground in headless Chromium, over a whole native system of its own: nginx, four instances, the simulator."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

from ops.chromium import find_chromium
from ops.demo import register, set_up
from ops.demo_stage import Stage
from ops.operator import Switchboard
from ops.shutdown import stop
from ops.system import Paths, System

WIDE, NARROW = (1280, 800), (390, 844)
PATIENCE_MS = 15_000
USERS = {1: "218437562098745344", 2: "349120857731284993", 3: "472859104466137090", 4: "598213377490165763"}
MODERATOR = "611205548329017344"


@dataclass(frozen=True)
class House:
    """The running system."""

    stage: Stage
    system: System
    paths: Paths

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the control API, past the page."""
        headers = {"X-Control-Token": self.stage.control_token}
        url = f"{self.stage.simulator_url}/control{path}"
        with httpx2.Client(trust_env=False, timeout=30, headers=headers) as http:
            answer = http.request(method, url, json=body).raise_for_status()
            return answer.json() if answer.content else None


@contextmanager
def open_house(directory: Path) -> Iterator[House]:
    """Start the demo's system below `directory`, without its tour; end it afterwards, whatever happened."""
    said: list[str] = []
    paths = Paths(directory.resolve())
    try:
        with Switchboard() as board:
            stage, system = set_up(paths, board, said.append)
            assert register(stage, said.append), said
            yield House(stage, system, paths)
    finally:
        stop(paths, said.append)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium())
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Playground:
    """The page as a user handles it. `complaints` are the console's errors and warnings and uncaught errors."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, browser: Browser, house: House, size: tuple[int, int], **me: str) -> Playground:
        """Open the page; `me` may name `id`, `locale` and `place`."""
        page = browser.new_page(viewport={"width": size[0], "height": size[1]}, has_touch=size == NARROW)
        page.set_default_timeout(PATIENCE_MS)
        opened = cls(page)
        page.on("console", opened._heard)
        page.on("pageerror", lambda error: opened.complaints.append(f"uncaught: {error}"))
        if me:
            page.add_init_script(f"sessionStorage.setItem('quartet-me', {json.dumps(json.dumps(me))})")
        page.goto(house.stage.page)
        expect(page.locator("#head .connection")).to_have_attribute("data-connected", "true")
        expect(page.locator("#switches [data-instance]")).to_have_count(4)
        return opened

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    @property
    def box(self) -> Locator:
        """The message box."""
        return self.page.locator("#message-box")

    def choose(self, label: str) -> None:
        """Type a command's name and choose it from the list."""
        self.box.focus()
        self.page.keyboard.type(label)
        option = self.page.locator("#suggestions [role=option]").filter(
            has=self.page.locator(".label", has_text=re.compile(f"^{re.escape(label)}$"))
        )
        option.first.click()
        expect(self.page.locator("#composer .chip")).to_have_text(label)

    def ask(self, question: str, label: str = "/채팅") -> Locator:
        """Use a command with one text; return its message."""
        before = self.newest_interaction()
        self.choose(label)
        self.page.keyboard.type(question)
        self.page.keyboard.press("Enter")
        return self.after(before)

    def newest_interaction(self) -> str:
        """The id of the newest interaction on the page; empty if there is none."""
        shown = self.page.locator(".message[data-interaction]")
        return str(shown.last.get_attribute("data-interaction")) if shown.count() else ""

    def after(self, interaction: str) -> Locator:
        """Wait for a message of another interaction than `interaction` at the end; return that one's first message."""
        newer = self.page.locator(f".message[data-interaction]:not([data-interaction='{interaction}'])")
        last = self.page.locator("#messages > .message[data-interaction]").last
        expect(last).not_to_have_attribute("data-interaction", interaction)
        expect(newer.last).to_be_visible()
        found = str(last.get_attribute("data-interaction"))
        return self.page.locator(f".message[data-interaction='{found}']").first

    def tab_to(self, key: str, condition: str, most: int = 60) -> None:
        """Press Tab or Shift+Tab until the focused `element` fulfils a condition in JavaScript."""
        for _ in range(most):
            self.page.keyboard.press(key)
            if self.page.evaluate(f"(element => {condition})(document.activeElement)"):
                return
        raise AssertionError(f"{most} times {key} did not lead to: {condition}")

    def type_keys(self, text: str | None, *keys: str) -> None:
        """Type a text, then press keys; those of more than one letter by their names."""
        if text is not None:
            self.page.keyboard.type(text)
        for key in keys:
            if len(key) > 1 and key.isascii():
                self.page.keyboard.press(key)
            else:
                self.page.keyboard.type(key)

    def option(self, name: str) -> Locator:
        """The field of a command's option, opened if it is not there yet."""
        more = self.page.locator(f"#composer .more[data-option='{name}']")
        if more.count():
            more.click()
        return self.page.locator(f"#composer .option[data-option='{name}'] input")

    def final(self, message: Locator) -> None:
        """Wait until an answer is final."""
        expect(message).to_have_attribute("data-state", re.compile("answered|modal"))

    def station(self, name: str) -> Locator:
        """One station of the drawn way."""
        return self.page.locator(f"#way [data-station={name}]")

    def instance(self, number: int) -> Locator:
        """One instance's row among the switches."""
        return self.page.locator(f"#switches [data-instance='{number}']")
