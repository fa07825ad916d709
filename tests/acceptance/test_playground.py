"""The playground, driven as a user drives it, over the whole real system. No test may leave a word in the console."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from ops.chromium import find_chromium
from ops.nginx import find_nginx
from tests.acceptance.playground_kit import (
    MODERATOR,
    NARROW,
    PATIENCE_MS,
    USERS,
    WIDE,
    House,
    Playground,
    chromium,
    open_house,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.nginx,
    pytest.mark.skipif(find_nginx() is None, reason="nginx with njs is not installed"),
    pytest.mark.skipif(find_chromium() is None, reason="Chromium is not installed"),
]
LONG = "#chars=4500"  # the simulated model takes some three seconds for that


@pytest.fixture(scope="module", name="house")
def a_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One system for all tests of this file."""
    with open_house(tmp_path_factory.mktemp("playground")) as house:
        yield house


@pytest.fixture(scope="module", name="browser")
def a_browser() -> Iterator[Browser]:
    """One browser for all tests of this file."""
    expect.set_options(timeout=PATIENCE_MS)
    with chromium() as browser:
        yield browser


@pytest.fixture(name="at")
def a_page(browser: Browser, house: House) -> Iterator[Playground]:
    """The page at 1280 pixels, as a Korean user of instance 1 in the server."""
    at = Playground.open(browser, house, WIDE)
    yield at
    at.page.close()
    assert at.complaints == []


def test_every_registered_command_can_be_used(at: Playground, house: House) -> None:
    """Each command and subcommand of the registered list, with its required options filled in, gets its answer."""
    commands = [one for scope in house.control("GET", "/commands").values() for one in scope if one["type"] == 1]
    assert {"채팅", "이미지", "비디오", "핑", "로드밸런서", "성능", "할당"} <= {one["name"] for one in commands}
    at.box.press("/")
    labels = at.page.locator("#suggestions .label").all_inner_texts()
    at.box.fill("")
    assert {label.split()[0] for label in labels} == {f"/{one['name']}" for one in commands}
    for label in labels:
        before = at.newest_interaction()
        at.choose(label)
        for field in at.page.locator("#composer .option input[type=text]").all():
            field.focus()
            suggested = at.page.locator("#suggestions [role=option]")
            if suggested.count():
                suggested.first.click()
            else:
                at.page.keyboard.type(f"{label} 시험")
        at.page.locator("#send-command").click()
        message = at.after(before)
        at.final(message)
        expect(message.locator(".text, .embed, img, video").first).to_be_visible()


def test_an_answer_grows_before_ones_eyes(at: Playground) -> None:
    """Words are there while the model still writes, and the whole answer at the end, code with its language."""
    message = at.ask(f"고양이는 왜 가르랑거리나요? #code {LONG}")
    expect(message).to_contain_text("▌")
    expect(message).to_contain_text("고양이는 왜 가르랑거리나요?")
    expect(message).to_have_attribute("data-state", "deferred")
    at.final(message)
    expect(message).not_to_contain_text("▌")
    expect(message.locator(".codeblock .lang").first).to_have_text("python")


def test_the_way_of_an_interaction_is_drawn(at: Playground) -> None:
    """Proxy, instance, queue, key and webhook, each with its time, for the home of who asked."""
    at.final(at.ask("길을 보여 줘"))
    for name in ("proxy", "instance", "queue", "key", "webhook"):
        expect(at.station(name)).to_have_attribute("data-state", "done")
    expect(at.station("instance")).to_contain_text(re.compile(r"1번이 받음: deferred, \d+\sms"))
    expect(at.station("key")).to_contain_text(re.compile(r"set-1 · OpenAI chat\.completions · [\d.]+\sm?s · 200"))
    expect(at.page.locator("#way .bar.call")).to_have_count(1)


