"""How soon a user may use a command again.

Kept by the instance that receives the user's interactions, which is the user's home: a cooldown of seconds is not worth
a write. After a failover or a restart a user may be one cooldown early.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from app.clock import Clock

REMEMBERED = 50_000
"""Users and kinds remembered at the most; the oldest are forgotten first."""


class Cooldowns:
    """The last use of each kind of job by each user; `seconds` is the cooldown of each kind."""

    def __init__(self, clock: Clock, seconds: Mapping[str, float]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._last: OrderedDict[tuple[str, str], tuple[float, str]] = OrderedDict()

    def begin(self, user_id: str, kind: str, interaction_id: str) -> float:
        """Count a use and return 0, or return the seconds until the next is allowed; copies of one count once."""
        seconds = self._seconds.get(kind, 0.0)
        if seconds <= 0:
            return 0.0
        now = self._clock.monotonic()
        used_at, by = self._last.get((user_id, kind), (now - seconds, ""))
        left = used_at + seconds - now
        if by == interaction_id:
            return 0.0
        if left > 0:
            return left
        self._last[user_id, kind] = (now, interaction_id)
        self._last.move_to_end((user_id, kind))
        while len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        return 0.0

    def undo(self, user_id: str, kind: str, interaction_id: str) -> None:
        """Take a use back: the interaction was not accepted, so it cost the user nothing."""
        if self._last.get((user_id, kind), (0.0, ""))[1] == interaction_id:
            del self._last[user_id, kind]
