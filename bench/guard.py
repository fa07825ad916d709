"""Fails on a gross loss of speed only: processor time for an ack against the bare server's, a few seconds a pair."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from bench.contestants import BARE, CONTESTANTS, QUARTET
from bench.interactions import Signer, presigned
from bench.measure import Measurement, Plan, measure
from bench.processes import ServerFailed

LEAST = 0.6
"""Of the bare server's speed. By processor time an instance has 0.62 to 0.8 of it, whatever the neighbours do."""

GOOD_PAIRS, PAIRS = 2, 5
"""So many pairs at or above `LEAST` are enough, of so many at most.

A neighbour moves a single pair by a tenth up or down. A true loss of half the speed is three such steps away from
passing, and would have to be lucky twice; a sound instance would have to be unlucky four times out of five to fail.
"""

PLAN = Plan(seconds=1.2, connections=64, warm_up_s=0.8)
SIGNED = 20_000


def main(arguments: Sequence[str]) -> int:
    """Measure pairs until the verdict is clear; 1 if the speed is lost, or an acked interaction is."""
    parser = argparse.ArgumentParser(prog="bench guard", description=__doc__)
    parser.add_argument("--at-least", type=float, default=LEAST, help=f"of the bare server's speed (default {LEAST})")
    wanted = parser.parse_args(arguments)
    if not hasattr(os, "sched_setaffinity"):
        print("Skipped: processes are kept on one core only on Linux.")
        return 0
    signer = Signer.make()
    ratios: list[float] = []
    while (passed := verdict(ratios, wanted.at_least)) is None:
        requests = presigned(signer, SIGNED)
        try:
            ours, bare = (measure(CONTESTANTS[name], requests, signer, PLAN) for name in (QUARTET, BARE))
        except ServerFailed as error:  # a machine so busy that a start takes half a minute
            print(error, flush=True)
            ratios.append(0.0)
            continue
        if ours.lost:
            print(f"{ours.lost} acked interactions are not on disk.")
            return 1
        ratios.append(ratio(ours, bare))
        print(f"{QUARTET} {ours.cpu_us:.0f} µs/ack, {BARE} {bare.cpu_us:.0f} µs/ack: {ratios[-1]:.2f}", flush=True)
    told = f"{GOOD_PAIRS} of {len(ratios)} pairs reach" if passed else f"fewer than {GOOD_PAIRS} of {PAIRS} pairs reach"
    print(f"{told} {wanted.at_least:.2f} of the bare server's speed.")
    return 0 if passed else 1


def ratio(ours: Measurement, bare: Measurement) -> float:
    """Return the bare server's processor time for an ack over ours; 0, which never passes, for a run with errors."""
    sound = ours.acks and bare.acks and ours.cpu_us and not ours.errors and not bare.errors
    return bare.cpu_us / ours.cpu_us if sound else 0.0


def verdict(ratios: Sequence[float], least: float) -> bool | None:
    """Say whether the pairs so far pass; None if more are needed."""
    good = sum(value >= least for value in ratios)
    if good >= GOOD_PAIRS:
        return True
    return False if good + PAIRS - len(ratios) < GOOD_PAIRS else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
