"""Dead, draining and frozen instances cost a little time, never an interaction, as long as one instance lives."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

from tests.acceptance.proxy_kit import Answer, Front, black_hole, connected, front, interaction, needs_nginx

pytestmark = needs_nginx

DISCORDS_PATIENCE_S = 3.0
RETURN_S = 1.0


async def play(running: Front, count: int, pause: float = 0.0) -> list[Answer]:
    """`count` interactions of users of all homes, one after the other on one connection."""
    answers = []
    async with connected(running.public_port) as client:
        for user_id in range(count):
            answers.append(await client.post(interaction(user_id)))
            await asyncio.sleep(pause)
    return answers


async def play_at_once(running: Front, count: int) -> list[Answer]:
    """`count` interactions of users of all homes, each on its own connection, all at the same time."""
    return await asyncio.gather(*(running.post(interaction(user_id)) for user_id in range(count)))


def assert_all_answered(answers: list[Answer], by: set[int]) -> None:
    """Every interaction has its 200 from one of the living within Discord's patience."""
    assert {answer.status for answer in answers} == {200}
    assert {answer.instance for answer in answers} <= by
    assert max(answer.seconds for answer in answers) < DISCORDS_PATIENCE_S


@pytest.mark.parametrize("dead", [[2], [1, 3], [2, 3, 4]])
async def test_refused_connections_cost_nothing(tmp_path: Path, dead: list[int]) -> None:
    """With one, two or three instances dead, everybody is answered at once by the living."""
    async with front(tmp_path) as running:
        for number in dead:
            await running.instances[number - 1].stop()
        answers = await play(running, 200) + await play_at_once(running, 50)
    assert_all_answered(answers, {1, 2, 3, 4} - set(dead))
    assert max(answer.seconds for answer in answers) < 0.5


async def test_the_users_of_a_dead_home_are_spread_over_the_living(tmp_path: Path) -> None:
    """The 60 users whose home is dead are shared out evenly, the others stay at home."""
    async with front(tmp_path, NGINX_WORKERS="1") as running:
        await running.instances[0].stop()
        async with connected(running.public_port) as client:
            found = [(await client.post(interaction(user_id))).instance for user_id in range(0, 240, 4)]
            others = [(await client.post(interaction(user_id))).instance for user_id in range(1, 240, 4)]
    assert all(15 <= found.count(number) <= 25 for number in (2, 3, 4))
    assert set(others) == {2}


@pytest.mark.parametrize("dead", [[2], [1, 2, 4]])
async def test_black_holes_cost_their_connect_timeout_and_not_every_time(tmp_path: Path, dead: list[int]) -> None:
    """Addresses that swallow connections delay few requests: 0.3 s for each hole, and then it is left alone a while."""
    with contextlib.ExitStack() as stack:
        holes = {number: stack.enter_context(black_hole()) for number in dead}
        async with front(tmp_path, holes=holes) as running:
            at_once = await play_at_once(running, 40)
            answers = await play(running, 150)
    assert_all_answered(at_once + answers, {1, 2, 3, 4} - set(dead))
    assert max(answer.seconds for answer in at_once + answers) < 0.3 * len(dead) + 0.6
    slow = [answer for answer in answers if answer.seconds > 0.2]
    assert len(slow) <= 4, "once found, a hole is left alone for some seconds"


@pytest.mark.parametrize("frozen", [[2], [1, 2, 3]])
async def test_frozen_instances_delay_only_the_first(tmp_path: Path, frozen: list[int]) -> None:
    """An instance that accepts and never answers costs under a second once; three of four are survived within 3 s."""
    async with front(tmp_path) as running:
        assert_all_answered(await play(running, 40), {1, 2, 3, 4})
        for number in frozen:
            running.instances[number - 1].mode = "frozen"
        at_once = await play_at_once(running, 40)
        answers = await play(running, 60)
    assert_all_answered(at_once + answers, {1, 2, 3, 4} - set(frozen))
    assert max(answer.seconds for answer in at_once + answers) < 0.7 * len(frozen) + 0.6
    assert sum(answer.seconds > 0.2 for answer in answers) <= 4, "once found frozen, it is left alone"


