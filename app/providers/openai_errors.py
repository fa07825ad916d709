"""What OpenAI's error bodies mean: `{"error": {"message", "type", "param", "code"}}`.

Classified by code first, then type, then HTTP status: one status stands for many things (429 is both "slow down" and
"out of credit"), and an error that comes as a frame inside a stream has no status at all.
Sources: developers.openai.com/docs/guides/error-codes and the `Error` schema of OpenAI's OpenAPI description.
"""

from __future__ import annotations

from app.errors import (
    ProviderBadInput,
    ProviderError,
    ProviderKeyRejected,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRefused,
    ProviderUnavailable,
)
from app.providers.wire import kind_of_status

_BY_CODE: dict[str, type[ProviderError]] = {
    "invalid_api_key": ProviderKeyRejected,
    "account_deactivated": ProviderKeyRejected,
    "rate_limit_exceeded": ProviderRateLimited,
    "slow_down": ProviderRateLimited,
    "insufficient_quota": ProviderQuotaExhausted,
    "credit_balance_exhausted": ProviderQuotaExhausted,
    "organization_spend_limit_exceeded": ProviderQuotaExhausted,
    "project_spend_limit_exceeded": ProviderQuotaExhausted,
    "organization_usage_limit_exceeded": ProviderQuotaExhausted,
    "billing_hard_limit_reached": ProviderQuotaExhausted,
    "billing_not_active": ProviderQuotaExhausted,
    "server_is_overloaded": ProviderUnavailable,
    "server_error": ProviderUnavailable,
    "invalid_prompt": ProviderRefused,
    "content_policy_violation": ProviderRefused,
    "content_filter": ProviderRefused,
    "bio_policy": ProviderRefused,
    "misalignment_policy_violation": ProviderRefused,
    "context_length_exceeded": ProviderBadInput,
    "string_above_max_length": ProviderBadInput,
    "model_not_found": ProviderBadInput,
}

_BY_TYPE: dict[str, type[ProviderError]] = {
    "insufficient_quota": ProviderQuotaExhausted,
    "requests": ProviderRateLimited,
    "tokens": ProviderRateLimited,
    "rate_limit_error": ProviderRateLimited,
    "service_unavailable_error": ProviderUnavailable,
    "server_error": ProviderUnavailable,
    "authentication_error": ProviderKeyRejected,
}


def kind_of(code: object, kind: object, status: int | None) -> type[ProviderError]:
    """Return the error for a body's `code` and `type` and the HTTP `status`, which is None inside a stream."""
    for key, table in ((code, _BY_CODE), (kind, _BY_TYPE)):
        if isinstance(key, str) and key in table:
            return table[key]
    if status is None and str(code).isdecimal():
        # Compatible gateways put the HTTP status they would have sent into the frame's code.
        status = int(str(code)[:4])
    if status is not None:
        return kind_of_status(status)
    return ProviderBadInput if kind == "invalid_request_error" else ProviderUnavailable
