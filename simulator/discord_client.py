"""Discord as the caller: builds, signs and delivers interactions, judges the answer and keeps the user's view."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Mapping
from typing import Any

import httpx2

from simulator import discord_payloads as payloads
from simulator.delivery import Deliverer, DeliveryError
from simulator.discord_ack import RESPONSE_NAMES, parse_ack
from simulator.discord_components import find_component
from simulator.discord_errors import DiscordProblem
from simulator.discord_state import FLAG_EPHEMERAL, Ack, Attachment, Interaction, Message
from simulator.discord_use import check_use
from simulator.discord_world import DiscordWorld
from simulator.ledger import digest
from simulator.wire import tls

DELIVERY_AGENT = "Discord-Interactions/1.0 (+https://discord.com)"


class DiscordClient:
    """What users do in Discord, as functions. A `target` is the application's interactions endpoint URL."""

    def __init__(self, discord: DiscordWorld) -> None:
        self.discord = discord
        self.config = discord.world.config
        self._deliverer = Deliverer()
        self._http: httpx2.AsyncClient | None = None
        self._rng = random.Random(discord.world.seed + 2)

    async def interact(
        self, target: str, command: str, options: Mapping[str, Any] | None = None, *, user_id: int | str = 0,
        locale: str = "ko", place: str = "guild", guild_locale: str = "en-US", copies: int = 1, focused: str = "",
        attachments: Mapping[str, Attachment] | None = None, command_id: str = "",
    ) -> Interaction:  # fmt: skip
        """Use a slash command; with `focused` ask for that option's choices instead.

        A nested mapping in `options` is a subcommand. `attachments` are options of type 11. `copies` delivers the
        same bytes that many times at once. Returns after the answer; wait for the outcome with `.final(timeout)`.
        """
        kind = payloads.AUTOCOMPLETE if focused else payloads.COMMAND
        registered = self._registered(command)
        if registered:
            check_use(registered, options or {}, set(attachments or {}), partial=bool(focused))
        known = {option["name"]: option for option in registered.get("options", [])}
        listed = payloads.options_list(options or {}, known, focused)
        resolved: dict[str, Any] = {}
        for name, attachment in (attachments or {}).items():
            self.discord.memory.keep_file(attachment)
            listed.append({"name": name, "type": payloads.OPTION_ATTACHMENT, "value": attachment.id})
            shown = {**self.discord.render_attachment(attachment), "ephemeral": True}
            resolved.setdefault("attachments", {})[attachment.id] = shown
        data: dict[str, Any] = {"id": command_id or registered.get("id", "1210000000000000000"), "name": command,
                                "type": 1}  # fmt: skip
        if listed:
            data["options"] = listed
        if resolved:
            data["resolved"] = resolved
        made = self._make(kind, data, command, user_id, place, locale, guild_locale)
        return await self.deliver(target, made, copies)

    async def press(
        self, target: str, source: Interaction, custom_id: str, *, message: Message | None = None,
        values: list[str] | None = None, user_id: int | str | None = None, locale: str = "ko", copies: int = 1,
    ) -> Interaction:  # fmt: skip
        """Press a button or choose from a select on a message of `source`; `ValueError` if it is not there."""
        shown = message or source.message
        if shown is None:
            raise ValueError("there is no message to press a button on")
        component = find_component(shown.components, custom_id)
        if component is None or component.get("disabled"):
            raise ValueError(f"the message has no usable component {custom_id!r}")
        data: dict[str, Any] = {"custom_id": custom_id, "component_type": component["type"], "id": component["id"]}
        if component["type"] != 2:
            data["values"] = values or []
        made = self._make(payloads.COMPONENT, data, f"component:{custom_id}", user_id or source.user_id,
                          _place_of(source), locale, "en-US")  # fmt: skip
        made.body = payloads.to_bytes({**made.payload, "message": self.discord.render(shown)})
        return await self.deliver(target, made, copies, source_message=shown)

    async def submit(
        self, target: str, source: Interaction, fields: Mapping[str, str], *, locale: str = "ko"
    ) -> Interaction:
        """Fill in and send the modal that `source` was answered with."""
        if source.modal is None:
            raise ValueError("this interaction was not answered with a modal")
        rows = [payloads.filled(row, fields) for row in source.modal["components"]]
        data = {"custom_id": source.modal["custom_id"], "components": rows}
        made = self._make(payloads.MODAL_SUBMIT, data, f"modal:{data['custom_id']}", source.user_id,
                          _place_of(source), locale, "en-US")  # fmt: skip
        return await self.deliver(target, made)

    async def ping(self, target: str) -> Interaction:
        """Send a signed PING, as the developer portal does."""
        interaction_id = self.discord.memory.ids.next()
        token = self.discord.memory.new_token(interaction_id)
        payload = payloads.ping(interaction_id, token, self.config.application_id)
        made = Interaction(interaction_id, token, payloads.PING, payload["user"]["id"], "PING",
                           payloads.to_bytes(payload))  # fmt: skip
        self.discord.memory.add(made)
        return await self.deliver(target, made)

    def sign(self, body: bytes, timestamp: str | None = None) -> dict[str, str]:
        """Return the headers that make any body a genuine delivery."""
        stamp = timestamp if timestamp is not None else str(int(time.time()))
        signature = self.discord.signing_key.sign(stamp.encode() + body).signature.hex()
        return {"X-Signature-Ed25519": signature, "X-Signature-Timestamp": stamp,
                "Content-Type": "application/json", "User-Agent": DELIVERY_AGENT}  # fmt: skip

    async def send_raw(self, target: str, body: bytes, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        """POST any body with any headers (default: a good signature) and return the plain answer, unrecorded."""
        sent = dict(self.sign(body) if headers is None else headers)
        return await self.http.post(target, content=body, headers=sent, timeout=self.config.ack_limit_s * 3)

    async def probe_bad_signature(self, target: str) -> int:
        """Send a PING with a wrong signature, as Discord does from time to time, and return the status."""
        body = payloads.to_bytes(payloads.ping(self.discord.memory.ids.next(), "probe", self.config.application_id))
        headers = self.sign(body)
        flipped = "0" if headers["X-Signature-Ed25519"][0] != "0" else "1"
        headers["X-Signature-Ed25519"] = flipped + headers["X-Signature-Ed25519"][1:]
        return (await self.send_raw(target, body, headers)).status_code

    async def resend(self, target: str, interaction: Interaction, copies: int = 1) -> Interaction:
        """Deliver the same interaction again, byte for byte."""
        return await self.deliver(target, interaction, copies)

    async def deliver(
        self, target: str, interaction: Interaction, copies: int = 1, source_message: Message | None = None
    ) -> Interaction:
        """POST a made interaction `copies` times at once, to `target`'s URLs in turn, and take in the answers."""
        first, targets = len(interaction.acks) + 1, target.split()
        await asyncio.gather(
            *(
                self._deliver_one(targets[i % len(targets)], interaction, first + i, source_message)
                for i in range(copies)
            )
        )
        return interaction

    def make(
        self, command: str, options: Mapping[str, Any], *, user_id: int | str = 0, locale: str = "ko",
        place: str = "guild",
    ) -> Interaction:  # fmt: skip
        """Make a slash command without sending it: its `.body` is what `deliver` would send."""
        data = {"id": "1210000000000000000", "name": command, "type": 1,
                "options": payloads.options_list(options, {})}  # fmt: skip
        return self._make(payloads.COMMAND, data, command, user_id, place, locale, "en-US")

    @property
    def http(self) -> httpx2.AsyncClient:
        """Return the client for raw requests, made on first use."""
        if self._http is None:
            self._http = httpx2.AsyncClient(trust_env=False, verify=tls())
        return self._http

    async def close(self) -> None:
        """Close every connection."""
        self._deliverer.close()
        if self._http is not None:
            await self._http.aclose()

    def _registered(self, command: str) -> dict[str, Any]:
        for scope in self.discord.commands.values():
            for registered in scope.values():
                if registered["name"] == command:
                    return registered
        return {}

    def _make(
        self, kind: int, data: dict[str, Any], command: str, user_id: int | str, place: str, locale: str,
        guild_locale: str,
    ) -> Interaction:  # fmt: skip
        interaction_id = self.discord.memory.ids.next()
        token = self.discord.memory.new_token(interaction_id)
        user = str(user_id or self._rng.randrange(10**17, 10**18))
        payload = payloads.frame(
            kind, interaction_id=interaction_id, token=token, application_id=self.config.application_id, user_id=user,
            place=place, locale=locale, guild_locale=guild_locale, size_limit=self.config.attachment_size_limit,
        )  # fmt: skip
        payload["data"] = data
        body = payloads.to_bytes(payload, self._rng if self.config.shuffle_payload_keys else None)
        made = Interaction(interaction_id, token, kind, user, command, body, payload["channel_id"])
        made.user_install_only = place == "user_install"
        self.discord.memory.add(made)
        return made

    async def _deliver_one(self, target: str, interaction: Interaction, copy: int, source: Message | None) -> None:
        ledger = self.discord.world.ledger
        started = time.monotonic()
        if copy == 1:
            interaction.sent_t, interaction.sent_wall = started, time.time()
        ledger.add("sent", interaction=interaction.id, user=interaction.user_id, command=interaction.command,
                   kind=interaction.kind, copy=copy, prompts=_prompt_digests(interaction.payload))  # fmt: skip
        ack = await self._post(target, interaction, copy, started)
        interaction.acks.append(ack)
        message = await self._take_or_refuse(interaction, ack, source) if ack.ok else None
        if not ack.ok and interaction.acked_t is None and interaction.state == "sent":
            interaction.state = "failed"
        ledger.add(
            "acked" if ack.ok else "ack_failed", interaction=interaction.id, copy=copy, ms=round(ack.ms, 2),
            status=ack.status, type=ack.type, type_name=RESPONSE_NAMES.get(ack.type or 0), reason=ack.reason or None,
            served_by=ack.served_by or None, message=message.id if message else None,
            visible=message.visible_digest() if message and not message.thinking else None,
            final=message.history[-1].final if message and message.history else None,
            head=message.content[:80] or None if message else None,
        )  # fmt: skip
        await interaction.announce()

    async def _post(self, target: str, interaction: Interaction, copy: int, started: float) -> Ack:
        headers = self.sign(interaction.body)
        status: int | None = None
        served_by = ""
        try:
            async with asyncio.timeout(self.config.ack_limit_s):
                answer = await self._deliverer.post(target, interaction.body, headers)
            status, served_by = answer.status, answer.headers.get(self.config.instance_header.lower(), "")
            kind, data = parse_ack(interaction.kind, status, answer.headers.get("content-type", ""), answer.body)
        except TimeoutError:
            return Ack(copy, _ms(started), None, None, False, "timeout")
        except DeliveryError as error:
            return Ack(copy, _ms(started), None, None, False, f"connection: {error}")
        except DiscordProblem as problem:
            return Ack(copy, _ms(started), status, None, False, _why(problem), served_by=served_by)
        return Ack(copy, _ms(started), status, kind, True, data=data, served_by=served_by)

    async def _take_or_refuse(self, interaction: Interaction, ack: Ack, source: Message | None) -> Message | None:
        try:
            return await self._take(interaction, ack, source)
        except DiscordProblem as problem:
            ack.ok, ack.reason = False, _why(problem)
            return None

    async def _take(self, interaction: Interaction, ack: Ack, source: Message | None) -> Message | None:
        """Let the first accepted answer have its effect; later copies only leave their trace in the ledger."""
        data = ack.data or {}
        if interaction.acked_t is not None:
            return await self._late_copy(interaction, ack)
        interaction.acked_t = time.monotonic()
        if ack.type == 5 or ack.type == 4:
            flags = int(data.get("flags") or 0)
            interaction.state = "deferred"
            interaction.original = self.discord.new_message(interaction, flags=flags & FLAG_EPHEMERAL,
                                                            thinking=ack.type == 5)  # fmt: skip
            if ack.type == 4:
                await self.discord.write(interaction, interaction.original, data, [], new=True)
            return interaction.original
        if ack.type in (6, 7):
            interaction.state, interaction.original = "deferred", source
            if ack.type == 7 and source is not None:
                await self.discord.write(interaction, source, data, [], new=False)
            return source if ack.type == 7 else None
        interaction.state = {1: "pong", 8: "choices", 9: "modal"}.get(ack.type or 0, "answered")
        interaction.choices = data.get("choices")
        interaction.modal = data if ack.type == 9 else None
        return None

    async def _late_copy(self, interaction: Interaction, ack: Ack) -> Message | None:
        if ack.type != 4:
            return None
        extra = self.discord.new_message(interaction)
        await self.discord.write(interaction, extra, ack.data or {}, [], new=True)
        interaction.followups.append(extra)
        return extra


def _place_of(interaction: Interaction) -> str:
    context = interaction.payload.get("context")
    return {1: "dm", 2: "user_install"}.get(context, "guild") if isinstance(context, int) else "guild"


def _prompt_digests(payload: dict[str, Any]) -> dict[str, str] | None:
    options = (payload.get("data") or {}).get("options") or []
    found = {o["name"]: digest(o["value"]) for o in options if isinstance(o.get("value"), str)}
    return found or None


def _why(problem: DiscordProblem) -> str:
    details = f" {json.dumps(problem.errors, ensure_ascii=False)[:300]}" if problem.errors else ""
    return f"{problem}{details}"


def _ms(started: float) -> float:
    return (time.monotonic() - started) * 1000
