"""What the ledger says about a cell. Nothing here was told by the system that is measured.

The use of the key sets is  U = C / A  over an interval of k whole minutes:

* C counts the provider calls that cost (chat completion, picture, video task) which the simulator admitted in the
  interval and completed with success; a call on a faulty key can't be one.
* A is what the limits allow: k x the requests per minute of each key, summed over the keys that work. No schedule can
  have more admitted: the interval is a union of k windows of a minute, each with at most that many. No allowance is
  made for a queue that is still filling or for calls in flight at the edges: a call counts where it starts.
* At saturation keys work in bursts (all of a minute's calls as fast as they come, then none), so C depends on where in
  a burst the interval begins. C is therefore the mean over all intervals that begin within one minute, [t0, t0 + 60 s):
  each call counts with the share of these intervals that it lies in. A mean of numbers that are at most A is at most A.
* A limit per day is one window that holds the whole run, so for MiniMax C counts every call of the load and A is the
  day's limit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.capacity.cells import SETS, WINDOW_S, Cell, Plan, Work
from bench.capacity.stage import DEAD_SET, LIMITED_SET
from simulator.check import check
from simulator.ledger import Event

MESSAGE, REFUSAL = 4, 4
APOLOGY_MARK = "⚠️"
PER_DAY = ("minimax",)
ALL = ("openai",)
"""Providers of which the whole run counts: where a limit is per day, or where none is reached."""


@dataclass(frozen=True, slots=True)
class Span:
    """When the load began, when the first measured interval begins, and when the last ends, on the ledger's clock."""

    started: float
    t0: float
    t1: float

    def share(self, t: float) -> float:
        """Return the share of the measured intervals (of k minutes, beginning in the minute from t0) that hold `t`."""
        length = self.t1 - self.t0 - WINDOW_S
        return max(0.0, min(t, self.t0 + WINDOW_S) - max(t - length, self.t0)) / WINDOW_S


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the machine was in the measured interval. `system_cores`: processor seconds per second of this cell's
    own processes; `machine_busy`: share of all cores in use, by anybody; `late_ms`: the latest departure of an
    interaction, compared with the plan."""

    system_cores: float = 0.0
    machine_busy: float = 0.0
    late_ms: float = 0.0
    unsent: int = 0


@dataclass(slots=True)
class Result:
    """One cell's figures. Times in seconds; `p50_s` and `p95_s` are None if nothing was answered in the interval.

    `calls` (C) and `allowed` (A) are by provider; `calls_by_set` says who did them. Answer times are of answers,
    without apologies, that came between t0 and t1. `limited` are calls the simulator had to refuse because of a key's
    limit, `windows_over` those the checker finds in a window over a limit. `lost` were accepted but neither answered
    nor still in the job store at the end; `twice` were answered or paid for more than once.
    """

    name: str
    calls: dict[str, float]
    allowed: dict[str, int]
    calls_by_set: dict[str, float]
    sent: int
    accepted: int
    refused: int
    failed_acks: int
    answered: int
    apologies: int
    waiting: int
    p50_s: float | None
    p95_s: float | None
    limited: int
    windows_over: int
    faulty_calls: int
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    late_acks: int = 0
    load: Load = field(default_factory=Load)

    @property
    def done(self) -> float:
        """Calls done, of all providers."""
        return sum(self.calls.values())

    @property
    def use(self) -> float | None:
        """Use of the key sets, None where their limits play no part."""
        return self.done / sum(self.allowed.values()) if self.allowed else None

    def use_of(self, provider: str) -> float:
        """Use of one provider's keys."""
        return self.calls[provider] / self.allowed[provider]