def test_a_picture_and_a_film_are_shown(at: Playground) -> None:
    """The picture has loaded, its select draws it in another ratio, and the film can be played."""
    picture = at.ask("달빛 아래의 고양이", "/이미지")
    asked_ms = at.page.evaluate("Date.now()")
    at.final(picture)
    image = picture.locator(".files img").first
    expect(image).to_be_visible()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    first = str(picture.get_attribute("data-interaction"))
    at.page.wait_for_function("asked => Date.now() > asked + 1200", arg=asked_ms)  # IMAGE_COOLDOWN_S is over
    picture.locator("select[data-custom-id^='ratio:']").select_option("16:9")
    square = at.after(first)
    at.final(square)
    expect(square.locator(".files img")).to_be_visible()
    film = at.ask("파도를 타는 고양이", "/비디오")
    at.final(film)
    expect(film.locator("video")).to_be_visible()


def test_stop_ends_an_answer_that_grows(at: Playground) -> None:
    """⏹ is there while the model writes; after it the answer ends with what there was."""
    message = at.ask(f"멈출 때까지 써 줘 {LONG}")
    expect(message).to_contain_text("▌")
    message.locator("[data-custom-id^='stop:']").click()
    at.final(message)
    expect(message).to_contain_text("⏹")
    expect(message.locator("[data-custom-id^='stop:']")).to_have_count(0)


def test_a_button_asks_again_and_another_deletes(at: Playground) -> None:
    """🔁 makes a new answer to the same question; 🗑 takes the message away for everybody."""
    message = at.ask("다시 물어볼 질문")
    at.final(message)
    first = str(message.get_attribute("data-interaction"))
    message.locator("[data-custom-id^='again:']").click()
    again = at.after(first)
    at.final(again)
    expect(again).to_contain_text("다시 물어볼 질문")
    expect(again.locator(".used")).to_contain_text("버튼을 누름")
    again.locator("[data-custom-id^='delete:']").click()
    expect(again).to_have_count(0)
    expect(message).to_be_visible()


def test_without_a_question_a_form_is_shown(at: Playground) -> None:
    """A modal opens, holds the focus, and what is written in it is answered."""
    before = at.newest_interaction()
    at.choose("/채팅")
    at.page.keyboard.press("Enter")
    dialog = at.page.get_by_role("dialog")
    expect(dialog.locator("textarea")).to_be_focused()
    at.page.keyboard.type("양식에 쓴\n긴 질문")
    dialog.get_by_role("button", name="보내기").click()
    expect(dialog).to_have_count(0)
    message = at.after(before)
    at.final(message)
    expect(message).to_contain_text("양식에 쓴")


def test_choices_come_from_the_app_while_one_types(at: Playground, house: House) -> None:
    """The list under a completed option is what the app answers to a real autocomplete interaction."""
    at.choose("/채팅")
    at.page.keyboard.type("어느 모델이니?")
    at.option("모델").focus()
    choice = at.page.locator("#suggestions [role=option]").first
    expect(choice).to_be_visible()
    asked = [event for event in house.control("GET", "/ledger") if event["event"] == "sent" and event["kind"] == 4]
    assert asked
    before = at.newest_interaction()
    at.page.keyboard.press("ArrowDown")
    at.page.keyboard.press("Enter")
    expect(at.option("모델")).not_to_have_value("")
    at.page.keyboard.press("Enter")
    at.final(at.after(before))


def test_a_private_answer_is_for_one_user_only(at: Playground, browser: Browser, house: House) -> None:
    """Who asked sees it marked so and may put it away; the next user sees nothing of it."""
    before = at.newest_interaction()
    at.choose("/채팅")
    at.page.keyboard.type("나만 볼 답")
    at.option("비공개").focus()
    at.page.locator("#suggestions [role=option]").first.click()
    at.page.locator("#send-command").click()
    message = at.after(before)
    at.final(message)
    expect(message).to_contain_text("회원님만 볼 수 있어요")
    other = Playground.open(browser, house, WIDE, id=USERS[3], locale="en-US", place="guild")
    expect(other.page.locator("#messages .message").first).to_be_visible()
    expect(other.page.get_by_text("나만 볼 답")).to_have_count(0)
    other.page.close()
    assert other.complaints == []
    message.get_by_role("button", name="메시지 닫기").click()
    expect(message).to_have_count(0)


