"""The dashboard in headless Chromium, over a whole native system: nginx, four instances, the simulator.

No page may leave a word in the console, and none may ask another host for anything.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

from ops.chromium import find_chromium
from ops.nginx import find_nginx
from tests.acceptance.playground_kit import NARROW, PATIENCE_MS, USERS, WIDE, House, chromium, open_house

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.nginx,
    pytest.mark.skipif(find_nginx() is None, reason="nginx with njs is not installed"),
    pytest.mark.skipif(find_chromium() is None, reason="Chromium is not installed"),
]
NO_SCROLL = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


STREAM = "/dashboard/events"


@dataclass
class Dashboard:
    """An open page. `complaints` are the console's errors and warnings; `asked` is every address it asked for.

    `may_lose`: the stream may break without that being a complaint, as it does when whoever serves it is killed.
    """

    page: Page
    may_lose: bool = False
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def heard(self, message: ConsoleMessage) -> None:
        """Note what the console says."""
        lost = self.may_lose and message.location["url"].endswith(STREAM)
        if message.type in ("error", "warning") and not lost:
            self.complaints.append(f"{message.type}: {message.text} ({message.location['url']})")

    def figure(self, name: str) -> Locator:
        """The large number of one figure."""
        return self.page.locator(f"[data-figure={name}] .big")

    def instance(self, number: int) -> Locator:
        """One instance's card."""
        return self.page.locator(f"#instances [data-instance='{number}']")

    def key(self, number: int, provider: str) -> Locator:
        """One key's row on an instance's card."""
        return self.instance(number).locator(f"[data-provider={provider}]")

    def live(self) -> None:
        """Wait until pictures come."""
        expect(self.page.locator("body")).to_have_attribute("data-state", "live")

    def count(self, name: str) -> int:
        """A figure as a number."""
        return int(self.figure(name).inner_text().replace(",", ""))


def opened(browser: Browser, house: House, size: tuple[int, int] = WIDE, **context: Any) -> Dashboard:
    """Open the page and wait for its first picture."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, **{"locale": "en-US", **context})
    page.set_default_timeout(PATIENCE_MS)
    at = Dashboard(page)
    page.on("console", at.heard)
    page.on("pageerror", lambda error: at.complaints.append(f"uncaught: {error}"))
    page.on("request", lambda request: at.asked.append(request.url))
    answer = page.goto(f"{house.system.ops_url}/dashboard")
    assert answer is not None and "script-src 'self'" in answer.headers["content-security-policy"]
    at.live()
    return at


def closed(at: Dashboard, house: House) -> None:
    """Close the page; it complained of nothing and asked nobody else for anything."""
    at.page.close()
    assert at.complaints == []
    assert [url for url in at.asked if not url.startswith(f"{house.system.ops_url}/dashboard")] == []


def ask(house: House, user: str, question: str = "왜?") -> str:
    """Use /채팅 as a user, wait for the final answer, and return the interaction's id."""
    asked = {"user_id": user, "command": "채팅", "options": {"질문": question}, "wait_s": 30}
    made = house.control("POST", "/interactions", asked)
    assert made["state"] == "answered", made
    return str(made["id"])


def served_by(at: Dashboard) -> int:
    """Who the page says it was told by."""
    served = re.search(r"#(\d)", at.page.locator("#served").inner_text())
    assert served is not None
    return int(served.group(1))


def switch(house: House, act: str, *instances: int) -> None:
    """Turn instances on or off."""
    for instance in instances:
        house.control("POST", "/operator", {"act": act, "instance": instance})


