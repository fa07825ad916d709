"""Two hosts with two instances and an nginx each, one store: what each does, and what is left when one is cut off."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from ops.nginx import find_nginx
from simulator.config import Speed
from simulator.discord_state import Interaction
from tests.integration.ledger_kit import calls, judged
from tests.integration.many_machines_kit import Machines, machines, namespaces_work
from tests.kit.running import simulator_config
from tests.kit.waiting import wait_until
from tests.redis_kit import require_redis

pytestmark = [
    pytest.mark.processes,
    pytest.mark.nginx,
    pytest.mark.skipif(find_nginx() is None, reason="nginx with njs is not installed"),
    pytest.mark.timeout(180),
]

ACK_S = 3.0
TAKEN_OVER_S = 20.0


async def ask(both: Machines, host: int, user: int, words: str) -> Interaction:
    """Ask through the nginx of a host; Discord's own limit for the first answer holds."""
    before = time.monotonic()
    asked = await both.sim.discord.interact(both.hosts[host].interactions, "채팅", {"질문": words}, user_id=user)
    assert time.monotonic() - before < ACK_S, f"user {user}'s first answer took too long"
    return asked


def answered(asked: Interaction, words: str) -> bool:
    """Whether the user sees an answer to the question."""
    return asked.message is not None and words in asked.message.content


@pytest.mark.parametrize("namespaces", [True, False], ids=["cable pulled", "frozen"])
async def test_a_host_that_is_cut_off_is_missed_by_nobody(tmp_path: Path, namespaces: bool) -> None:
    """Each nginx serves the users of all homes, each home with its own keys. When the second host leaves the network in
    the middle of its answers, the first one gives them, and every new question is taken within 3 s; when it is back it
    serves its homes again, and nobody ever saw two answers.
    """
    require_redis()
    if namespaces and not namespaces_work():
        pytest.skip("network namespaces can't be made here")
    config = simulator_config(4, speed=Speed(ttft_s=0.2))
    async with machines(tmp_path, config, namespaces=namespaces) as both:
        await asyncio.gather(*(host.start() for host in both.hosts))
        await _all_see_each_other(both)
        await _every_home_by_every_nginx(both)

        before = len(calls(both.sim, "openai"))
        under_way = [await ask(both, 0, user, "under way #seconds=6") for user in (102, 103, 106, 107)]
        await wait_until(lambda: len(calls(both.sim, "openai")) == before + len(under_way), 20, "all are at work")
        assert {"set-3", "set-4"} <= {call["key"] for call in calls(both.sim, "openai")[before:]}
        both.hosts[1].cut_off()
        await _the_first_host_alone(both, under_way)

        both.hosts[1].bring_back()
        await _all_see_each_other(both)
        back = len(calls(both.sim, "openai"))
        again = await ask(both, 1, 203, "again")
        await again.final(20)
        assert answered(again, "again")
        assert [call["key"] for call in calls(both.sim, "openai")[back:]] == ["set-4"]
        judged(both.sim)


async def _all_see_each_other(both: Machines) -> None:
    """Both hosts say that all four instances are well, whoever runs them."""

    async def all_well() -> bool:
        seen = [await host.status() for host in both.hosts]
        return all(told[f"instance-{k}"]["health"] == "healthy" for told in seen for k in range(1, 5))

    await wait_until(all_well, 40, "both hosts see four instances")
    first, second = [await host.status() for host in both.hosts]
    assert [first[f"instance-{k}"]["here"] for k in range(1, 5)] == [True, True, False, False]
    assert [second[f"instance-{k}"]["here"] for k in range(1, 5)] == [False, False, True, True]


async def _every_home_by_every_nginx(both: Machines) -> None:
    for host in (0, 1):
        before = len(calls(both.sim, "openai"))
        asked = [await ask(both, host, 100 + user, f"question {user}") for user in range(4)]
        await asyncio.gather(*(each.final(20) for each in asked))
        assert all(answered(each, f"question {user}") for user, each in enumerate(asked))
        used = sorted(call["key"] for call in calls(both.sim, "openai")[before:])
        assert used == ["set-1", "set-2", "set-3", "set-4"], "every home answers its own users with its own keys"


async def _the_first_host_alone(both: Machines, under_way: list[Interaction]) -> None:
    before = len(calls(both.sim, "openai"))
    asked = [await ask(both, 0, 200 + user, f"question {user}") for user in range(4)]
    await asyncio.gather(*(each.final(TAKEN_OVER_S) for each in [*asked, *under_way]))
    assert all(answered(each, f"question {user}") for user, each in enumerate(asked))
    assert all(answered(each, "under way") for each in under_way)
    used = {call["key"] for call in calls(both.sim, "openai")[before:]}
    assert used <= {"set-1", "set-2"}, "whoever is cut off calls nobody"
