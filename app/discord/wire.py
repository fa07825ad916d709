"""The numbers Discord puts on the wire, named once.

Sources: https://discord.com/developers/docs/interactions/receiving-and-responding,
/docs/interactions/application-commands, /docs/components/reference, /docs/resources/message,
/docs/topics/opcodes-and-status-codes and /docs/reference.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final


class InteractionType(IntEnum):
    """What Discord posts to the endpoint."""

    PING = 1
    APPLICATION_COMMAND = 2
    MESSAGE_COMPONENT = 3
    APPLICATION_COMMAND_AUTOCOMPLETE = 4
    MODAL_SUBMIT = 5


class ResponseType(IntEnum):
    """What the endpoint answers."""

    PONG = 1
    CHANNEL_MESSAGE_WITH_SOURCE = 4
    DEFERRED_CHANNEL_MESSAGE_WITH_SOURCE = 5
    DEFERRED_UPDATE_MESSAGE = 6
    UPDATE_MESSAGE = 7
    APPLICATION_COMMAND_AUTOCOMPLETE_RESULT = 8
    MODAL = 9


class CommandType(IntEnum):
    """What kind of command an application registers."""

    CHAT_INPUT = 1
    USER = 2
    MESSAGE = 3
    PRIMARY_ENTRY_POINT = 4


class OptionType(IntEnum):
    """What kind of value a command's option takes."""

    SUB_COMMAND = 1
    SUB_COMMAND_GROUP = 2
    STRING = 3
    INTEGER = 4
    BOOLEAN = 5
    USER = 6
    CHANNEL = 7
    ROLE = 8
    MENTIONABLE = 9
    NUMBER = 10
    ATTACHMENT = 11


class ComponentType(IntEnum):
    """What kind of part a message or modal holds."""

    ACTION_ROW = 1
    BUTTON = 2
    STRING_SELECT = 3
    TEXT_INPUT = 4
    USER_SELECT = 5
    ROLE_SELECT = 6
    MENTIONABLE_SELECT = 7
    CHANNEL_SELECT = 8
    SECTION = 9
    TEXT_DISPLAY = 10
    THUMBNAIL = 11
    MEDIA_GALLERY = 12
    FILE = 13
    SEPARATOR = 14
    CONTAINER = 17
    LABEL = 18


class ButtonStyle(IntEnum):
    """How a button looks; `LINK` carries a `url`, the others a `custom_id`."""

    PRIMARY = 1
    SECONDARY = 2
    SUCCESS = 3
    DANGER = 4
    LINK = 5


class TextInputStyle(IntEnum):
    """How many lines a modal's text field shows."""

    SHORT = 1
    PARAGRAPH = 2


class MessageFlag(IntFlag):
    """The message flags an application may set, and the one that Discord sets while "thinking…" is shown."""

    SUPPRESS_EMBEDS = 1 << 2
    EPHEMERAL = 1 << 6
    LOADING = 1 << 7
    SUPPRESS_NOTIFICATIONS = 1 << 12
    IS_COMPONENTS_V2 = 1 << 15


class InteractionContext(IntEnum):
    """Where a command is used."""

    GUILD = 0
    BOT_DM = 1
    PRIVATE_CHANNEL = 2


class ChannelType(IntEnum):
    """The kinds of channels that are threads: other permissions count there."""

    ANNOUNCEMENT_THREAD = 10
    PUBLIC_THREAD = 11
    PRIVATE_THREAD = 12


class IntegrationType(IntEnum):
    """For whom an application is installed."""

    GUILD_INSTALL = 0
    USER_INSTALL = 1


class Permission(IntFlag):
    """The few permission bits Quartet looks at."""

    ADMINISTRATOR = 1 << 3
    MANAGE_GUILD = 1 << 5
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    MANAGE_MESSAGES = 1 << 13
    ATTACH_FILES = 1 << 15
    SEND_MESSAGES_IN_THREADS = 1 << 38


class ErrorCode(IntEnum):
    """The JSON `code` of an error body, as far as Quartet acts on it."""

    GENERAL = 0
    UNKNOWN_APPLICATION = 10002
    UNKNOWN_GUILD = 10004
    UNKNOWN_MESSAGE = 10008
    UNKNOWN_WEBHOOK = 10015
    UNKNOWN_INTERACTION = 10062
    COMMAND_LIMIT_REACHED = 30032
    DAILY_COMMAND_CREATES_REACHED = 30034
    REQUEST_TOO_LARGE = 40005
    CLOUDFLARE_BLOCKED = 40333
    MISSING_ACCESS = 50001
    EMPTY_MESSAGE = 50006
    MISSING_PERMISSIONS = 50013
    INVALID_WEBHOOK_TOKEN = 50027
    INVALID_FORM_BODY = 50035
    FILE_TOO_LARGE = 50045
    RESOURCE_OVERLOADED = 130000
    BLOCKED_BY_AUTOMOD = 200000
    BLOCKED_HARMFUL_LINK = 240000


# Every call must name its caller; Discord's edge blocks others (https://discord.com/developers/docs/reference#user-agent).
USER_AGENT: Final = "DiscordBot (https://github.com/quartet-bot/quartet, 0.1.0)"

# Time, in seconds.
ACK_WITHIN_S: Final = 3.0
TOKEN_LIFE_S: Final = 15 * 60.0

# A message.
CONTENT_MAX: Final = 2000
EMBEDS_MAX: Final = 10
EMBED_TITLE_MAX: Final = 256
EMBED_DESCRIPTION_MAX: Final = 4096
EMBED_FIELDS_MAX: Final = 25
EMBED_FIELD_NAME_MAX: Final = 256
EMBED_FIELD_VALUE_MAX: Final = 1024
EMBED_FOOTER_MAX: Final = 2048
EMBED_AUTHOR_MAX: Final = 256
EMBED_TOTAL_MAX: Final = 6000
ATTACHMENTS_MAX: Final = 10
ATTACHMENT_DESCRIPTION_MAX: Final = 1024
ATTACHMENT_SIZE_DEFAULT: Final = 10 * 1024 * 1024
ACTION_ROWS_MAX: Final = 5
BUTTONS_PER_ROW_MAX: Final = 5
BUTTON_LABEL_MAX: Final = 80
CUSTOM_ID_MAX: Final = 100
TEXT_INPUT_MAX: Final = 4000
USER_INSTALL_FOLLOW_UPS_MAX: Final = 5

# A command.
COMMANDS_MAX: Final = 100
COMMAND_NAME_MAX: Final = 32
COMMAND_DESCRIPTION_MAX: Final = 100
COMMAND_TEXT_MAX: Final = 8000
OPTIONS_MAX: Final = 25
CHOICES_MAX: Final = 25
CHOICE_NAME_MAX: Final = 100
CHOICE_VALUE_MAX: Final = 100
STRING_OPTION_MAX: Final = 6000