@pytest.fixture(scope="module", name="house")
def a_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One system for all tests of this file."""
    with open_house(tmp_path_factory.mktemp("dashboard")) as house:
        yield house


@pytest.fixture(scope="module", name="browser")
def a_browser() -> Iterator[Browser]:
    """One browser for all tests of this file."""
    expect.set_options(timeout=PATIENCE_MS)
    with chromium() as browser:
        yield browser


@pytest.fixture(name="at")
def a_page(browser: Browser, house: House) -> Iterator[Dashboard]:
    """The page at 1280 pixels in English."""
    at = opened(browser, house)
    yield at
    closed(at, house)


def test_known_traffic_is_shown_as_it_was(at: Dashboard, house: House) -> None:
    """Two answers for a user of each home, and one job a provider refuses: every figure, chart and table has them, and
    the job without an answer stands there with the reference its user was shown."""
    for user in USERS.values():
        for _ in range(2):
            ask(house, user)
    fault = house.control("POST", "/faults", {"target": "openai", "kind": "refusal", "count": 1})
    refused = ask(house, USERS[2])
    house.control("DELETE", f"/faults/{fault['id']}")
    expect(at.figure("fHour")).to_have_text("8")
    expect(at.figure("fUsers")).to_have_text("4")
    expect(at.figure("fInstances")).to_have_text("4 / 4")
    expect(at.figure("fToday")).to_have_text("9")
    for number in USERS:
        calls = 3 if number == 2 else 2
        chart = at.key(number, "openai").get_by_role("img")
        label = f"OpenAI key of #{number}: .*{calls} calls in the last hour, most at "
        expect(chart).to_have_attribute("aria-label", re.compile(label))
        expect(chart.locator("path.bar")).to_have_attribute("d", re.compile(r"^M\d+"))
        expect(at.key(number, "minimax").locator("path.bar")).to_have_attribute("d", "")
        expect(at.instance(number).locator(".facts")).to_contain_text(f"done today{calls}")
    row = at.page.locator("#faults tbody tr")
    expect(row).to_have_count(1)
    expect(row.locator(".reference")).to_have_text(refused)
    expect(row).to_contain_text("#2 → #2")
    expect(row.locator(".error")).to_have_text("ProviderRefused")
    homes = [str(text) for text in at.page.locator("#users tbody tr").all_inner_texts()]
    assert [re.sub(r"\s+", " ", text).strip() for text in homes] == ["#1 1", "#2 1", "#3 1", "#4 1"]
    expect(at.page.locator("#budget tbody tr").first).to_contain_text("chat")
    expect(at.page.locator("#budget tbody tr").first).to_contain_text(re.compile(r"9 / [\d,]+"))
    text = at.page.locator("body").inner_text()
    assert not [user for user in USERS.values() if user in text]


def test_what_happens_is_shown_without_a_reload(at: Dashboard, house: House) -> None:
    """One stream brings it: the page is the same one, and asked for nothing more."""
    at.page.evaluate("window.sameOne = true")
    before, asked = at.count("fHour"), len(at.asked)
    ask(house, USERS[3])
    expect(at.figure("fHour")).to_have_text(str(before + 1))
    ask(house, USERS[4])
    expect(at.figure("fHour")).to_have_text(str(before + 2))
    assert at.page.evaluate("window.sameOne") is True
    assert len(at.asked) == asked and sum(url.endswith(STREAM) for url in at.asked) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("locale", ["en-US", "ko-KR"])
def test_it_fits(
    browser: Browser, house: House, tmp_path: Path, size: tuple[int, int], scheme: Any, locale: str
) -> None:
    """At both widths, in both schemes and languages: nothing is cut off sideways, all sections are there, and text
    stands out from its background."""
    at = opened(browser, house, size, color_scheme=scheme, locale=locale)
    expect(at.instance(4)).to_be_visible()
    assert at.page.evaluate("document.documentElement.scrollWidth") == size[0]
    sideways = "[...document.querySelectorAll('.card')].filter((card) => card.scrollWidth > card.clientWidth).length"
    assert at.page.evaluate(sideways) == 0
    assert at.page.evaluate("document.documentElement.lang") == locale[:2]
    expect(at.page.locator("#instances-title")).to_have_text(
        "인스턴스와 키" if locale == "ko-KR" else "Instances and their keys"
    )
    back, ink = (at.page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    light = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (back, ink)]
    assert (light[0] > light[1] + 450) if scheme == "light" else (light[1] > light[0] + 450)
    picture = tmp_path / "dashboard.png"
    at.page.screenshot(path=picture, full_page=True)
    assert picture.stat().st_size > 20_000
    closed(at, house)


def test_it_can_be_heard_and_used_by_keyboard(at: Dashboard) -> None:
    """Charts say what they show, tables have headers, the state is announced, and the minutes' table opens by key."""
    charts = at.page.get_by_role("img").all()
    assert len(charts) == 4 * 3 + 1
    assert all(chart.get_attribute("aria-label") for chart in charts)
    expect(at.page.get_by_role("status")).to_have_text("Live")
    at.page.keyboard.press("Tab")
    assert at.page.evaluate("document.activeElement.className") == "skip"
    at.page.locator("#answers summary").focus()
    at.page.keyboard.press("Enter")
    table = at.page.get_by_role("table", name="Answers a minute")
    expect(table.get_by_role("columnheader")).to_have_count(4)
    expect(table.get_by_role("row")).to_have_count(61)
    for name in ("Users by home", "Used today", "Why jobs were served elsewhere"):
        assert at.page.get_by_role("table", name=name).get_by_role("columnheader").count() == 3


