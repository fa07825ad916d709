"""The demo's judgement: a wrong answer is found, a right one passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.balancing.assignment import home_of
from app.commands.registry import COMMANDS
from ops.tour_stops import PNG_SIGNATURE, User, Visit, users, visits_of
from simulator.media import mp4, png

PICTURE = png("cat", 1, 32, 32)
KINDS = {"채팅": ("채팅", "요약", "번역", "설명"), "이미지": ("이미지",), "비디오": ("비디오",)}


def visit_of(title: str, home: int = 2) -> tuple[Visit, Callable[[dict[str, Any], bytes], list[str]]]:
    visit, check = next(pair for pair in visits_of(users(4)[home - 1]) if pair[0].title == title)
    return visit, lambda message, file: check(visit, message, file)


def test_every_home_gets_a_user_whose_id_no_number_of_javascript_holds() -> None:
    """Rounding an id in nginx would send these users elsewhere."""
    made = users(4)
    assert [user.home for user in made] == [1, 2, 3, 4]
    assert all(home_of(user.id, 4) == user.home and user.id > 2**53 for user in made)
    assert {(user.locale, user.place) for user in made} == {
        ("ko", "guild"), ("en-US", "dm"), ("ko", "dm"), ("en-US", "guild"),
    }  # fmt: skip


def test_the_tour_uses_every_command_there_is() -> None:
    """A command that is added has to be added to the tour."""
    assert {visit.command for visit, _ in visits_of(users(4)[0])} == set(COMMANDS)


def test_an_answer_to_another_question_is_wrong() -> None:
    """The chat's answer has to hold this very question, and nothing of another conversation."""
    visit, check = visit_of("/채팅")
    said = f"You asked: {visit.prompt}"
    history = [{"content": "⏳ …"}, {"content": "You ▌"}, {"content": said}]
    assert check({"content": said, "history": history}, b"") == []
    assert check({"content": "You asked: something else", "history": history}, b"")
    assert check({"content": f"{said} This is question 2.", "history": history}, b"")


@pytest.mark.parametrize("history", [[], [{"content": "⏳ …"}], [{"content": "Something else ▌"}]])
def test_an_answer_that_was_not_seen_to_grow_is_wrong(history: list[dict[str, str]]) -> None:
    """Each part shown on the way is the whole's beginning, and there is one at least."""
    visit, check = visit_of("/채팅")
    said = f"You asked: {visit.prompt}"
    assert check({"content": said, "history": history}, b"")


def test_a_second_answer_has_to_lean_on_the_first() -> None:
    """It tells which question came before; otherwise nothing was remembered."""
    visits = visits_of(users(4)[1])
    at = next(n for n, (visit, _) in enumerate(visits) if visit.title == "/채팅, going on")
    (before, _), (visit, check) = visits[at - 1], visits[at]
    said = f"You asked: {visit.prompt} This is question 2, the one before was: {before.prompt}"
    assert check(visit, {"content": said}, b"") == []
    assert check(visit, {"content": f"You asked: {visit.prompt}"}, b"")


def test_what_everybody_sees_is_no_private_answer() -> None:
    """The commands in a message's menu answer for the user only."""
    visit, check = visit_of("Summarise (message menu)")
    assert check({"content": visit.prompt, "ephemeral": True}, b"") == []
    assert check({"content": visit.prompt, "ephemeral": False}, b"")


def test_a_picture_in_another_ratio_is_wrong() -> None:
    """The one drawn anew has to have the ratio that was chosen."""
    _, check = visit_of("🖼 ratio 16:9")
    assert check({"content": ""}, png("cat", 1, 64, 36)) == []
    assert check({"content": ""}, PICTURE)


def test_settings_and_use_are_told_in_the_language_chosen() -> None:
    """The answer comes in the other language, and counts every stop before it."""
    assert visit_of("/설정")[1]({"content": "✅ 저장했어요.", "ephemeral": True}, b"") == []
    assert visit_of("/설정")[1]({"content": "✅ Saved.", "ephemeral": True}, b"")
    stops = [visit for visit, _ in visits_of(users(4)[1]) if visit.prompt]
    jobs = {kind: sum(visit.command in names for visit in stops) for kind, names in KINDS.items()}
    text = "내 사용량 " + " ".join(f"{kind} {count}건" for kind, count in jobs.items())
    assert visit_of("/사용량")[1]({"content": text, "ephemeral": True}, b"") == []
    assert visit_of("/사용량")[1]({"content": "내 사용량", "ephemeral": True}, b"")


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", PNG_SIGNATURE, PICTURE[:-20], PICTURE[:60] + b"\0\0\0\0" + PICTURE[64:]]
)
def test_a_picture_that_is_none_is_wrong(data: bytes) -> None:
    """Missing, of another kind, cut off or damaged."""
    _, check = visit_of("/이미지")
    assert check({"content": ""}, PICTURE) == []
    assert check({"content": ""}, data)


def test_a_video_has_to_be_attached_and_to_repeat_its_description() -> None:
    """Either one alone is not enough."""
    visit, check = visit_of("/비디오")
    assert check({"content": visit.prompt}, mp4("x")) == []
    assert check({"content": visit.prompt}, b"")
    assert check({"content": ""}, mp4("x"))


def test_an_assignment_to_another_home_is_wrong() -> None:
    """The formula has to come out at the user's home, and the jobs before it have to be listed."""
    visit, check = visit_of("/할당", home=3)
    user: User = visit.user
    assert check({"content": f"`{user.id} % 4 + 1 = 3`\n· 채팅 · **3**번이 처리"}, b"") == []
    assert check({"content": f"`{user.id} % 4 + 1 = 4`\n· 채팅 · **3**번이 처리"}, b"")
    assert check({"content": f"`{user.id} % 4 + 1 = 3`"}, b"")
