"""What the ledger says about a cell. Nothing here was told by the system that is measured.

The use of the key sets is  U = C / A  over the interval [t0, t1) of k whole minutes:

* C counts the provider calls that cost (chat completion, picture, video task) which the simulator admitted in the
  interval and completed with success; a call on a faulty key can't be one.
* A is what the limits allow: k x the requests per minute of each key, summed over the keys that work. No schedule can
  have more admitted: the interval is a union of k windows of a minute, each with at most that many. No allowance is
  made for a queue that is still filling or for calls in flight at the edges: a call counts where it starts.
* A limit per day is one window that holds the whole run, so for MiniMax C counts from the start of the load and A is
  the day's limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.capacity.cells import SETS, Cell, Plan
from bench.capacity.stage import DEAD_SET, LIMITED_SET
from simulator.check import check
from simulator.ledger import Event

MESSAGE, REFUSAL = 4, 4
APOLOGY_MARK = "⚠️"
PER_DAY = "minimax"


@dataclass(frozen=True, slots=True)
class Span:
    """When the load began, and the measured interval, on the ledger's clock."""

    started: float
    t0: float
    t1: float


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

    `calls` and `allowed` are by provider, over the measured interval; `calls_by_set` says who worked. `limited` are
    calls the simulator had to refuse because of a key's limit, `windows_over` those the checker finds in a window over
    a limit. `lost` were accepted but neither answered nor still in the job store at the end; `twice` were answered or
    paid for more than once.
    """

    name: str
    calls: dict[str, int]
    allowed: dict[str, int]
    calls_by_set: dict[str, int]
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
    def done(self) -> int:
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
    calls = _completed(events, span)
    acks = [event for event in events if event["event"] == "acked"]
    answers = _answers(events)
    measured = sorted(seconds for at, seconds, apology in answers.values() if span.t0 <= at < span.t1 and not apology)
    providers = plan.limits(cell.work) or {"openai": 0}
    healthy = SETS - (2 if cell.faults else 0)
    return Result(
        name=cell.name,
        calls={provider: sum(one == provider for one, _ in calls) for provider in providers},
        allowed={provider: healthy * limit for provider, limit in plan.limits(cell.work).items()},
        calls_by_set=dict(sorted(Counter(key for _, key in calls).items())),
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


def _completed(events: Iterable[Event], span: Span) -> list[tuple[str, str]]:
    """Provider and key set of each call that counts."""
    begun: dict[int, float] = {}
    found = []
    for event in events:
        if event["event"] == "provider_call" and event.get("costly") and event.get("admitted"):
            begun[event["n"]] = event["t"]
        elif event["event"] == "provider_done" and event["call"] in begun and _succeeded(event):
            since = span.started if event["provider"] == PER_DAY else span.t0
            if since <= begun[event["call"]] < span.t1:
                found.append((event["provider"], event["key"]))
    return found


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