def test_who_serves_the_page_is_killed(at: Dashboard, house: House) -> None:
    """Another instance goes on with it, without a reload; the page says who is down, and when it is back."""
    at.may_lose = True
    at.page.evaluate("window.sameOne = true")
    number = served_by(at)
    try:
        switch(house, "off", number)
        expect(at.page.locator("#served")).to_contain_text(re.compile(f"told by #[^{number}]"))
        at.live()
        expect(at.instance(number)).to_have_attribute("data-state", "down")
        expect(at.page.locator("#notices")).to_contain_text(f"#{number} is down since")
        expect(at.figure("fInstances")).to_have_text("3 / 4")
    finally:
        switch(house, "on", number)
    expect(at.instance(number)).to_have_attribute("data-state", "up")
    expect(at.page.locator("#notices")).to_have_text("All is well.")
    assert at.page.evaluate("window.sameOne") is True


def test_who_serves_the_page_is_frozen(at: Dashboard, house: House) -> None:
    """A stopped process holds its connections and says nothing: the page notices by the silence, says so, and goes on
    with another instance."""
    at.may_lose = True
    at.page.evaluate("window.seen = []")
    watch = (
        "new MutationObserver(() => seen.push(document.body.dataset.state)).observe(document.body, {attributes: true})"
    )
    at.page.evaluate(watch)
    number = served_by(at)
    stats = httpx2.get(f"{house.system.ops_url}/stats", trust_env=False, timeout=10).json()
    pid = int(stats["instances"][number - 1]["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        expect(at.page.locator("#served")).to_contain_text(re.compile(f"told by #[^{number}]"), timeout=40_000)
        at.live()
        assert at.page.evaluate("seen").count("lost") >= 1
        expect(at.instance(number)).to_have_attribute("data-state", "down")
    finally:
        os.kill(pid, signal.SIGCONT)
    expect(at.instance(number)).to_have_attribute("data-state", "up")


def test_nobody_is_there(at: Dashboard, house: House) -> None:
    """With every instance down the page says since when it is not connected, keeps what it showed, and goes on by
    itself when one is back."""
    at.may_lose = True
    before = at.count("fHour")
    try:
        switch(house, "off", 1, 2, 3, 4)
        expect(at.page.locator("#connection")).to_have_text(re.compile(r"Not connected since \d\d:\d\d:\d\d"))
        expect(at.page.locator("body")).to_have_attribute("data-state", "lost")
        assert at.count("fHour") == before
    finally:
        switch(house, "on", 1, 2, 3, 4)
    at.live()
    expect(at.figure("fInstances")).to_have_text("4 / 4")
    expect(at.figure("fHour")).to_have_text(str(before))


def test_another_page_after_an_upgrade(browser: Browser, house: House) -> None:
    """A page whose files are of another release than those that are served now loads itself anew, once."""
    address = house.system.ops_url + STREAM
    with (
        httpx2.Client(trust_env=False, timeout=10) as http,
        http.stream("GET", address, headers={"accept": "text/event-stream"}) as answer,
    ):
        data = next(line for line in answer.iter_lines() if line.startswith("data: ")).removeprefix("data: ")
    old = json.dumps({**json.loads(data), "release": "old"})
    page = browser.new_page(viewport={"width": WIDE[0], "height": WIDE[1]}, locale="en-US")
    loads: list[str] = []
    page.on("load", lambda loaded: loads.append(loaded.url))
    upgraded = "".join(f"event: picture\ndata: {picture}\n\n" for picture in (old, data))
    page.route(address, lambda route: route.fulfill(body=upgraded, content_type="text/event-stream"), times=1)
    page.goto(f"{house.system.ops_url}/dashboard")
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    page.wait_for_function("performance.getEntriesByType('navigation')[0].type === 'reload'")
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    expect(page.locator("#served")).to_contain_text("told by #")
    assert len(loads) == 2
    page.close()
