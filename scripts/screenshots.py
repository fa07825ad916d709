#!/usr/bin/env python3
"""Takes the pictures in docs/pictures/ of the playground and of the dashboard, in headless Chromium.

    ./deploy-multi.sh test                            # once: brings the browser and the library that drives it
    .venv/bin/python scripts/screenshots.py           # starts a demo of its own, takes the pictures, ends it
    .venv/bin/python scripts/screenshots.py --page 'http://127.0.0.1:8090/#token=…' \\
        --dashboard http://127.0.0.1:8081/dashboard   # or of a demo that runs

Korean and emoji need fonts: the packages fonts-noto-cjk and fonts-noto-color-emoji.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect, sync_playwright

from ops.chromium import ensure_chromium
from ops.demo import register, set_up
from ops.envfile import ROOT
from ops.operator import Switchboard
from ops.shutdown import stop
from ops.system import Paths

WIDE: ViewportSize = {"width": 1280, "height": 800}
NARROW: ViewportSize = {"width": 390, "height": 844}
Scheme = Literal["light", "dark"]
HANA, DURI, SENA, NEMO = "218437562098745344", "349120857731284993", "472859104466137090", "598213377490165763"
PATIENCE_MS = 30_000


def main(arguments: list[str] | None = None) -> int:
    """Take all pictures; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--page", help="the address a running demo printed; without it one is started")
    parser.add_argument("--dashboard", help="the dashboard's address, with --page; without it that is left out")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="take these pictures only")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures", help="folder (default: docs/pictures)")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=PATIENCE_MS)
    with _pages_of(options.page, options.dashboard) as (page, dashboard), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=ensure_chromium())
        wanted = [(page, PICTURES), (dashboard, DASHBOARD_PICTURES)]
        for address, name, take in [(a, name, take) for a, found in wanted if a for name, take in found.items()]:
            if options.only and name not in options.only:
                continue
            path = options.out / f"{name}.png"
            take(browser, address, path)
            print(path)
        browser.close()
    return 0


@contextmanager
def _pages_of(page: str | None, dashboard: str | None) -> Iterator[tuple[str, str | None]]:
    """Yield the given addresses of playground and dashboard, or those of a demo which runs meanwhile."""
    if page:
        yield page, dashboard
        return
    with tempfile.TemporaryDirectory(prefix="quartet-pictures-") as directory:
        paths = Paths(Path(directory).resolve())
        try:
            with Switchboard() as board:
                stage, system = set_up(paths, board, print)
                if not register(stage, print):
                    raise SystemExit(1)
                yield stage.page, f"{system.ops_url}/dashboard"
        finally:
            stop(paths, print)


def _open(browser: Browser, address: str, size: ViewportSize, user: str, locale: str, place: str = "guild") -> Page:
    page = browser.new_page(viewport=size)
    page.set_default_timeout(PATIENCE_MS)
    me = json.dumps({"id": user, "locale": locale, "place": place})
    page.add_init_script(f"sessionStorage.setItem('quartet-me', {json.dumps(me)})")
    page.goto(address)
    expect(page.locator("#switches [data-instance]")).to_have_count(4)
    return page


def _use(page: Page, command: str, text: str, **choices: str) -> Locator:
    """Use a command with one text and some chosen options; return its message."""
    newest = page.locator("#messages > .message[data-interaction]").last
    before = newest.get_attribute("data-interaction") if newest.count() else ""
    page.locator("#message-box").focus()
    page.keyboard.type(command)
    label = page.locator(".label", has_text=re.compile(f"^{re.escape(command)}$"))
    page.locator("#suggestions [role=option]").filter(has=label).first.click()
    page.keyboard.type(text)
    for option, choice in choices.items():
        page.locator(f"#composer .more[data-option='{option}']").click()
        page.locator("#suggestions [role=option]", has_text=choice).first.click()
    page.locator("#send-command").click()
    expect(newest).not_to_have_attribute("data-interaction", str(before))
    found = newest.get_attribute("data-interaction")
    return page.locator(f".message[data-interaction='{found}']").first


def _final(message: Locator) -> None:
    expect(message).to_have_attribute("data-state", "answered")


def chat_streaming(browser: Browser, address: str, path: Path) -> None:
    """Two people in one channel: an answer that is done, and one that is being written."""
    page = _open(browser, address, WIDE, HANA, "ko")
    _final(_use(page, "/채팅", "고양이는 왜 가르랑거리나요?"))
    page.locator(f"[data-user='{DURI}']").click()
    page.locator("[data-locale='en-US']").click()
    message = _use(page, "/chat", "How do I sort a list in Python? #code #chars=6000")
    expect(message).to_contain_text("▌")
    expect(message.locator(".codeblock")).to_be_visible()
    page.screenshot(path=path)
    _final(message)
    page.close()


def image_buttons(browser: Browser, address: str, path: Path) -> None:
    """A picture with what can be done with it."""
    page = _open(browser, address, WIDE, SENA, "en-US", "dm")
    message = _use(page, "/image", "a cat in the moonlight, watercolour", 비율="16:9")
    _final(message)
    message.locator(".files img").first.evaluate("image => image.decode()")
    expect(message.locator("[data-custom-id]").first).to_be_visible()
    expect(page.locator("#way [data-station=webhook]")).to_have_attribute("data-state", "done")
    page.screenshot(path=path)
    page.close()


def instance_killed(browser: Browser, address: str, path: Path) -> None:
    """The home of who asked is switched off in the middle, and another instance finishes."""
    page = _open(browser, address, WIDE, NEMO, "en-US")
    message = _use(page, "/chat", "Why is the sea blue? #chars=1500")
    expect(message).to_contain_text("▌")
    switch = page.get_by_role("switch", name="Instance 4 on")
    switch.click()
    _final(message)
    expect(page.locator("#way [data-station=queue]")).to_contain_text(re.compile("#[123] did the work"))
    expect(page.locator("#way [data-station=webhook]")).to_have_attribute("data-state", "done")
    page.locator("#switches [data-instance='4']").scroll_into_view_if_needed()
    page.screenshot(path=path)
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    page.close()


def narrow(browser: Browser, address: str, path: Path) -> None:
    """The same on a telephone."""
    page = _open(browser, address, NARROW, HANA, "ko", "dm")
    _final(_use(page, "/채팅", "좁은 화면에서도 잘 보이나요? #code"))
    page.locator("#message-box").focus()
    page.keyboard.type("/")
    expect(page.locator("#suggestions [role=option]").first).to_be_visible()
    page.screenshot(path=path)
    page.close()


def _dashboard(browser: Browser, address: str, path: Path, size: ViewportSize, scheme: Scheme, locale: str) -> None:
    page = browser.new_page(viewport=size, color_scheme=scheme, locale=locale)
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    expect(page.locator("#instances [data-state=up]")).to_have_count(4)
    page.screenshot(path=path, full_page=size == WIDE)
    page.close()


def dashboard_light(browser: Browser, address: str, path: Path) -> None:
    """The operator's page after all of the above."""
    _dashboard(browser, address, path, WIDE, "light", "en-US")


def dashboard_narrow(browser: Browser, address: str, path: Path) -> None:
    """The same on a telephone, dark and in Korean."""
    _dashboard(browser, address, path, NARROW, "dark", "ko-KR")


DASHBOARD_PICTURES = {"dashboard-light": dashboard_light, "dashboard-narrow": dashboard_narrow}

PICTURES = {
    "chat-streaming": chat_streaming,
    "image-buttons": image_buttons,
    "instance-killed": instance_killed,
    "narrow": narrow,
}

if __name__ == "__main__":
    sys.exit(main())
