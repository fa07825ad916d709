"""How Discord delivers an interaction: signed, within the limit, the answer judged and its effect taken in."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2

from simulator import discord_payloads as payloads
from simulator.delivery import Deliverer, DeliveryError
from simulator.discord_ack import RESPONSE_NAMES, parse_ack
from simulator.discord_errors import DiscordProblem
from simulator.discord_payloads import Standing
from simulator.discord_state import FLAG_EPHEMERAL, Ack, Interaction, Message
from simulator.discord_world import DiscordWorld
from simulator.ledger import digest
from simulator.wire import tls

DELIVERY_AGENT = "Discord-Interactions/1.0 (+https://discord.com)"


class Courier:
    """Delivers what a user did. A `target` is the application's interactions endpoint URL."""

    def __init__(self, discord: DiscordWorld) -> None:
        self.discord = discord
        self.config = discord.world.config
        self._deliverer = Deliverer()
        self._http: httpx2.AsyncClient | None = None
        self._rng = random.Random(discord.world.seed + 2)

    async def ping(self, target: str) -> Interaction:
        """Send a signed PING, as the developer portal does."""
        interaction_id = self.discord.memory.ids.next()
        token = self.discord.memory.new_token(interaction_id)
        payload = payloads.ping(interaction_id, token, self.config.application_id)
        made = Interaction(interaction_id, token, payloads.PING, payload["user"]["id"], "PING",
                           payloads.to_bytes(payload), Standing(place="dm"))  # fmt: skip
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

    async def deliver(self, target: str, interaction: Interaction, copies: int = 1) -> Interaction:
        """POST a made interaction `copies` times at once, to `target`'s URLs in turn, and take in the answers."""
        first, targets = len(interaction.acks) + 1, target.split()
        await asyncio.gather(
            *(self._deliver_one(targets[i % len(targets)], interaction, first + i) for i in range(copies))
        )
        return interaction

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

    async def _deliver_one(self, target: str, interaction: Interaction, copy: int) -> None:
        ledger = self.discord.world.ledger
        started = time.monotonic()
        if copy == 1:
            interaction.sent_t, interaction.sent_wall = started, time.time()
        pressed = interaction.source.metadata if interaction.source else None
        ledger.add("sent", interaction=interaction.id, user=interaction.user_id, command=interaction.command,
                   kind=interaction.kind, copy=copy, on=pressed["id"] if pressed else None,
                   prompts=_prompt_digests(interaction.payload))  # fmt: skip
        ack = await self._post(target, interaction, copy, started)
        interaction.acks.append(ack)
        message = await self._take_or_refuse(interaction, ack) if ack.ok else None
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

    async def _take_or_refuse(self, interaction: Interaction, ack: Ack) -> Message | None:
        try:
            return await self._take(interaction, ack)
        except DiscordProblem as problem:
            ack.ok, ack.reason = False, _why(problem)
            return None

    async def _take(self, interaction: Interaction, ack: Ack) -> Message | None:
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
            source = interaction.source
            # After type 6 the user sees that the press was taken; nothing more is owed.
            interaction.state, interaction.original = "deferred" if ack.type == 7 else "pressed", source
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


def _prompt_digests(payload: dict[str, Any]) -> dict[str, str] | None:
    """Return digests of the texts a user gave, by the name of the option, the form's field, or `target`."""
    data = payload.get("data") or {}
    found = {name: digest(text) for name, text in _texts(data)}
    return found or None


def _texts(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for option in data.get("options") or []:
        if isinstance(option.get("value"), str):
            yield option["name"], option["value"]
    for row in data.get("components") or []:
        for field in [row["component"]] if "component" in row else row.get("components") or []:
            if isinstance(field.get("value"), str):
                yield field["custom_id"], field["value"]
    target = ((data.get("resolved") or {}).get("messages") or {}).get(data.get("target_id"))
    if target:
        yield "target", target["content"]


def _why(problem: DiscordProblem) -> str:
    details = f" {json.dumps(problem.errors, ensure_ascii=False)[:300]}" if problem.errors else ""
    return f"{problem}{details}"


def _ms(started: float) -> float:
    return (time.monotonic() - started) * 1000
