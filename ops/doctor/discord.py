"""What Discord knows of this application: token, ids, the address it calls, the commands it shows."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx2

from app.commands.registry import definitions
from app.discord.commands_api import CommandsApi, RegistrationError
from app.redaction import excerpt
from ops.doctor.case import TOKENLESS, Case, shown
from ops.doctor.finding import Finding, fault, not_checked, ok, warning

SUBJECT = "Discord"
ADDRESS = "Discord, address"
COMMANDS = "Discord, commands"
PORTAL = "Developer Portal, General Information"


async def identity(case: Case) -> Sequence[Finding]:
    """The token must be of this application, with this public key."""
    answer = await case.application()
    told = answer.object
    if answer.problem == TOKENLESS:
        return [not_checked(SUBJECT, TOKENLESS)]
    if answer.status == 0:
        return [fault(SUBJECT, f"can't be reached: {answer.problem}", "Check its way out, and DISCORD_API_URL.")]
    if answer.status == 401:
        return [fault(SUBJECT, "does not accept DISCORD_TOKEN", "Reset it in the Developer Portal, Bot, and register.")]
    if answer.status == 429:
        return [warning(SUBJECT, "asks us to wait (429)", "Wait some minutes: too many refused calls came from here.")]
    if answer.status != 200 or "id" not in told:
        return [
            fault(SUBJECT, f"answers with {answer.status}", "Check DISCORD_API_URL, and https://discordstatus.com.")
        ]
    if str(told["id"]) != case.settings.discord_application_id:
        detail = "DISCORD_TOKEN is of another application than DISCORD_APPLICATION_ID"
        return [fault(SUBJECT, detail, f"Take both from the same application ({PORTAL}; Bot).")]
    if str(told.get("verify_key", "")).lower() != case.settings.discord_public_key:
        detail = "DISCORD_PUBLIC_KEY is not this application's, so every interaction is refused"
        return [fault(SUBJECT, detail, f"Copy it from {PORTAL}, then: ./deploy-multi.sh restart")]
    return [ok(SUBJECT, "token, application id and public key belong together")]


async def address(case: Case) -> Sequence[Finding]:
    """The Interactions Endpoint URL must be set, and be the one that was asked about."""
    answer = await case.application()
    if answer.status != 200:
        return [not_checked(ADDRESS, answer.problem or f"Discord answers with {answer.status}")]
    told = answer.object.get("interactions_endpoint_url")
    if not isinstance(told, str) or not told:
        advice = f"Enter https://…/interactions at {PORTAL}, Interactions Endpoint URL; saving runs Discord's check."
        return [fault(ADDRESS, "no Interactions Endpoint URL is set", advice)]
    if case.given_url and told.rstrip("/") != case.given_url.rstrip("/"):
        detail = f"Discord calls {shown(told)}, not {shown(case.given_url)}"
        return [fault(ADDRESS, detail, f"Enter the right one at {PORTAL}, Interactions Endpoint URL.")]
    if urlsplit(told).path.rstrip("/").rpartition("/")[2] != "interactions":
        return [warning(ADDRESS, f"Discord calls {shown(told)}", "Unless your front rewrites it: /interactions.")]
    return [ok(ADDRESS, f"Discord calls {shown(told)}; a signed PING was answered when that was saved")]


async def commands(case: Case) -> Sequence[Finding]:
    """Compare what is registered globally with what this version has."""
    answer = await case.application()
    if answer.status != 200:
        return [not_checked(COMMANDS, answer.problem or f"Discord answers with {answer.status}")]
    token = case.settings.discord_token.get_secret_value()
    api = CommandsApi(case.world, case.settings.discord_api_url, case.settings.discord_application_id, token)
    try:
        plan = api.plan(await api.fetch(), definitions(), delete=False)
    except RegistrationError as error:
        return [not_checked(COMMANDS, excerpt(str(error), case.secrets))]
    except httpx2.HTTPError as error:
        return [not_checked(COMMANDS, f"could not be read ({type(error).__name__})")]
    spared = f"; {len(plan.spared)} more that Quartet does not have" if plan.spared else ""
    if not plan.changes_anything:
        return [ok(COMMANDS, f"{len(plan.unchanged)} registered, all as this version has them{spared}")]
    if len(plan.create) == len(plan.payload) - len(plan.spared):
        detail = f"none of this version's {len(plan.create)} is registered globally{spared}"
        return [warning(COMMANDS, detail, "Unless you registered in one server only: ./deploy-multi.sh register")]
    named = [*plan.create, *(change.name for change in plan.update)]
    detail = f"{len(plan.create)} missing, {len(plan.update)} different: {', '.join(named)}{spared}"
    return [warning(COMMANDS, detail, "See what would change: register --plan; then: ./deploy-multi.sh register")]
