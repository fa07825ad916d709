"""Asks each provider, with each key, something that costs nothing.

OpenAI: `GET /models`. Stability: `GET /v1/user/balance`, and `/v1/user/account` for whose key it is. MiniMax has no
balance for a key to ask for: a video task that does not exist is looked up, which an accepted key is told and a
rejected one is not (`base_resp` 1004, 2049).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from app.redaction import excerpt
from ops.doctor.asking import Answer, ask
from ops.doctor.case import Case
from ops.doctor.finding import Finding, fault, not_checked, ok, warning
from ops.doctor.runner import Check

LOW_CREDITS = 10.0
OPENAI_BROKE = ("quota", "credit", "spend_limit", "usage_limit")
WITHIN_S = 10.0
KEYS_AT_ONCE = 4
MINIMAX_REJECTED = (1004, 2049)
MINIMAX_BROKE = (1008,)
MINIMAX_BUSY = (1002, 1039, 1041, 2045, 2056)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a provider said of one key. `account`, if it names one, is who pays for it and whose limits it shares."""

    finding: Finding
    account: str = ""


Judge = Callable[[Case, str, str], Awaitable[Verdict]]


def checks(case: Case) -> list[Check]:
    """Return one check for each provider: its keys are asked side by side."""
    named: list[tuple[str, str, Judge]] = [
        ("OpenAI", "OPENAI_API_KEY", _openai),
        ("Stability", "STABILITY_API_KEY", _stability),
        ("MiniMax", "MINIMAX_API_KEY", _minimax),
    ]
    return [Check(f"keys of {name}", _all_of(name, variable, judge), 45.0) for name, variable, judge in named]


def _all_of(name: str, variable: str, judge: Judge) -> Callable[[Case], Awaitable[Sequence[Finding]]]:
    async def run(case: Case) -> Sequence[Finding]:
        at_once = asyncio.Semaphore(KEYS_AT_ONCE)
        accounts = defaultdict[str, list[int]](list)

        async def one(number: int) -> Finding:
            subject, key = f"{name}, set {number}", case.file.values.get(f"{variable}_{number}", "").strip()
            if not key:
                return not_checked(subject, "its instance runs on another host, which has its key")
            async with at_once:
                verdict = await judge(case, subject, key)
            accounts[f"key {key}"].append(number)
            if verdict.account:
                accounts[f"account {verdict.account}"].append(number)
            return verdict.finding

        findings = await asyncio.gather(*(one(number) for number in range(1, case.file.instance_count + 1)))
        return [*_together(name, findings), *_shared(name, accounts)]

    return run


def _together(name: str, findings: Sequence[Finding]) -> list[Finding]:
    """What is wrong with all of them in the same words, such as a network that is down, is said once."""
    first = findings[0]
    if first.well or any((other.detail, other.advice) != (first.detail, first.advice) for other in findings):
        return list(findings)
    return [replace(first, subject=f"{name}, all sets")]


def _shared(name: str, accounts: dict[str, list[int]]) -> list[Finding]:
    """Limits are per account: what shares one is one limit, however many sets it is written into."""
    told: list[Finding] = []
    said: set[frozenset[int]] = set()
    for why, answered in sorted(accounts.items(), key=lambda entry: not entry[0].startswith("key ")):
        numbers = sorted(answered)
        if len(numbers) < 2 or frozenset(numbers) in said:
            continue
        said.add(frozenset(numbers))
        same = "hold the same key" if why.startswith("key ") else "are of the same organization"
        listed = f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
        detail = f"sets {listed} {same}: one limit, not {_word(len(numbers))}"
        advice = "Take keys of accounts with limits of their own, or count on less."
        told.append(warning(f"{name}, accounts", detail, advice))
    return told


def _word(count: int) -> str:
    return {2: "two", 3: "three", 4: "four"}.get(count, str(count))


async def _get(case: Case, url: str, key: str) -> Answer:
    headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
    return await ask(case.world, "GET", url, headers=headers, within_s=WITHIN_S)


def _rejected(subject: str, provider: str, status: int) -> Finding:
    return fault(subject, f"{provider} rejects the key ({status})", _replace(subject))


def _replace(subject: str) -> str:
    provider, _, number = subject.partition(", set ")
    return f"Put a valid key into {provider.upper()}_API_KEY_{number}, then: ./deploy-multi.sh restart"