def test_a_file_goes_along_by_the_file_picker(at: Playground, tmp_path: Path) -> None:
    """A text file attached to a question is delivered with it."""
    note = tmp_path / "note.txt"
    note.write_text("the cat's name is Quartet")
    before = at.newest_interaction()
    at.choose("/채팅")
    at.page.keyboard.type("이 파일에 뭐라고 쓰여 있어?")
    at.option("첨부").set_input_files(note)
    expect(at.page.locator("#composer .filename")).to_have_text("note.txt")
    at.page.locator("#send-command").click()
    at.final(at.after(before))


def test_a_message_command_answers_about_a_message(at: Playground) -> None:
    """The right mouse button on somebody's message offers the registered message commands; the answer is private."""
    at.box.fill("고양이는 하루에 열여섯 시간을 잔다.")
    at.page.keyboard.press("Enter")
    said = at.page.locator(".message", has_text="열여섯 시간").last
    said.click(button="right")
    items = at.page.get_by_role("menuitem")
    assert {"요약", "번역", "설명"} <= set(items.all_inner_texts())
    before = at.newest_interaction()
    items.filter(has_text="요약").click()
    message = at.after(before)
    at.final(message)
    expect(message).to_contain_text("회원님만 볼 수 있어요")


def test_an_instance_is_killed_in_the_middle_and_the_answer_still_comes(at: Playground) -> None:
    """Off goes the home of who asked while it writes; another instance finishes, and the panel says which."""
    at.page.locator(f"[data-user='{USERS[2]}']").click()
    message = at.ask(f"끝까지 답해 줘 {LONG}")
    expect(message).to_contain_text("▌")
    at.page.get_by_role("switch", name="2번 켜짐").click()
    expect(at.instance(2)).to_have_attribute("data-running", "false")
    at.final(message)
    expect(message).to_contain_text("끝까지 답해 줘")
    expect(at.station("queue")).to_contain_text(re.compile("[134]번이 처리"))
    expect(at.station("key")).to_contain_text("set-2")
    at.page.get_by_role("switch", name="2번 켜짐").click()
    expect(at.instance(2)).to_have_attribute("data-running", "true")
    pid = at.instance(2).locator("small").inner_text()
    at.instance(2).get_by_role("button", name="2번 강제 종료").click()
    expect(at.instance(2).locator("small")).not_to_have_text(pid)
    expect(at.instance(2)).to_have_attribute("data-running", "true")


def test_a_provider_fails_by_a_switch_and_is_well_again(at: Playground) -> None:
    """While it fails the user gets one honest sentence; afterwards an answer again."""
    at.page.get_by_label("OpenAI: 어떻게").select_option("refusal")
    switch = at.page.get_by_role("switch", name="OpenAI 고장")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    message = at.ask("답할 수 없는 질문")
    at.final(message)
    expect(message).not_to_contain_text("질문하신 내용")
    expect(at.station("key")).to_have_attribute("data-state", "failed")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    again = at.ask("답할 수 있는 질문")
    at.final(again)
    expect(again).to_contain_text("질문하신 내용: 답할 수 있는 질문")


def test_user_place_and_language_can_be_chosen(at: Playground) -> None:
    """A direct message shows one's own talk only; in English, commands and answers are English."""
    at.page.locator("[data-place='dm']").click()
    at.page.locator("[data-locale='en-US']").click()
    at.page.locator(f"[data-user='{MODERATOR}']").click()
    expect(at.page.locator("#head .me")).to_contain_text("Mina")
    expect(at.page.locator("#head .me")).to_contain_text("home 1")
    expect(at.page.locator(".message")).to_have_count(0)
    message = at.ask("Why do cats purr?", "/chat")
    at.final(message)
    expect(message.locator(".used")).to_contain_text("used /chat")
    expect(message).to_contain_text("You asked: Why do cats purr?")


