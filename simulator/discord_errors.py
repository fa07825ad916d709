"""Discord's error answers: the JSON codes the simulator uses, and their shape."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

UNKNOWN_APPLICATION = 10002
UNKNOWN_CHANNEL = 10003
UNKNOWN_MESSAGE = 10008
UNKNOWN_WEBHOOK = 10015
UNKNOWN_COMMAND = 10063
TOO_MANY_COMMANDS = 30032
DAILY_COMMAND_CREATES = 30034
UNAUTHORIZED = 0
REQUEST_TOO_LARGE = 40005
MAX_FOLLOWUPS = 40094
BLOCKED_BY_CLOUDFLARE = 40333
MISSING_ACCESS = 50001
EMPTY_MESSAGE = 50006
CANNOT_SEND_TO_USER = 50007
MISSING_PERMISSIONS = 50013
INVALID_WEBHOOK_TOKEN = 50027
INVALID_FORM_BODY = 50035
FILE_TOO_LARGE = 50045
INVALID_JSON = 50109

MESSAGES = {
    UNKNOWN_APPLICATION: "Unknown Application",
    UNKNOWN_CHANNEL: "Unknown Channel",
    UNKNOWN_MESSAGE: "Unknown Message",
    UNKNOWN_WEBHOOK: "Unknown Webhook",
    UNKNOWN_COMMAND: "Unknown application command",
    TOO_MANY_COMMANDS: "Maximum number of application commands reached (100)",
    DAILY_COMMAND_CREATES: "Max number of daily application command creates has been reached (200)",
    UNAUTHORIZED: "401: Unauthorized",
    REQUEST_TOO_LARGE: "Request entity too large",
    MAX_FOLLOWUPS: "The maximum number of follow-up messages for this interaction has been reached (5)",
    BLOCKED_BY_CLOUDFLARE: "internal network error",
    MISSING_ACCESS: "Missing Access",
    CANNOT_SEND_TO_USER: "Cannot send messages to this user",
    MISSING_PERMISSIONS: "Missing Permissions",
    EMPTY_MESSAGE: "Cannot send an empty message",
    INVALID_WEBHOOK_TOKEN: "Invalid Webhook Token",
    INVALID_FORM_BODY: "Invalid Form Body",
    FILE_TOO_LARGE: "File uploaded exceeds the maximum size",
    INVALID_JSON: "The request body contains invalid JSON.",
}


class DiscordProblem(Exception):
    """A request Discord refuses: HTTP status, JSON code and, for a form, the tree of what is wrong."""

    def __init__(self, status: int, code: int, errors: dict[str, Any] | None = None, message: str = "") -> None:
        super().__init__(message or MESSAGES.get(code, "Error"))
        self.status = status
        self.code = code
        self.errors = errors

    def response(self) -> JSONResponse:
        """Return the HTTP answer."""
        body: dict[str, Any] = {"message": str(self), "code": self.code}
        if self.errors:
            body["errors"] = self.errors
        return JSONResponse(body, self.status)


class Faultfinder:
    """Collects what is wrong with a form, by path, and builds Discord's `errors` tree."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {}

    def add(self, path: str, code: str, message: str) -> None:
        """Note one fault at a dotted path such as `embeds.0.title`."""
        node = self.tree
        for part in path.split("."):
            node = node.setdefault(part, {})
        node.setdefault("_errors", []).append({"code": code, "message": message})

    def length(self, path: str, value: str, high: int, low: int = 0) -> None:
        """Check a text's length; Discord counts code points."""
        if not low <= len(value) <= high:
            wording = f"between {low} and {high}" if low else f"{high} or fewer"
            self.add(path, "BASE_TYPE_BAD_LENGTH", f"Must be {wording} in length.")

    def wrong_type(self, path: str, wanted: str) -> None:
        """Note a value of the wrong type."""
        self.add(path, "BASE_TYPE_BAD_TYPE", f"This field must be {wanted}.")

    def required(self, path: str) -> None:
        """Note a missing value."""
        self.add(path, "BASE_TYPE_REQUIRED", "This field is required")

    def choice(self, path: str, value: object, allowed: object) -> None:
        """Note a value outside its enumeration."""
        self.add(path, "BASE_TYPE_CHOICES", f"Value {value!r} must be one of {allowed}.")

    def check(self) -> None:
        """Raise 400/50035 if anything was noted."""
        if self.tree:
            raise DiscordProblem(400, INVALID_FORM_BODY, self.tree)
