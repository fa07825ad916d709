"""A measurement starts the real program and counts what it kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.contestants import BARE, CONTESTANTS, QUARTET
from bench.interactions import Signer, presigned
from bench.measure import Plan, measure
from bench.processes import ServerFailed

PLAN = Plan(seconds=0.2, connections=4, warm_up_s=0.1)

pytestmark = pytest.mark.processes


def test_every_ack_of_a_killed_instance_is_on_disk() -> None:
    """The instance acked, was killed at once, and its file holds exactly what was acked."""
    signer = Signer.make()
    seen = measure(CONTESTANTS[QUARTET], presigned(signer, 3000), signer, PLAN)
    assert (seen.lost, seen.unasked, seen.errors) == (0, 0, 0)
    assert seen.acks > 0
    assert seen.cpu_us > 0


def test_an_ack_that_is_not_on_disk_is_found() -> None:
    """A server that answers without recording is told apart: each of its acks is lost."""
    forgetful = replace(CONTESTANTS[BARE], recorded=lambda _directory: ["1", "2"])
    signer = Signer.make()
    seen = measure(forgetful, presigned(signer, 4000), signer, PLAN)
    assert seen.lost is not None
    assert seen.lost >= seen.acks > 0
    assert seen.unasked == 2


def test_a_server_that_ends_is_told_with_its_last_words() -> None:
    """Nobody waits for a server that is gone, and its output says why."""
    broken = replace(CONTESTANTS[BARE], arguments=lambda _port, _signer: ["-c", "raise SystemExit('no such luck')"])
    signer = Signer.make()
    with pytest.raises(ServerFailed, match="no such luck"):
        measure(broken, presigned(signer, 1), signer, PLAN)
