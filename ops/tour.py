"""The demo's tour: users of all homes do everything there is, and each answer is held against what it has to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2

from ops.health import get_json
from ops.processes import wait_for
from ops.tour_stops import Check, User, Visit, told_by, users, visits_of
from simulator.discord_components import find_action
from simulator.ledger import digest

ANSWER_WITHIN_S = 60.0
ACK_LIMIT_MS = 3000.0
RECORDED_WITHIN_S = 5.0

Shown = Mapping[str, Any]
"""An interaction as the simulator's control API shows it."""


class Tour:
    """Plays the visits through the simulator's control API, and learns from the system who did the work."""

    def __init__(self, simulator_url: str, control_token: str, target: str, ops_url: str, instances: int) -> None:
        self._url = simulator_url
        self._target = target
        self._ops_url = ops_url
        self._instances = instances
        self._http = httpx2.Client(
            headers={"X-Control-Token": control_token}, timeout=ANSWER_WITHIN_S + 15, trust_env=False
        )

    def play(self, on_visit: Callable[[Visit], None]) -> list[Visit]:
        """Let all users go their way at the same time; each does one thing after the other."""
        everyone = users(self._instances)
        with self._http, ThreadPoolExecutor(max_workers=len(everyone)) as pool:
            walks = [pool.submit(self._walk, user, on_visit) for user in everyone]
            return [visit for walk in walks for visit in walk.result()]

    def _walk(self, user: User, on_visit: Callable[[Visit], None]) -> list[Visit]:
        done: list[Visit] = []
        seen: dict[str, Shown] = {}
        for visit, check in visits_of(user):
            try:
                seen[visit.title] = self._visit(visit, check, seen)
            except httpx2.HTTPStatusError as error:
                visit.problems.append(f"the simulator refused: {error.response.text[:200]}")
            except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
                visit.problems.append(f"the simulator could not be asked: {type(error).__name__}: {error}")
            on_visit(visit)
            done.append(visit)
        return done

    def _visit(self, visit: Visit, check: Check, seen: Mapping[str, Shown]) -> Shown:
        user = visit.user
        wish = {
            "user_id": str(user.id),
            "locale": user.locale,
            "place": user.place,
            "target": self._target,
            "wait_s": ANSWER_WITHIN_S,
            **_act(visit, seen),
            **visit.more,
        }
        answer = self._http.post(f"{self._url}/control/interactions", json=wish).raise_for_status()
        shown: dict[str, Any] = answer.json()
        ack, message = shown["ack"] or {}, shown["message"] or {}
        visit.ack_ms = ack.get("ms")
        visit.answer_s = shown["took_ms"] / 1000 if shown["took_ms"] is not None else None
        visit.answer = " ".join(str(message.get("content", "")).split())
        visit.problems += self._ack_faults(visit, ack)
        if not shown["final"]:
            visit.problems.append(f"no answer within {ANSWER_WITHIN_S:.0f} s")
            return shown
        visit.problems += check(visit, message, self._first_file(message))
        self._find_server(visit, shown)
        return shown

    def _find_server(self, visit: Visit, shown: Shown) -> None:
        """Find out who served it: the user's home, or for a job another instance with its own key set."""
        ack = shown["ack"] or {}
        if visit.prompt:
            self._trace(visit, shown["id"])
        else:
            visit.served_by = _number(ack.get("served_by")) or told_by(visit.answer)
            if visit.served_by is None and visit.command != "핑":
                return  # an instant answer that says nothing about its instance, neither in a header nor in its text
        # On a slow machine a free instance may take a job over: that is what it is for, and the table shows it.
        if visit.served_by != visit.user.home and not visit.prompt:
            visit.problems.append(f"served by instance {visit.served_by}, not by the home {visit.user.home}")

    def _ack_faults(self, visit: Visit, ack: dict[str, Any]) -> list[str]:
        if not ack.get("ok"):
            return [f"not acknowledged: {ack.get('reason') or 'no answer'}"]
        return [f"acknowledged after {ack['ms']:.0f} ms"] if ack["ms"] > ACK_LIMIT_MS else []

    def _first_file(self, message: dict[str, Any]) -> bytes:
        attached = message.get("attachments") or []
        return self._http.get(attached[0]["url"]).raise_for_status().content if attached else b""

    def _trace(self, visit: Visit, interaction_id: str) -> None:
        """Find out which instance did the job (from its record) and whose key it used (from the provider's ledger)."""
        found: list[dict[str, Any]] = []

        def recorded() -> bool:
            jobs = (get_json(f"{self._ops_url}/stats") or {}).get("recent_jobs") or []
            found[:] = [job for job in jobs if str(job.get("id")) == interaction_id]
            return bool(found)

        # The user sees the answer a moment before the job is written down as done.
        if not wait_for(recorded, RECORDED_WITHIN_S):
            visit.problems.append("/stats does not list the job")
            return
        visit.served_by = _number(found[0].get("served_by"))
        events = self._http.get(f"{self._url}/control/ledger").raise_for_status().json()
        wanted = digest(visit.prompt)
        # A message's menu asks in words of its own, which name the interaction.
        calls = [e for e in events if e.get("prompt") == wanted or interaction_id in str(e.get("head", ""))]
        sets = {str(event["key"]) for event in calls if event.get("key")}
        visit.key_set = ", ".join(sorted(name.removeprefix("set-") for name in sets))
        if sets != {f"set-{visit.served_by}"}:
            visit.problems.append(
                f"key set {visit.key_set or '(none)'} was used, not that of instance {visit.served_by}"
            )


def _act(visit: Visit, seen: Mapping[str, Shown]) -> dict[str, Any]:
    """Return what is done: a command used, or a component pressed under an earlier answer."""
    if not visit.on:
        return {"command": visit.command, "options": visit.options}
    source = seen[visit.on]
    custom_id = find_action((source["message"] or {}).get("components") or [], visit.action)
    if custom_id is None:
        raise ValueError(f"there is no “{visit.action}” under {visit.on}")
    return {"press": custom_id, "of": source["id"]}


def _number(value: object) -> int | None:
    return int(str(value)) if str(value).isdigit() else None
