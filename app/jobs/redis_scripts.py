"""The Lua scripts of the job store, one for each of its methods that changes or counts anything (app/jobs/lua)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from app.jobs.job import SUSPECT_AFTER
from app.jobs.redis_engine import PREFIX, Script

DAY_S: Final = 24 * 3600

OPEN_TTL_S: Final = DAY_S
"""How long after its end an open job is kept, if no instance ends it."""

DONE_TTL_S: Final = DAY_S + 3600
"""A finished job is forgotten after a day; should no instance do so, an hour later."""

USER_TTL_S: Final = 2 * DAY_S
"""How long a user's index of jobs outlives the last one."""

WITHDRAWN_TTL_S: Final = 3600

REFUSED_TTL_S: Final = 60
"""Longer than any copy of an interaction is on its way: what one instance refused, no other accepts."""

NEVER: Final = "never"
"""The `repeat` of an open job whose user has had everything forgotten meanwhile: its payload goes when it ends."""

USERS_LOOKED_AT: Final = 256
FEWER_USERS: Final = 64
LOOKS: Final = 500
"""What one lease looks at, however long the queue is: the server does nothing else meanwhile."""

_DIRECTORY = Path(__file__).with_name("lua")

_CONSTANTS: Final = {
    "PREFIX": f"'{PREFIX}:'",
    "ASIDE": "'~'",
    "NEVER": f"'{NEVER}'",
    "OPEN_TTL": OPEN_TTL_S,
    "DONE_TTL": DONE_TTL_S,
    "USER_TTL": USER_TTL_S,
    "WITHDRAWN_TTL": WITHDRAWN_TTL_S,
    "REFUSED_TTL": REFUSED_TTL_S,
    "SUSPECT_AFTER": SUSPECT_AFTER,
    "USERS": USERS_LOOKED_AT,
    "FEWER_USERS": FEWER_USERS,
    "LOOKS": LOOKS,
}


def _load(name: str, *, grows: bool = False) -> Script:
    """Read a script. Only what accepts new work is refused when the memory is full: the rest brings jobs to their end,
    which frees memory."""
    constants = "".join(f"local {constant} = {value}\n" for constant, value in _CONSTANTS.items())
    texts = [(_DIRECTORY / f"{part}.lua").read_text(encoding="utf-8") for part in ("common", name)]
    return Script(constants + "\n".join(texts), grows)


PUT: Final = _load("put", grows=True)
WITHDRAW: Final = _load("withdraw")
LEASE: Final = _load("lease")
LEASE_ONE: Final = _load("lease_one")
UNSERVED: Final = _load("unserved")
RENEW: Final = _load("renew")
CHANGE: Final = _load("change")
RELEASE: Final = _load("release")
STOP: Final = _load("stop")
STOPS: Final = _load("stops")
FINISH: Final = _load("finish")
COUNTS: Final = _load("counts")
HISTORY: Final = _load("history")
FORGET: Final = _load("forget")
FORGET_PAYLOADS: Final = _load("forget_payloads")
TAKE_OVER: Final = _load("take_over", grows=True)
