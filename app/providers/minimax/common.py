"""What MiniMax's V1 answers have in common: errors come as HTTP 200 with `base_resp.status_code` other than 0.

Codes and their meaning: platform.minimax.io, "Error code"; 1028, 1030, 2038 and 2061 are known from MiniMax's own
clients only. V2 and gateways answer with real HTTP statuses and `{"error": {"message": "… (1008)"}}`; both are read.
"""

from __future__ import annotations

import re
from typing import Any

import httpx2

from app.errors import (
    ProviderBadAnswer,
    ProviderBadInput,
    ProviderError,
    ProviderKeyRejected,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRefused,
    ProviderUnavailable,
)
from app.providers.wire import Answer, Wire, kind_of_status

STATUS_BYTES = 1024 * 1024
_KINDS: dict[type[ProviderError], tuple[int, ...]] = {
    ProviderRateLimited: (1002, 1039, 1041, 2045),
    ProviderKeyRejected: (1004, 2038, 2049),
    ProviderQuotaExhausted: (1008, 1028, 1030, 2056, 2061),
    ProviderRefused: (1026, 1027),
    ProviderBadInput: (1042, 2013),
    ProviderUnavailable: (1000, 1001, 1013, 1024, 1033),
}
_BY_CODE = {code: kind for kind, codes in _KINDS.items() for code in codes}
_CODE_IN_MESSAGE = re.compile(r"\((\d{4})\)")


async def call(
    wire: Wire, method: str, path: str, *, timeout_s: float, max_bytes: int = STATUS_BYTES, **content: Any
) -> tuple[dict[str, Any], Answer]:
    """Send one V1 request and return its JSON body, not yet `check`ed, and the answer."""
    request = wire.request(method, path, timeout_s, **content)
    answer = await wire.call(request, timeout_s=timeout_s, max_bytes=max_bytes)
    return await wire.json(answer), answer


def check(wire: Wire, body: dict[str, Any], answer: Answer) -> None:
    """Raise what `base_resp`, the other envelope or the HTTP status says went wrong."""
    code, said = _verdict(body)
    if code is not None and code != 0:
        # An unknown code is a failure nobody can say more about, least of all that trying again would help.
        raise wire.error(_BY_CODE.get(code, ProviderError), f"{code} {said}", answer)
    if answer.status != httpx2.codes.OK:
        raise wire.error(kind_of_status(answer.status), said or answer.head, answer)


def _verdict(body: dict[str, Any]) -> tuple[int | None, str]:
    """Return the business code, if there is one, and the message of either envelope."""
    base, error = body.get("base_resp"), body.get("error")
    if isinstance(base, dict):
        return as_int(base.get("status_code")), str(base.get("status_msg", ""))
    if isinstance(error, dict):
        said = str(error.get("message", ""))
        found = _CODE_IN_MESSAGE.search(said)
        return (int(found.group(1)) if found else None), said
    return None, ""


def as_int(value: object) -> int | None:
    """Return a number that MiniMax writes as 1 or as "1"; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        return int(value)
    except ValueError:
        return None


def as_id(value: object) -> str | None:
    """Return an id as a string: MiniMax sends the same one as "176…" here and as 176… there; None if it is none."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return text if text not in ("", "0") else None


def unreadable(wire: Wire, answer: Answer, what: str) -> ProviderError:
    """Make the error for an answer that succeeded by its own account, yet lacks `what`."""
    return wire.error(ProviderBadAnswer, f"the answer has no {what}: {answer.head}", answer)
