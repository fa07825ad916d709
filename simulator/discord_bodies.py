"""Reading the body of a message, from JSON or a form with files, and refusing what Discord would."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from simulator import discord_errors as codes
from simulator.discord_errors import DiscordProblem, Faultfinder
from simulator.discord_validate import check_message
from simulator.multipart import MultipartError, Part, media_type, parse_multipart

FORM_OVERHEAD = 64 * 1024
CONTENTS = ("content", "embeds", "components", "poll")


async def read_message(request: Request, size_limit: int, *, editing: bool) -> tuple[dict[str, Any], list[Part]]:
    """Return a valid message body and its files; `size_limit` is a file's, in bytes. Raises `DiscordProblem`."""
    if int(request.headers.get("content-length") or 0) > size_limit * 10 + FORM_OVERHEAD:
        raise DiscordProblem(413, codes.REQUEST_TOO_LARGE)
    body, files = _decode(request.headers.get("content-type", ""), await request.body())
    if any(len(part.data) > size_limit for part in files):
        raise DiscordProblem(413, codes.REQUEST_TOO_LARGE)
    if not isinstance(body, dict):
        raise DiscordProblem(400, codes.INVALID_JSON)
    faults = Faultfinder()
    check_message(body, faults, editing=editing, files=[part.name[6:-1] for part in files])
    faults.check()
    if not editing and not any(body.get(name) for name in CONTENTS) and not files:
        raise DiscordProblem(400, codes.EMPTY_MESSAGE)
    return body, files


def _decode(content_type: str, raw: bytes) -> tuple[Any, list[Part]]:
    kind = media_type(content_type)
    if kind == "application/json":
        return _json(raw), []
    if kind != "multipart/form-data":
        message = f"Expected Content-Type to be one of application/json, multipart/form-data, got {kind!r}"
        errors = {"_errors": [{"code": "CONTENT_TYPE_INVALID", "message": message}]}
        raise DiscordProblem(400, codes.INVALID_FORM_BODY, errors)
    try:
        parts = parse_multipart(content_type, raw)
    except MultipartError as error:
        raise DiscordProblem(400, codes.INVALID_FORM_BODY, message=str(error)) from error
    files = [part for part in parts if re.fullmatch(r"files\[\d\]", part.name)]
    body: Any = next((_json(part.data) for part in parts if part.name == "payload_json"), {})
    unknown = [p.name for p in parts if p.name != "payload_json" and p not in files]
    if unknown or any(part.filename is None for part in files):
        faults = Faultfinder()
        for name in unknown or ["files"]:
            faults.add(name, "FORM_FIELD_UNEXPECTED", "Only payload_json and files[0..9] with a filename are expected.")
        faults.check()
    return body, files


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError as error:
        raise DiscordProblem(400, codes.INVALID_JSON) from error


def error_field(response: Response, name: str) -> Any:
    """Return a field of an error answer, or None."""
    if response.status_code < 400 or not isinstance(response, JSONResponse):
        return None
    return json.loads(bytes(response.body)).get(name)
