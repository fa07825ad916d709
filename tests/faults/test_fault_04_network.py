"""Fault 4: the network between the instances and the outside resets, swallows or delays everything."""

from __future__ import annotations

import pytest

from tests.faults.load import THINKING, chats, play
from tests.faults.network import FaultyNetwork, Mode, faulty_network
from tests.faults.trial import Trial

NUMBER = 4
TITLE = "network: reset, black hole, 500 ms lag"
HEALS_S = 5.0
THINKING_S = 2.7
MODES: tuple[Mode, ...] = ("reset", "black_hole", "lag")

pytestmark = [pytest.mark.faults_full, pytest.mark.processes, pytest.mark.nginx, pytest.mark.timeout(3000)]


async def test_a_failing_network_loses_nobody_and_heals_by_itself(trial: Trial) -> None:
    """Everyone accepted is answered once, acks do not wait for the outside, and work goes on soon after it heals."""
    rounds, seconds, rate = trial.size((1, 4.0, 6.0), (10, 30.0, 6.0))
    modes = [trial.rng.choice(MODES) for _ in range(rounds)] if trial.full else list(MODES)
    async with faulty_network() as discord, faulty_network() as providers:
        async with trial.stage(simulator=THINKING, settings=behind(discord, providers)) as (running, judge):
            discord.target = providers.target = running.base + 2
            record, healed, failed = trial.record, [], []
            for mode in modes:
                hit = trial.rng.choice([(discord,), (providers,), (discord, providers)])
                names = " and ".join({discord: "Discord", providers: "providers"}[network] for network in hit)
                running.note(f"{mode} to {names}")
                for network in hit:
                    network.set(mode)
                asks = chats(trial.rng, int(rate * seconds), rate)
                failed += (await play(running.control, running.interactions, asks)).failed
                for network in hit:
                    network.set("open")
                opened = running.note("the network is whole again").t
                probe = await play(running.control, running.interactions, chats(trial.rng, 4, 20.0))
                ids = {made["id"] for made in probe.asked}
                await judge.settled(120)
                finals = [e for e in judge.of("webhook", status=200) if e.get("final") and e["interaction"] in ids]
                healed.append(max(e["t"] for e in finals) - opened)
            await trial.verdict(running, judge, settle_s=120)
        record.figures |= {"new_questions_answered_after_healing_s": [round(s, 2) for s in healed]}
        record.timed("every interaction was acked", not failed, [one["ack"] for one in failed][:5])
        record.timed(f"heals within {HEALS_S:g} s", max(healed) <= HEALS_S + THINKING_S, healed)
    record.require()


def behind(discord: FaultyNetwork, providers: FaultyNetwork) -> dict[str, str]:
    """The instances' settings for reaching the simulator through these."""
    urls = {network: f"http://127.0.0.1:{network.port}" for network in (discord, providers)}
    return {
        "DISCORD_API_URL": f"{urls[discord]}/discord/api/v10",
        "OPENAI_BASE_URL": f"{urls[providers]}/openai/v1",
        "STABILITY_BASE_URL": f"{urls[providers]}/stability",
        "MINIMAX_BASE_URL": f"{urls[providers]}/minimax",
    }
