"""What users do in Discord, as functions: commands, buttons, selects, forms, and messages of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

from simulator import discord_payloads as payloads
from simulator.discord_command_rules import CHAT_INPUT, MESSAGE
from simulator.discord_components import find_component
from simulator.discord_courier import Courier
from simulator.discord_forms import chosen, submitted
from simulator.discord_payloads import Standing, StandingFields
from simulator.discord_state import Attachment, Interaction, Message
from simulator.discord_use import check_allowed, check_focus, check_use

UNREGISTERED_ID = "1210000000000000000"


class DiscordClient(Courier):
    """Users of Discord. Where they stand is said by `StandingFields`: `place`, `permissions`, `roles`, `nsfw`, …"""

    async def interact(
        self, target: str, command: str, options: Mapping[str, Any] | None = None, *, user_id: int | str = 0,
        locale: str = "ko", copies: int = 1, focused: str = "", attachments: Mapping[str, Attachment] | None = None,
        command_id: str = "", **standing: Unpack[StandingFields],
    ) -> Interaction:  # fmt: skip
        """Use a slash command; with `focused` ask for that option's choices instead.

        A nested mapping in `options` is a subcommand. `attachments` are options of type 11. `copies` delivers the
        same bytes that many times at once. Returns after the answer; wait for the outcome with `.final(timeout)`.
        """
        kind = payloads.AUTOCOMPLETE if focused else payloads.COMMAND
        options, stands = dict(options or {}), Standing(**standing)
        registered = self._registered(command, CHAT_INPUT, stands)
        if registered:
            if focused:
                check_focus(registered, focused)
            check_allowed(registered, stands)
            check_use(registered, options, set(attachments or {}), partial=bool(focused))
        if focused and not any(isinstance(value, Mapping) for value in options.values()):
            options.setdefault(focused, "")  # nothing typed yet
        known = {option["name"]: option for option in registered.get("options", [])}
        listed = payloads.options_list(options, known, focused)
        resolved: dict[str, Any] = {}
        for name, attachment in (attachments or {}).items():
            listed.append({"name": name, "type": payloads.OPTION_ATTACHMENT, "value": attachment.id})
            resolved.setdefault("attachments", {})[attachment.id] = self._uploaded(attachment)
        data: dict[str, Any] = {"id": command_id or registered.get("id", UNREGISTERED_ID), "name": command,
                                "type": CHAT_INPUT}  # fmt: skip
        if listed:
            data["options"] = listed
        if resolved:
            data["resolved"] = resolved
        return await self.deliver(target, self._make(kind, data, command, user_id, locale, stands), copies)

    async def context_menu(
        self, target: str, command: str, message: Message, *, user_id: int | str = 0, locale: str = "ko",
        copies: int = 1, **standing: Unpack[StandingFields],
    ) -> Interaction:  # fmt: skip
        """Use a message command on a message; `ValueError` if the user can't see it or the command is not offered."""
        stands = Standing(**_over({"channel_id": message.channel_id}, standing))
        user = self._user(user_id)
        if not message.seen_by(user):
            raise ValueError("the user does not see this message")
        registered = self._registered(command, MESSAGE, stands)
        if registered:
            check_allowed(registered, stands)
        data = {"id": registered.get("id", UNREGISTERED_ID), "name": command, "type": MESSAGE, "target_id": message.id,
                "resolved": {"messages": {message.id: self.discord.render(message)}}}  # fmt: skip
        made = self._make(payloads.COMMAND, data, command, user, locale, stands)
        made.metadata["target_message_id"] = message.id
        return await self.deliver(target, made, copies)

    async def press(
        self, target: str, source: Interaction, custom_id: str, *, message: Message | None = None,
        values: Sequence[str] | None = None, user_id: int | str | None = None, locale: str = "ko", copies: int = 1,
        **standing: Unpack[StandingFields],
    ) -> Interaction:  # fmt: skip
        """Press a button or choose from a select on a message of `source`; `ValueError` if it is not there.

        Another user stands in the same channel, with what permissions and roles `standing` says.
        """
        shown = message or source.message
        if shown is None:
            raise ValueError("there is no message to press a button on")
        user = str(user_id or source.user_id)
        component = find_component(shown.components, custom_id) if shown.seen_by(user) else None
        if component is None or component.get("disabled"):
            raise ValueError(f"the message has no usable component {custom_id!r}")
        data: dict[str, Any] = {"custom_id": custom_id, "component_type": component["type"], "id": component["id"]}
        if component["type"] != 2:
            data["values"] = chosen(component, values or [])
        stands = replace(source.standing, **_over(_ordinary(source, user), standing))
        made = self._make(payloads.COMPONENT, data, f"component:{custom_id}", user, locale, stands,
                          message=self.discord.render(shown))  # fmt: skip
        made.source = shown
        made.metadata["interacted_message_id"] = shown.id
        return await self.deliver(target, made, copies)

    async def submit(
        self, target: str, source: Interaction, fields: Mapping[str, Any], *, locale: str = "ko", copies: int = 1,
        **standing: Unpack[StandingFields],
    ) -> Interaction:  # fmt: skip
        """Fill in and send the modal that `source` was answered with; `ValueError` where the client would not."""
        if source.modal is None:
            raise ValueError("this interaction was not answered with a modal")
        data = {"custom_id": source.modal["custom_id"], "components": submitted(source.modal["components"], fields)}
        more = {"message": self.discord.render(source.source)} if source.source else {}
        made = self._make(payloads.MODAL_SUBMIT, data, f"modal:{data['custom_id']}", source.user_id, locale,
                          replace(source.standing, **standing), **more)  # fmt: skip
        made.source = source.source
        made.metadata["triggering_interaction_metadata"] = source.metadata
        return await self.deliver(target, made, copies)

    def say(
        self, content: str, *, user_id: int | str = 0, attachments: Sequence[Attachment] = (),
        **standing: Unpack[StandingFields],
    ) -> Message:  # fmt: skip
        """Write a message of one's own into the channel; message commands can be used on it."""
        if not content and not attachments:
            raise ValueError("a message needs text or a file")
        return self.discord.user_message(self._user(user_id), Standing(**standing).channel, content, attachments)

    def make(
        self, command: str, options: Mapping[str, Any], *, user_id: int | str = 0, locale: str = "ko",
        **standing: Unpack[StandingFields],
    ) -> Interaction:  # fmt: skip
        """Make a slash command without sending it: its `.body` is what `deliver` would send."""
        data = {"id": UNREGISTERED_ID, "name": command, "type": CHAT_INPUT,
                "options": payloads.options_list(options, {})}  # fmt: skip
        return self._make(payloads.COMMAND, data, command, user_id, locale, Standing(**standing))

    def _uploaded(self, attachment: Attachment) -> dict[str, Any]:
        if attachment.size > self.config.attachment_size_limit:
            raise ValueError(f"{attachment.filename} is larger than Discord lets one upload here")
        self.discord.memory.keep_file(attachment)
        return {**self.discord.render_attachment(attachment), "ephemeral": True}

    def _registered(self, command: str, kind: int, standing: Standing) -> dict[str, Any]:
        """Return the registered command; a guild's own before the global one of the same name."""
        for scope in (standing.guild_id, "global", *self.discord.commands):
            for registered in self.discord.commands.get(scope, {}).values():
                if registered["name"] == command and registered["type"] == kind:
                    return registered
        return {}

    def _user(self, user_id: int | str) -> str:
        return str(user_id or self._rng.randrange(10**17, 10**18))

    def _make(
        self, kind: int, data: dict[str, Any], command: str, user_id: int | str, locale: str, standing: Standing,
        **more: Any,
    ) -> Interaction:  # fmt: skip
        interaction_id = self.discord.memory.ids.next()
        token = self.discord.memory.new_token(interaction_id)
        user = self._user(user_id)
        channel = self.discord.channels.entered(standing)
        payload = payloads.frame(
            kind, interaction_id=interaction_id, token=token, application_id=self.config.application_id, user_id=user,
            standing=standing, locale=locale, app_permissions=channel.permissions,
            size_limit=self.config.attachment_size_limit,
        )  # fmt: skip
        payload |= {"data": data, **more}
        body = payloads.to_bytes(payload, self._rng if self.config.shuffle_payload_keys else None)
        made = Interaction(interaction_id, token, kind, user, command, body, standing,
                           payloads.metadata(payload, user))  # fmt: skip
        self.discord.memory.add(made)
        return made


def _ordinary(source: Interaction, user: str) -> StandingFields:
    """Return what another user has of permissions and roles unless told otherwise."""
    ordinary = Standing()
    return {} if user == source.user_id else {"permissions": ordinary.permissions, "roles": ordinary.roles}


def _over(given: StandingFields, told: StandingFields) -> StandingFields:
    merged = given.copy()
    merged.update(told)
    return merged