async def test_a_frozen_a_dead_and_a_black_hole_at_once(tmp_path: Path) -> None:
    """Three instances lost in three ways: the fourth answers everybody in time."""
    with black_hole() as hole:
        async with front(tmp_path, holes={1: hole}) as running:
            running.instances[1].mode = "frozen"
            await running.instances[2].stop()
            answers = await play_at_once(running, 40) + await play(running, 40)
    assert_all_answered(answers, {4})


async def test_draining_instances_hand_over(tmp_path: Path) -> None:
    """A 503 goes to the next instance, with the same bytes; only if all say 503 is that the answer."""
    async with front(tmp_path) as running:
        for instance in running.instances[:3]:
            instance.mode = "draining"
        assert_all_answered(await play(running, 40), {4})
        assert {arrival.body for arrival in running.arrivals} == {interaction(user_id) for user_id in range(40)}
        running.instances[3].mode = "draining"
        answers = await play(running, 8)
        assert {(answer.status, answer.body[:12]) for answer in answers} == {(503, b'{"instance":')}


@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500])
async def test_an_instances_own_refusal_passes_unchanged(tmp_path: Path, status: int) -> None:
    """What an instance says is final, body included: nobody else is asked."""
    async with front(tmp_path) as running:
        for instance in running.instances:
            instance.status = status
        answer = await running.post(interaction(0))
        assert (answer.status, answer.body, len(running.arrivals)) == (status, b'{"instance":1}', 1)


@pytest.mark.parametrize("returning", [1, 3])
async def test_the_first_to_return_is_found_within_a_second(tmp_path: Path, returning: int) -> None:
    """With everything down the answer is a quick, plain 502; one instance back, all users are answered within 1 s."""
    async with front(tmp_path) as running:
        assert_all_answered(await play(running, 8), {1, 2, 3, 4})
        for instance in running.instances:
            await instance.stop()
        down = await play(running, 40, pause=0.01)
        assert {(answer.status, answer.headers["content-type"]) for answer in down} == {(502, "application/json")}
        assert max(answer.seconds for answer in down) < 0.5
        await running.instances[returning - 1].start()
        back = time.monotonic()
        while {answer.status for answer in await play(running, 8)} != {200}:
            assert time.monotonic() - back < RETURN_S
        assert_all_answered(await play(running, 40), {returning})


async def test_everything_swallowed_or_frozen_is_still_answered_in_time(tmp_path: Path) -> None:
    """Four black holes, or four frozen instances: a 502 before Discord gives up, and an answer as soon as one can."""
    with contextlib.ExitStack() as stack:
        holes = {number: stack.enter_context(black_hole()) for number in (1, 2)}
        async with front(tmp_path, holes=holes) as running:
            for instance in running.instances[2:]:
                instance.mode = "frozen"
            answers = await play_at_once(running, 12) + await play_at_once(running, 4)
            assert {answer.status for answer in answers} == {502}
            assert max(answer.seconds for answer in answers) < DISCORDS_PATIENCE_S
            running.instances[2].mode = "answering"
            assert_all_answered(await play_at_once(running, 12), {3})


async def test_users_come_home_again(tmp_path: Path) -> None:
    """A home that is back has its users again within about six seconds."""
    async with front(tmp_path) as running:
        await running.instances[1].stop()
        assert (await running.post(interaction(1))).instance != 2
        await running.instances[1].start()
        back = time.monotonic()
        while (await running.post(interaction(1))).instance != 2:
            assert time.monotonic() - back < 7
            await asyncio.sleep(0.02)


async def test_slowness_of_all_is_waited_out(tmp_path: Path) -> None:
    """When all instances take 0.75 s, and so are all resting, everybody is answered: the last resort waits longer."""
    async with front(tmp_path) as running:
        for instance in running.instances:
            instance.delay = 0.75
        await play_at_once(running, 8)
        assert_all_answered(await play_at_once(running, 40), {1, 2, 3, 4})


async def test_one_instance_alone_has_all_the_time(tmp_path: Path) -> None:
    """With nobody to try instead, a single dead instance gives a quick 502 and is found at once when it is back."""
    async with front(tmp_path, 1) as running:
        await running.instances[0].stop()
        assert {answer.status for answer in await play(running, 5)} == {502}
        await running.instances[0].start()
        assert_all_answered(await play(running, 5), {1})