def _otherwise(case: Case, subject: str, answer: Answer, variable: str) -> Finding:
    """What all providers have in common when it is neither yes nor no."""
    if answer.status == 0:
        return fault(subject, answer.problem, f"Check this machine's way out, and {variable}.")
    if answer.status == 404:
        return not_checked(subject, f"what is at {variable} has no such page; a call that costs would tell")
    if answer.status == 429:
        return warning(subject, "the key is valid, and told to wait (429)", "It cools down; others take its jobs.")
    said = excerpt(answer.text, case.secrets, limit=120)
    return warning(subject, f"answered with {answer.status}: {said}", "Try again; see the provider's status page.")


async def _openai(case: Case, subject: str, key: str) -> Verdict:
    answer = await _get(case, f"{case.settings.openai_base_url}/models", key)
    account = answer.headers.get("openai-organization", "")
    return Verdict(_openai_finding(case, subject, answer), account)


def _openai_finding(case: Case, subject: str, answer: Answer) -> Finding:
    error = answer.object.get("error")
    error = error if isinstance(error, dict) else {}
    if answer.status in (401, 403) and "missing scopes" in str(error.get("message", "")).lower():
        advice = "Give it Models: read as well, or leave it; chat needs Model capabilities: write."
        return warning(subject, "accepted, but may not list models, so it is not known what it may do", advice)
    if answer.status in (401, 403):
        return _rejected(subject, "OpenAI", answer.status)
    code = str(error.get("code"))
    if any(word in code for word in OPENAI_BROKE):
        detail = f"accepted, but out of credit ({excerpt(code, case.secrets, limit=60)})"
        return fault(subject, detail, "Pay in at platform.openai.com, Billing.")
    if answer.status != 200:
        return _otherwise(case, subject, answer, "OPENAI_BASE_URL")
    listed = answer.object.get("data")
    listed = listed if isinstance(listed, list) else []
    models = {str(model.get("id")) for model in listed if isinstance(model, dict)}
    wanted = dict.fromkeys([case.settings.openai_model, *case.settings.chat_models])
    if missing := [model for model in wanted if model not in models]:
        detail = f"accepted, but its {len(models)} models do not include {', '.join(missing)}"
        return warning(subject, detail, "Correct OPENAI_MODEL or CHAT_MODELS, or ask for access to the model.")
    return ok(subject, f"accepted, with {case.settings.openai_model}")


async def _stability(case: Case, subject: str, key: str) -> Verdict:
    answer = await _get(case, f"{case.settings.stability_base_url}/v1/user/balance", key)
    if answer.status in (401, 403):
        return Verdict(_rejected(subject, "Stability", answer.status))
    credits = answer.object.get("credits")
    if answer.status != 200 or not isinstance(credits, int | float):
        return Verdict(_otherwise(case, subject, answer, "STABILITY_BASE_URL"))
    detail = f"accepted, {credits:,.1f} credits left"
    advice = "Buy credits at platform.stability.ai/account/credits."
    account = await _stability_account(case, key)
    if credits <= 0:
        return Verdict(fault(subject, detail, advice), account)
    return Verdict(warning(subject, detail, advice) if credits < LOW_CREDITS else ok(subject, detail), account)


async def _stability_account(case: Case, key: str) -> str:
    """Who pays: the organization that is used unless a call names another, or else the user."""
    told = (await _get(case, f"{case.settings.stability_base_url}/v1/user/account", key)).object
    listed = told.get("organizations")
    for organization in listed if isinstance(listed, list) else []:
        if isinstance(organization, dict) and organization.get("is_default"):
            return str(organization.get("id") or "")
    return str(told.get("id") or "")


async def _minimax(case: Case, subject: str, key: str) -> Verdict:
    answer = await _get(case, f"{case.settings.minimax_base_url}/v1/query/video_generation?task_id=0", key)
    told = answer.object.get("base_resp")
    code = told.get("status_code") if isinstance(told, dict) else None
    if answer.status in (401, 403) or code in MINIMAX_REJECTED:
        advice = f"{_replace(subject)}; a key of one region is not valid in another: see MINIMAX_BASE_URL."
        return Verdict(fault(subject, f"MiniMax rejects the key ({code or answer.status})", advice))
    if code in MINIMAX_BROKE:
        return Verdict(fault(subject, "accepted, but out of credit (1008)", "Pay in at platform.minimax.io, Billing."))
    if code in MINIMAX_BUSY:
        return Verdict(warning(subject, f"accepted, and told to wait ({code})", "It cools down; others take its jobs."))
    if code is None:
        return Verdict(_otherwise(case, subject, answer, "MINIMAX_BASE_URL"))
    return Verdict(ok(subject, "accepted; MiniMax tells a key no balance"))