def test_the_keyboard_is_enough(at: Playground) -> None:
    """Choose a user, use a command with an option, walk to its answer, open and leave its menu, press its button."""
    expect(at.box).to_be_focused()  # where one begins
    at.tab_to("Shift+Tab", f"element.dataset.user === '{USERS[4]}'")
    at.page.keyboard.press("Enter")
    expect(at.page.locator("#head .me")).to_contain_text("네모")
    assert at.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    at.tab_to("Tab", "element.id === 'message-box'")
    before = at.newest_interaction()
    at.type_keys("/이미", "Enter", "글쇠로 그린 고양이")
    at.tab_to("Tab", "element.dataset.option === '비율'")
    at.type_keys(None, "Enter", "ArrowDown", "Enter")
    expect(at.option("비율")).to_have_value(re.compile(r"\d+:\d+"))
    at.tab_to("Tab", "element.id === 'send-command'")
    at.page.keyboard.press("Enter")
    message = at.after(before)
    at.final(message)
    expect(at.box).to_be_focused()
    at.tab_to("Shift+Tab", "(element.dataset.customId || '').startsWith('again:')")
    at.type_keys(None, "ArrowUp", "ArrowDown")
    expect(message).to_be_focused()
    at.page.keyboard.press("Shift+F10")
    expect(at.page.get_by_role("menuitem").first).to_be_focused()
    at.page.keyboard.press("Escape")
    expect(at.page.get_by_role("menu")).to_have_count(0)
    at.tab_to("Tab", "(element.dataset.customId || '').startsWith('again:')")
    at.page.keyboard.press("Enter")
    at.final(at.after(str(message.get_attribute("data-interaction"))))


def test_a_narrow_screen_has_everything_behind_two_buttons(browser: Browser, house: House) -> None:
    """At 390 pixels nothing sticks out to the side; users and switches open over the channel."""
    at = Playground.open(browser, house, NARROW)
    fits = "[document.documentElement, document.querySelector('#messages')].every(e => e.scrollWidth <= innerWidth)"
    message = at.ask("좁은 화면에서 물어본다 #code #table #chars=900")
    at.final(message)
    assert at.page.evaluate(fits)
    expect(at.page.locator(f"[data-user='{USERS[2]}']")).not_to_be_visible()
    at.page.get_by_role("button", name="채널과 사용자 열기").click()
    at.page.locator(f"[data-user='{USERS[2]}']").click()
    expect(at.page.locator("#head .me")).to_contain_text("담당 2")
    expect(at.page.locator(f"[data-user='{USERS[2]}']")).not_to_be_visible()
    at.page.get_by_role("button", name="길과 스위치 열기").click()
    expect(at.station("webhook")).to_be_visible()
    expect(at.instance(3)).to_be_visible()
    at.page.keyboard.press("Escape")
    expect(at.instance(3)).not_to_be_visible()
    at.choose("/이미지")
    expect(at.option("설명")).to_be_visible()
    assert at.page.evaluate(fits)
    at.page.close()
    assert at.complaints == []


def _type_first(page: Page, route: Route) -> None:
    """Let the commands wait until a command's name has been typed."""
    page.locator("#message-box").press_sequentially("/핑")
    route.continue_()


def test_who_types_before_the_commands_are_there_gets_the_list_all_the_same(browser: Browser, house: House) -> None:
    """Symptom: the list stayed empty for a fast typist. Rule: it is made anew when the commands arrive."""
    page = browser.new_page()
    page.route("**/control/commands", lambda route: _type_first(page, route))
    page.goto(house.stage.page)
    expect(page.locator("#suggestions [role=option]")).to_have_count(1)
    page.close()


def test_without_the_token_the_page_says_what_to_open(browser: Browser, house: House) -> None:
    """Nothing is shown, and the sentence can be acted on."""
    page = browser.new_page()
    page.goto(f"{house.stage.simulator_url}/")
    expect(page.get_by_role("alert")).to_contain_text("open the whole address that the demo printed")
    expect(page.locator(".message")).to_have_count(0)
    page.close()


def test_what_a_message_says_is_never_run(at: Playground) -> None:
    """Markup in a message is shown as text, and the page's policy forbids any script but its own."""
    at.box.fill(
        "<img src=x onerror=\"document.title='run'\"> <script>document.title='run'</script> **fett** [x](javascript:1)"
    )
    at.page.keyboard.press("Enter")
    said = at.page.locator(".message", has_text="onerror").last
    expect(said.locator("strong")).to_have_text("fett")
    assert said.locator("img[src=x], script, a").count() == 0
    assert at.page.title() == "Quartet playground"
