"""`GET /control/events`: everything as it happens, as server-sent events, for the playground.

Events, each with a JSON object as data:
- `ledger`: one line of the ledger, with its number as the event's id;
- `interaction`: what the user of one interaction sees now, as `GET /control/interactions/{id}` answers it; a press is
  followed by the interaction whose message it was on, which it may have changed or deleted;
- `message`: a user's own message, as `POST /control/messages` answers it;
- `faults`: the rules in force, whenever one is added or taken away;
- `lost`: the reader was too slow and has missed something; it should read everything again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from simulator.ledger import Event
from simulator.world import World

LONGEST_QUEUE = 2000
KEEP_ALIVE_S = 10.0
Show = Callable[[str], "dict[str, Any] | None"]


class _Reader:
    """One reader's queue, and whether something did not fit into it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event] = asyncio.Queue(LONGEST_QUEUE)
        self.lost = False

    def tell(self, event: Event) -> None:
        """Add an event; after one too many nothing more, for the reader has to read everything again anyway."""
        if self.lost:
            return
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            self.lost = True


class EventFeed:
    """Gives every reader of `/control/events` its own queue; costs nothing while nobody reads."""

    def __init__(self, world: World, show: Show) -> None:
        self._world = world
        self._show = show
        self._readers: set[_Reader] = set()
        world.ledger.listen(self._note)

    def publish(self, name: str, data: Any) -> None:
        """Tell every reader something that is not in the ledger."""
        self._note({"event": "", "published": (name, data)})

    def _note(self, event: Event) -> None:
        for reader in self._readers:
            reader.tell(event)

    async def read(self) -> AsyncIterator[str]:
        """Yield events until the reader goes or the simulator ends."""
        reader = _Reader()
        self._readers.add(reader)
        try:
            yield _event("faults", self._faults())
            while not self._world.closing.is_set():
                for piece in self._pieces(await self._next(reader.queue)):
                    yield piece
                if reader.lost and reader.queue.empty():
                    reader.lost = False
                    yield _event("lost", {})
        finally:
            self._readers.discard(reader)

    async def _next(self, queue: asyncio.Queue[Event]) -> list[Event]:
        """Return what there is, waiting for the first; nothing at the end, or if it is time for a sign of life."""
        getting = asyncio.ensure_future(queue.get())
        closing = asyncio.ensure_future(self._world.closing.wait())
        try:
            await asyncio.wait({getting, closing}, timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closing.cancel()
            if not getting.done():
                getting.cancel()
        if not getting.done() or getting.cancelled():
            return []
        found = [getting.result()]
        while not queue.empty() and len(found) < 100:
            found.append(queue.get_nowait())
        return found

    def _pieces(self, events: list[Event]) -> list[str]:
        """Return the lines for some ledger events, and each interaction they concern once, as it is now."""
        if not events:
            return [": still here\n\n"]
        pieces = [_event(*event["published"]) for event in events if "published" in event]
        pieces += [_event("ledger", event, event["n"]) for event in events if "n" in event]
        concerned = dict.fromkeys(str(event["interaction"]) for event in events if event.get("interaction"))
        shown = {one["id"]: one for one in map(self._show, concerned) if one is not None}
        owners = [self._show(str(one["of"])) for one in shown.values() if one["of"] and one["of"] not in shown]
        pieces += [_event("interaction", one) for one in [*shown.values(), *owners] if one is not None]
        if any(event["event"] in ("fault", "fault_removed", "faults_cleared") for event in events):
            pieces.append(_event("faults", self._faults()))
        return pieces

    def _faults(self) -> list[dict[str, Any]]:
        return [rule.describe() for rule in self._world.faults.rules]


def _event(name: str, data: Any, number: int | None = None) -> str:
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {name}\ndata: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"
