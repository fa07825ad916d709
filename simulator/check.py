"""Reads a ledger and says exactly what went wrong. `python -m simulator.check FILE` exits 1 on any violation.

Violations (each a list in the report): `lost`, `twice`, `changed_after_final` (both: see simulator/check_story.py),
`late`, `over_budget`, `impatient` (a call before Discord's `retry_after` had passed), `expired` (a call after the
token's end), `after_gone` (a call after 10008 or 50027), `mass_pings`, `foreign_pings` (of anyone but the asker),
`left_open` (answered in one message while another shows progress for ever), `leaks` (a secret in some output, see
simulator/check_secrets.py), and `invalid_requests` where the peak of ten minutes is above the limit. `figures` are
counts that are no verdict by themselves; among them `undeliverable`: interactions whose message a fault took away
(10008, 50027), which nobody can answer any more, `parts`: further messages of long answers, and `late_answers`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.check_keys import KeyLimits, KeyUse, peak_in_window
from simulator.check_secrets import leaks
from simulator.check_story import Story
from simulator.ledger import Event, read_ledger

OWED_TYPES = (4, 5, 7)
GONE_CODES = (10008, 50027)
GONE_FAULTS = ("10008", "50027")
INVALID_WINDOW_S = 600.0


@dataclass(slots=True)
class Report:
    """What the checker found; ids are interaction ids."""

    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    changed_after_final: list[str] = field(default_factory=list)
    late: list[dict[str, Any]] = field(default_factory=list)
    over_budget: list[dict[str, Any]] = field(default_factory=list)
    impatient: list[str] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    after_gone: list[str] = field(default_factory=list)
    mass_pings: list[str] = field(default_factory=list)
    foreign_pings: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    left_open: list[str] = field(default_factory=list)
    invalid_requests: list[int] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def violations(self) -> dict[str, list[Any]]:
        """Return the lists that are not empty."""
        names = ("lost", "twice", "changed_after_final", "late", "over_budget", "impatient", "expired", "after_gone",
                 "mass_pings", "foreign_pings", "left_open", "leaks", "invalid_requests")  # fmt: skip
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    @property
    def ok(self) -> bool:
        """Say whether nothing is wrong."""
        return not self.violations()


class Checker:
    """Takes events in the ledger's order; `report()` may be asked for at any time.

    `limits` maps a provider to limits that replace the recorded ones. Windows are shortened by `slack_s`, since a
    caller counts when it sends and the ledger when a call arrives. `pending_s` spares interactions that are younger
    than that at the ledger's end.
    """

    def __init__(
        self, *, ack_limit_ms: float = 3000.0, limits: dict[str, KeyLimits] | None = None, slack_s: float = 0.25,
        token_lifetime_s: float = 900.0, invalid_limit: int = 100, pending_s: float = 0.0,
    ) -> None:  # fmt: skip
        self._ack_limit_ms = ack_limit_ms
        self._limits = limits or {}
        self._slack_s = slack_s
        self._lifetime_s = token_lifetime_s
        self._invalid_limit = invalid_limit
        self._pending_s = pending_s
        self._stories: dict[str, Story] = {}
        self._keys: dict[tuple[str, str], KeyUse] = {}
        self._invalid: list[float] = []
        self._asked: Counter[str] = Counter()
        self._worked: Counter[tuple[str, str]] = Counter()
        self._counts: Counter[str] = Counter()
        self._acks_ms: list[float] = []
        self._found = Report()
        self._last_t = 0.0

    def feed(self, event: Event) -> None:
        """Take in one event; kinds it does not know are passed over."""
        self._last_t = max(self._last_t, event["t"])
        handler = getattr(self, f"_on_{event['event']}", None)
        if handler is not None:
            handler(event)

    def report(self) -> Report:
        """Return what was found so far."""
        found = self._found
        found.lost = [
            name for name in self.unanswered()
            if self._last_t - self._stories[name].first_sent_t >= self._pending_s
        ]  # fmt: skip
        found.left_open = [name for name, story in self._stories.items() if story.outcome and story.open_messages]
        found.over_budget = [
            fault for use in self._keys.values()
            for fault in use.violations(self._limits.get(use.provider), self._slack_s)
        ]  # fmt: skip
        peak = peak_in_window(self._invalid, INVALID_WINDOW_S)
        found.invalid_requests = [peak] if peak > self._invalid_limit else []
        found.figures = self._figures(peak)
        return found

    def excuse(self, interactions: Iterable[str]) -> None:
        """Don't count these as lost: Discord itself was told to fail until their tokens' end."""
        for name in interactions:
            self._stories[name].taken_away = True

    def unanswered(self) -> list[str]:
        """Return the accepted interactions that have no final outcome yet and still could have one."""
        return [
            name for name, story in self._stories.items()
            if story.owed and not story.outcome and not story.taken_away
        ]  # fmt: skip

    def _on_start(self, event: Event) -> None:
        self._lifetime_s = event.get("token_lifetime_s", self._lifetime_s)
        self._ack_limit_ms = event.get("ack_limit_s", self._ack_limit_ms / 1000) * 1000
        for use in self._keys.values():
            use.restarted(event["t"])

    def _on_sent(self, event: Event) -> None:
        story = self._stories.setdefault(event["interaction"], Story(first_sent_t=event["t"]))
        story.sent += 1
        story.user = story.user or event.get("user", "")
        if event.get("on") in self._stories:
            self._stories[event["on"]].pressed = True
        if story.sent == 1:
            self._asked.update(set((event.get("prompts") or {}).values()))

    def _on_acked(self, event: Event) -> None:
        story = self._story(event)
        story.answered_copies += 1
        story.accepted = True
        story.owed = story.owed or event.get("type") in OWED_TYPES
        self._acks_ms.append(event["ms"])
        if event["ms"] > self._ack_limit_ms:
            self._late(event)
        self._seen(event, story)

    def _on_ack_failed(self, event: Event) -> None:
        self._story(event).answered_copies += 1
        self._counts[f"ack_failed: {event.get('reason', '')[:60]}"] += 1
        if event.get("reason") == "timeout":
            self._late(event)

    def _on_webhook(self, event: Event) -> None:
        self._counts[f"webhook {event['status']}"] += 1
        if event["status"] in (401, 403, 429):
            self._invalid.append(event["t"])
        if "interaction" not in event:
            self._counts["webhook for no interaction"] += 1
            return
        story, name = self._story(event), event["interaction"]
        if event["t"] - event.get("ms", 0.0) / 1000 < story.wait_until:
            self._found.impatient.append(name)
        if event.get("age_s", 0.0) >= self._lifetime_s:
            self._found.expired.append(name)
        if story.gone:
            self._found.after_gone.append(name)
        if "retry_after" in event:
            story.wait_until = event["t"] + event["retry_after"]
        story.gone = story.gone or event.get("code") in GONE_CODES
        # Only a fault asked for is an excuse: an answer that came after the token's own end is a lost one.
        story.taken_away = story.taken_away or event.get("fault") in GONE_FAULTS
        self._pinged(event, story)
        self._seen(event, story)

    def _on_channel_message(self, event: Event) -> None:
        """Take in a message the bot posted itself; with an interaction's id as nonce it is that one's late answer."""
        self._counts[f"channel message {event['status']}"] += 1
        if event["status"] in (401, 403, 429):
            self._invalid.append(event["t"])
        story = self._story(event) if "interaction" in event else Story()
        self._pinged(event, story)
        if "interaction" in event and "message" in event and story.post(event):
            self._found.twice.append(event["interaction"])

    def _on_discord_api(self, event: Event) -> None:
        if event["status"] in (401, 403, 429):
            self._invalid.append(event["t"])

    def _on_key(self, event: Event) -> None:
        self._use(event).recorded = KeyLimits(**event["limits"])

    def _on_provider_call(self, event: Event) -> None:
        if event.get("costly"):
            self._use(event).begin(event["n"], event["t"])
            if event.get("prompt") and event.get("admitted"):
                self._worked[event["prompt"], event["route"]] += 1

    def _on_provider_done(self, event: Event) -> None:
        if event.get("costly"):
            self._use(event).end(event["call"], event["t"])
        if event.get("outcome") == "rejected_key":
            self._counts[f"calls with a rejected key: {event['provider']} {event['key']}"] += 1

    def _seen(self, event: Event, story: Story) -> None:
        """Follow what the user sees in one message."""
        if "visible" in event and "message" in event:
            for fault in story.see(event):
                getattr(self._found, fault).append(event["interaction"])

    def _pinged(self, event: Event, story: Story) -> None:
        pings, name = event.get("pings") or [], event.get("interaction", f"message {event.get('message')}")
        if "everyone" in pings:
            self._found.mass_pings.append(name)
        elif set(pings) - {story.user}:
            self._found.foreign_pings.append(name)

    def _late(self, event: Event) -> None:
        self._found.late.append({"interaction": event["interaction"], "copy": event.get("copy"), "ms": event["ms"]})

    def _story(self, event: Event) -> Story:
        return self._stories.setdefault(event["interaction"], Story(first_sent_t=event["t"]))

    def _use(self, event: Event) -> KeyUse:
        name = (event["provider"], event["key"])
        return self._keys.setdefault(name, KeyUse(*name))

    def _figures(self, invalid_peak: int) -> dict[str, Any]:
        stories = self._stories.values()
        acks = sorted(self._acks_ms)
        extra = {route: 0 for _, route in self._worked}
        for (prompt, route), count in self._worked.items():
            extra[route] += max(0, count - self._asked[prompt]) if self._asked[prompt] else 0
        return {
            "interactions": len(stories),
            "accepted": sum(story.accepted for story in stories),
            "owed": sum(story.owed for story in stories),
            "answered": sum(story.outcome for story in stories),
            "undeliverable": sum(story.owed and story.taken_away and not story.outcome for story in stories),
            "parts": sum(story.parts for story in stories),
            "late_answers": sum(bool(story.posted) for story in stories),
            "never_answered_copies": sum(story.sent - story.answered_copies for story in stories),
            "ack_ms": {"max": acks[-1], "p99": acks[int(len(acks) * 0.99)], "p50": acks[len(acks) // 2]}
            if acks
            else {},
            "extra_provider_calls": extra,
            "invalid_requests_peak": invalid_peak,
            "keys": [use.figures() for use in self._keys.values()],
            "counts": dict(sorted(self._counts.items())),
        }


def check(events: Iterable[Event], **options: Any) -> Report:
    """Check a whole ledger; options as for `Checker`."""
    checker = Checker(**options)
    for event in events:
        checker.feed(event)
    return checker.report()


def _parse_limit(text: str) -> tuple[str, KeyLimits]:
    """Read `openai:rpm=3500,in_flight=10`."""
    provider, _, rest = text.partition(":")
    values = dict(item.split("=", 1) for item in rest.split(",") if item)
    return provider, KeyLimits(**{name: int(value) for name, value in values.items()})


def main() -> int:
    """Check a ledger file and print the report."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator.check", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON")
    parser.add_argument("--limit", action="append", default=[], help="openai:rpm=3500,rpd=1000,in_flight=10")
    parser.add_argument("--invalid-limit", type=int, default=100, help="401, 403 and 429 in ten minutes")
    parser.add_argument("--slack-s", type=float, default=0.25)
    parser.add_argument("--pending-s", type=float, default=0.0)
    parser.add_argument("--secrets", type=Path, help="a file with one secret per line, none of which may be shown")
    parser.add_argument("--output", type=Path, action="append", default=[], help="a file or directory to search")
    args = parser.parse_args()
    report = check(read_ledger(args.ledger), limits=dict(map(_parse_limit, args.limit)), slack_s=args.slack_s,
                   invalid_limit=args.invalid_limit, pending_s=args.pending_s)  # fmt: skip
    if args.secrets:
        report.leaks = leaks([args.ledger, *args.output], args.secrets.read_text("utf-8").splitlines())
    violations = report.violations()
    if args.json:
        print(json.dumps({"ok": report.ok, "violations": violations, "figures": report.figures}, indent=2))
    else:
        for name, found in violations.items():
            print(f"{name}: {len(found)}  {json.dumps(found[:5])}")
        shown = ("interactions", "owed", "answered", "ack_ms")
        print(", ".join(f"{name}: {report.figures[name]}" for name in shown))
        print("ok" if report.ok else "VIOLATED")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
