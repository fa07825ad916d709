"""The running system: what the supervisor or the container engine says, and what each instance says of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from app import VERSION
from ops.checks import OperatorSettings
from ops.doctor.asking import Answer, aside, ask
from ops.doctor.case import Case
from ops.doctor.finding import Finding, fault, not_checked, ok, warning
from ops.doctor.place import Kind
from ops.ports import LOOPBACK, is_free
from ops.processes import holder_of
from ops.status import ProgramStatus

MANY_RESTARTS = 3
RESTART = "./deploy-multi.sh restart"


async def programs(case: Case) -> Sequence[Finding]:
    """What keeps the programs running says of them."""
    place = case.place
    if place.status is not None and place.status.running:
        return [_program(program) for program in place.status.programs]
    if place.kind is Kind.INSIDE:
        return [not_checked("containers", "from within, only what they answer can be seen")]
    findings = []
    if place.status is not None and place.status.problem:
        findings.append(fault("system", place.status.problem, "./deploy-multi.sh stop, then start"))
    else:
        findings.append(warning("system", "nothing of it runs here", "Start it: ./deploy-multi.sh start"))
    return [*findings, *await aside(lambda: _ports(case.settings))]


def _program(program: ProgramStatus) -> Finding:
    if not program.here:
        detail = f"on another host, {program.health}"
        return ok(program.name, detail) if program.well else fault(program.name, detail, "Look on its own host.")
    restarts = f"{program.restarts} restart{'' if program.restarts == 1 else 's'}"
    detail = f"{program.state.lower()}, {program.health or 'no health page'}, {restarts}"
    see = f"See: ./deploy-multi.sh logs {program.name}"
    if not program.well:
        return fault(program.name, detail, see)
    return warning(program.name, detail, f"It keeps ending. {see}") if program.restarts >= MANY_RESTARTS else ok(
        program.name, detail
    )  # fmt: skip


def _ports(settings: OperatorSettings) -> list[Finding]:
    """Nothing of ours runs, so the ports should be free."""
    findings = []
    wanted = [("PUBLIC_PORT", settings.public_host, settings.public_port), ("OPS_PORT", LOOPBACK, settings.ops_port)]
    for variable, host, port in wanted:
        if is_free(port, host):
            findings.append(ok(variable, f"port {port} is free"))
        else:
            detail = f"port {port} is taken by {holder_of(port) or 'another program'}"
            findings.append(fault(variable, detail, f"End it, or set {variable}."))
    return findings


async def instances(case: Case) -> Sequence[Finding]:
    """What each instance says of itself at /health, and whether all are of one version."""
    place = case.place
    if not place.instances:
        if not place.ops:
            return []  # `programs` says that nothing runs
        return await _by_stats(case)
    asked = [ask(case.near, "GET", f"{base}/health", within_s=4.0) for base in place.instances.values()]
    answers = dict(zip(place.instances, await asyncio.gather(*asked), strict=True))
    findings = [_instance(number, answer) for number, answer in answers.items()]
    told = {number: str(answer.object.get("version", "")) for number, answer in answers.items() if answer.object}
    return [*findings, *_one_version(told)]


def _instance(number: int, answer: Answer) -> Finding:
    subject, told = f"instance-{number}, health", answer.object
    see = f"See: ./deploy-multi.sh logs {number}"
    if answer.status == 0:
        return fault(subject, answer.problem, see)
    if told.get("instance") != number:
        detail = f"at its address instance {told.get('instance', '?')} answers ({answer.status})"
        return fault(subject, detail, "Put INSTANCE_ADDRESSES into the order of the instances' ids.")
    failing = [name for name, state in told.items() if state == "failing" and name != "status"]
    if answer.status != 200:
        why = f"{', '.join(failing)} failing" if failing else str(told.get("status", answer.status))
        return fault(subject, f"{answer.status}: {why}", see)
    return _keys(subject, told.get("keys"))


def _keys(subject: str, keys: object) -> Finding:
    """A key that rests is no fault of its instance: others do its work."""
    states = keys if isinstance(keys, dict) else {}
    resting = [f"its {provider} key is {state}" for provider, state in states.items() if state != "ready"]
    if not resting:
        return ok(subject, "well, and so are its keys as far as it knows")
    return warning(subject, f"well, but {', '.join(resting)}", "See docs/operations.md, A key rests.")


async def _by_stats(case: Case) -> list[Finding]:
    """Where the instances can't be reached one by one, ask any of them about all."""
    answer = await ask(case.near, "GET", f"{case.place.ops}/stats", within_s=5.0)
    members = answer.object.get("instances")
    if answer.status != 200 or not isinstance(members, list):
        detail = f"/stats is answered with {answer.status}" if answer.status else answer.problem
        return [fault("instances", detail, "See: ./deploy-multi.sh status")]
    findings, told = [], {}
    for member in members:
        subject = f"instance-{member['instance']}, health"
        if not member.get("alive"):
            see = f"See: ./deploy-multi.sh logs {member['instance']}"
            findings.append(fault(subject, "gives no sign of life", see))
            continue
        told[member["instance"]] = str(member.get("version", ""))
        states = {provider: key.get("state") for provider, key in member.get("keys", {}).items()}
        findings.append(_keys(subject, states))
    return [*findings, *_one_version(told)]


def _one_version(told: Mapping[int, str]) -> list[Finding]:
    if not told:
        return []
    subject, found = "instances, version", set(told.values())
    if found == {VERSION}:
        return [ok(subject, f"all {len(told)} run {VERSION}")]
    shown = ", ".join(f"instance-{number} {version or 'unknown'}" for number, version in sorted(told.items()))
    return [warning(subject, f"{shown}; here is {VERSION}", f"Let all of them run this version: {RESTART}")]
