"""The report on nginx compares within rounds, gives the load its time back, and judges; the relay counts truly."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from bench import proxy_report
from bench.front import PLAIN, SCRIPTED
from bench.load import load
from bench.processes import ROOT, free_port
from bench.proxy_runs import BEHIND, COUNTED, DIRECT, FOUR, ROUTED, Connections, Seen
from bench.proxy_runs import PLAIN as UNSCRIPTED
from bench.relay import relay
from tests.unit.bench.test_load import DEFERRED, REQUEST, answering

GOOD = Seen(
    name=DIRECT,
    acks=4000,
    errors=0,
    first_error="",
    seconds=1.0,
    acks_per_second=4000.0,
    p50_ms=10.0,
    p99_ms=20.0,
    instances_us=200.0,
    nginx_us=0.0,
    load_s=0.2,
    load_shares=False,
    lost=0,
    unasked=0,
)
COUNT = Connections(clients=64, acks=COUNTED, errors=0, first_error="", at_nginx=64, at_instance=64)


def _round(rate: float = 4000, behind: float = 3200, four: float = 6000, script: float = 15) -> dict[str, Seen]:
    """One round; `script` is what routing adds, and the load of four took 0.4 of 2 core seconds."""
    return {
        DIRECT: replace(GOOD, acks=int(rate), acks_per_second=rate),
        BEHIND: replace(GOOD, name=BEHIND, acks=int(behind), acks_per_second=behind, nginx_us=50.0),
        UNSCRIPTED: replace(GOOD, name=UNSCRIPTED, instances_us=0.0, nginx_us=30.0, lost=None, unasked=None),
        ROUTED: replace(GOOD, name=ROUTED, instances_us=0.0, nginx_us=30.0 + script, lost=None, unasked=None),
        FOUR: replace(GOOD, name=FOUR, acks=int(four), acks_per_second=four, nginx_us=50.0, load_s=0.4,
                      load_shares=True),
    }  # fmt: skip


def test_figures_are_taken_round_by_round() -> None:
    """A round in which the machine was slow as a whole moves no ratio."""
    rounds = [_round(4000, 3200), _round(400, 320), _round(4000, 1000)]
    assert proxy_report.share(rounds).median == pytest.approx(0.8)
    assert proxy_report.cpu_share(rounds).median == pytest.approx(200 / 250)
    assert proxy_report.script_us([_round(script=10), _round(script=30), _round(script=12)]).median == pytest.approx(12)


def test_the_load_of_four_is_given_back_its_share_of_the_cores() -> None:
    """0.4 s of two cores' 2 s: in the 0.8 s that were theirs per core they made 6,000, which is 7,500 a second."""
    assert proxy_report.gain([_round()]).median == pytest.approx(7500 / 4000)
    apart = _round() | {FOUR: replace(_round()[FOUR], load_shares=False)}
    assert proxy_report.gain([apart]).median == pytest.approx(6000 / 4000)
    assert proxy_report.cpu_gain([_round()]).median == pytest.approx(2 * 200 / 250)


def test_each_target_is_judged_by_what_can_be_trusted() -> None:
    """On a quiet machine by rate; where others take the cores by processor time; connections as they were counted."""
    slow = [_round(behind=1000, four=1000)]
    by_rate = proxy_report.targets(slow, COUNT, by_time=False)
    assert [goal.reached for goal in by_rate] == [False, True, True, True, False]
    by_time = proxy_report.targets(slow, COUNT, by_time=True)
    assert [goal.reached for goal in by_time] == [True, True, True, True, True]
    spoilt = proxy_report.targets([_round(script=21)], replace(COUNT, at_instance=3062), by_time=True)
    assert [goal.reached for goal in spoilt] == [True, False, True, False, True]


def test_errors_losses_and_an_incomplete_count_make_the_figures_worthless() -> None:
    """Each is named with its round and run."""
    assert proxy_report.faults([_round()], COUNT) == []
    for spoilt, word in (
        (replace(GOOD, errors=2, first_error="502"), "2 errors"),
        (replace(GOOD, lost=1), "not on disk"),
        (replace(GOOD, unasked=1), "never acked"),
        (replace(GOOD, acks=0), "nothing was acked"),
        (replace(GOOD, load_s=0.9), "load generator"),
    ):
        (fault,) = proxy_report.faults([_round(), _round() | {DIRECT: spoilt}], COUNT)
        assert fault.startswith(f"round 2, {DIRECT}")
        assert word in fault
    (fault,) = proxy_report.faults([_round()], replace(COUNT, acks=9_999))
    assert "9999 of 10000" in fault


def test_every_run_and_every_figure_is_in_the_report_and_the_json() -> None:
    """Whoever doubts a median can compute it anew."""
    rounds = [_round()]
    text = "\n".join(proxy_report.lines(rounds, COUNT))
    assert all(name in text for name in rounds[0])
    assert "64 connections opened at nginx, 64 at the instance" in text
    found = proxy_report.as_json(rounds, COUNT, proxy_report.targets(rounds, COUNT, by_time=False))
    assert found["rounds"][0][FOUR]["acks"] == 6000
    assert found["share"] == {"median": 0.8, "least": 0.8, "most": 0.8}
    assert [goal["reached"] for goal in found["targets"]] == [True] * 5


def test_the_configuration_has_the_line_that_the_plain_nginx_goes_without() -> None:
    """What is measured as the script's cost is this one difference."""
    text = (ROOT / "proxy" / "nginx.conf").read_text()
    assert text.count(SCRIPTED) == 1
    assert PLAIN in text.replace(SCRIPTED, PLAIN)


async def _opened(answers: Sequence[bytes], requests: int, clients: int) -> tuple[int, int]:
    """Send `requests` through a relay; return acks and counted connections."""
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(answering(answers))
        port = free_port()
        counting = await stack.enter_async_context(relay(port, target))
        run = await load(port, [REQUEST] * requests, iter(range(requests)), connections=clients, seconds=30)
        return len(run.acked), counting.opened


async def test_the_relay_counts_each_connection_once_however_many_requests_it_carries() -> None:
    """Ten requests of three clients are three connections."""
    assert await _opened([DEFERRED] * 10, 10, 3) == (10, 3)


async def test_the_relay_hands_on_that_the_target_hung_up() -> None:
    """A server that closes after one answer is seen to close by its client."""
    async with answering([DEFERRED]) as target:
        port = free_port()
        async with relay(port, target):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST)
            assert await reader.readexactly(len(DEFERRED)) == DEFERRED
            writer.write(REQUEST)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
