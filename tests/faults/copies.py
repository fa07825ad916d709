"""Copies of the tree with a patch applied: our own code, made wrong or made to fail, never a switch in the product."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from ops.envfile import ROOT

PATCHES = Path(__file__).parent / "mutants"
PARTS = ("app", "ops", "proxy", "simulator")
MUTANTS = ("ack_before_record", "dedupe_off", "post_instead_of_patch", "no_fencing", "finish_before_answer")
LOST_ANSWERS = "lost_answers"
"""Not a mutant: the store does what it was asked, and says that it could not."""


def patch_of(name: str) -> Path:
    """Return the file of a patch."""
    return PATCHES / f"{name}.patch"


def patched_copy(place: Path, name: str) -> Path:
    """Copy what runs into `place` and apply a patch; raise `AssertionError` if it no longer fits the code."""
    place.mkdir(parents=True)
    for part in PARTS:
        shutil.copytree(ROOT / part, place / part)  # with what is compiled: times of change are copied too
    refused = apply(place, name)
    assert not refused, f"{name}.patch does not fit the code any more:\n{refused}"
    return place


def apply(place: Path, name: str, *, only_check: bool = False) -> str:
    """Apply a patch to the tree at `place`; return what git has against it."""
    command = ["git", "apply", *(["--check"] if only_check else []), str(patch_of(name))]
    # Below a checkout git would take the paths for the checkout's own and pass over them in silence.
    environment = {"GIT_CEILING_DIRECTORIES": str(place.parent), "PATH": "/usr/bin:/bin:/usr/local/bin"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""