def judge(
    cell: Cell, plan: Plan, events: Sequence[Event], span: Span, still_open: Collection[str], load: Load
) -> Result:
    """Read a cell's whole ledger. `still_open` are the interactions that wait in the job store at the end."""
    report = check(events)
    calls, by_set = _completed(events, span, whole=ALL if cell.work is Work.RUSH else PER_DAY)
    acks = [event for event in events if event["event"] == "acked"]
    answers = _answers(events)
    measured = sorted(seconds for at, seconds, apology in answers.values() if span.t0 <= at < span.t1 and not apology)
    providers = plan.limits(cell.work) or {"openai": 0}
    healthy = SETS - (2 if cell.faults else 0)
    return Result(
        name=cell.name,
        calls={provider: round(calls[provider], 2) for provider in providers},
        allowed={provider: healthy * limit for provider, limit in plan.limits(cell.work).items()},
        calls_by_set={key: round(by_set[key], 2) for key in sorted(by_set)},
        sent=sum(event["event"] == "sent" for event in events),
        accepted=sum(event.get("type") != MESSAGE for event in acks),
        refused=sum(event.get("type") == REFUSAL for event in acks),
        failed_acks=sum(event["event"] == "ack_failed" for event in events),
        answered=sum(not apology for _, _, apology in answers.values()),
        apologies=sum(apology for _, _, apology in answers.values()),
        waiting=len(still_open),
        p50_s=quantile(measured, 0.5),
        p95_s=quantile(measured, 0.95),
        limited=sum(str(event.get("outcome", "")).startswith("over_") for event in events),
        windows_over=sum(fault["calls_over"] for fault in report.over_budget if _counts(fault, cell)),
        faulty_calls=sum(_is_faulty(event) for event in events),
        lost=[name for name in report.lost if name not in still_open],
        twice=sorted({*report.twice, *report.changed_after_final, *_paid_twice(events)}),
        late_acks=len(report.late),
        load=load,
    )


def _completed(
    events: Iterable[Event], span: Span, *, whole: Collection[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return C by provider and by key set."""
    begun: dict[int, float] = {}
    calls: dict[str, float] = defaultdict(float)
    by_set: dict[str, float] = defaultdict(float)
    for event in events:
        if event["event"] == "provider_call" and event.get("costly") and event.get("admitted"):
            begun[event["n"]] = event["t"]
        elif event["event"] == "provider_done" and event["call"] in begun and _succeeded(event):
            t = begun[event["call"]]
            counted = float(span.started <= t < span.t1) if event["provider"] in whole else span.share(t)
            calls[event["provider"]] += counted
            by_set[event["key"]] += counted
    return calls, by_set


def _succeeded(event: Event) -> bool:
    return bool(event["status"] == 200 and event["outcome"] == "ok")


def _is_faulty(event: Event) -> bool:
    return event["event"] == "provider_call" and "fault" in event


def _counts(fault: Mapping[str, str], cell: Cell) -> bool:
    """A call that a faulty key refused used nothing of its limit, so its windows say nothing."""
    return not (cell.faults and fault["key"] in (DEAD_SET, LIMITED_SET))


def _answers(events: Iterable[Event]) -> dict[str, tuple[float, float, bool]]:
    """For each interaction that was accepted: when its final outcome came, after how long, and if it is an apology."""
    sent: dict[str, float] = {}
    found: dict[str, tuple[float, float, bool]] = {}
    for event in events:
        name = event.get("interaction", "")
        if event["event"] == "sent":
            sent.setdefault(name, event["t"])
        elif event["event"] == "webhook" and event.get("final") and "visible" in event and name not in found:
            apology = str(event.get("head", "")).startswith(APOLOGY_MARK)
            found[name] = (event["t"], event["t"] - sent[name], apology)
    return found


def _paid_twice(events: Iterable[Event]) -> list[str]:
    """Digests of prompts that were worked on more than once with success, by one provider or by several."""
    paid = Counter(
        event["prompt"]
        for event in events
        if event["event"] == "provider_done" and event.get("costly") and "prompt" in event and _succeeded(event)
    )
    return [prompt for prompt, count in paid.items() if count > 1]


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return a quantile of ascending values by nearest rank, None if there are none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
