"""`deploy-multi.sh demo`: the whole system against the simulator, a tour through all commands, then an open house."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table

from ops import native
from ops.demo_stage import Stage, build_stage
from ops.envfile import ROOT
from ops.failures import Exit, OpsError
from ops.health import get_json
from ops.operator import Switchboard
from ops.processes import wait_for
from ops.shutdown import Say, stop
from ops.status import addresses
from ops.system import Paths, System, only_one
from ops.tour import Tour
from ops.tour_stops import Visit, users, visits_of

STOPS = len(visits_of(users(1)[0]))
ACQUAINTED_WITHIN_S = 10.0
WIDTHS = {"command": 24, "user": 8, "ack": 6}
"""Columns of the tour's table that need more than their heading's width."""


def run_demo(*, once: bool, tour: bool = True, out: Console, say: Say) -> int:
    """Start, play, and with `once` end; otherwise stay until Ctrl-C. Nothing is left behind either way."""
    data_dir = Path(tempfile.mkdtemp(prefix="quartet-demo-")) if once else ROOT / "data" / "demo"
    paths = Paths(data_dir.resolve())
    if native.running(paths):
        raise OpsError(
            "A demo runs already.", hint=f"To end it: ./deploy-multi.sh stop --env-file {data_dir}/.env.multi"
        )
    with _asked_to_end() as asked:
        try:
            with Switchboard() as board:
                stage, system = set_up(paths, board, say)
                right = register(stage, say) and (not tour or _play(stage, system, out, say))
                if not once:
                    _stay(stage, system, out, asked)
        finally:
            asked.set()  # from here on Ctrl-C changes nothing any more
            say("Stopping ...")
            stop(paths, lambda _: None)
            shutil.rmtree(data_dir, ignore_errors=True)
    return Exit.OK if right else Exit.FAILED


def set_up(paths: Paths, board: Switchboard, say: Say) -> tuple[Stage, System]:
    """Start simulator, instances and nginx below `paths`; what runs there is the caller's to stop."""
    with only_one(paths):
        stop(paths, lambda _: None)  # a demo that was killed may have left something
        stage = build_stage(paths.data_dir, board)
        system = native.start(stage.file, stage.settings, say, (stage.simulator_url, stage.simulator_command))
    board.connect(system)
    return stage, system


@contextmanager
def _asked_to_end() -> Iterator[threading.Event]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a KeyboardInterrupt, so that everything is cleared away."""
    asked = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        if not asked.is_set():  # a second Ctrl-C must not interrupt the clearing away
            asked.set()
            raise KeyboardInterrupt

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def register(stage: Stage, say: Say) -> bool:
    """Register the commands with the simulated Discord, as an operator does with the real one."""
    script = [sys.executable, str(ROOT / "scripts" / "register_commands.py"), "--env-file", str(stage.file.path)]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        say(f"The commands could not be registered:\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def _play(stage: Stage, system: System, out: Console, say: Say) -> bool:
    say(f"Playing all commands, buttons and menus for a user of each instance: {STOPS} stops each ...")
    # Each instance learns of the others by their heartbeats, a second or two after its own start.
    everyone = list(range(1, len(system.ports) + 1))
    pages = [f"http://127.0.0.1:{port}/stats" for port in system.ports]
    wait_for(lambda: all((get_json(page) or {}).get("alive") == everyone for page in pages), ACQUAINTED_WITHIN_S)
    tour = Tour(
        stage.simulator_url,
        stage.control_token,
        addresses(system)["interactions"],
        system.ops_url,
        len(system.ports),
    )
    visits = tour.play(lambda visit: say(f"  {visit.title} for {visit.user.id}: {_verdict(visit)}"))
    out.print(_table(visits))
    wrong = [visit for visit in visits if visit.problems]
    for visit in wrong:
        out.print(f"{visit.title} for {visit.user.id}: {'; '.join(visit.problems)}", style="red", markup=False)
    complete = len(visits) == STOPS * len(system.ports)
    out.print(
        f"{len(visits) - len(wrong)} of {len(visits)} answers are right.",
        style="red" if wrong else "green",
        markup=False,
    )
    return complete and not wrong


def _verdict(visit: Visit) -> str:
    return "; ".join(visit.problems) or (f"right, after {visit.answer_s:.2f} s" if visit.answer_s else "right")


def _table(visits: Sequence[Visit]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("command", "user", "where", "home", "served by", "key set", "ack", "answer after", "", "answer"):
        right = heading in ("ack", "answer after")
        # Only the answer gives way, and of an id the end.
        width = None if heading == "answer" else WIDTHS.get(heading, max(1, len(heading)))
        table.add_column(
            heading, justify="right" if right else "left", min_width=width, no_wrap=True, overflow="ellipsis"
        )
    for visit in visits:
        table.add_row(
            visit.title,
            str(visit.user.id),
            f"{visit.user.place}, {visit.user.locale[:2]}",
            str(visit.user.home),
            str(visit.served_by or "-"),
            visit.key_set or "-",
            f"{visit.ack_ms:.0f} ms" if visit.ack_ms is not None else "-",
            f"{visit.answer_s:.2f} s" if visit.answer_s is not None else "-",
            "[red]✗[/]" if visit.problems else "[green]✓[/]",
            visit.answer[:44].replace("[", r"\["),
        )
    return table


def _stay(stage: Stage, system: System, out: Console, asked: threading.Event) -> None:
    out.print(f"\nPlay yourself:  {stage.page}", markup=False)
    for name, url in addresses(system).items():
        out.print(f"{name.capitalize() + ':':<16}{url}", markup=False)
    out.print("Ctrl-C ends the demo.")
    try:
        asked.wait()
    except KeyboardInterrupt:
        return
