"""OpenAI's error answers, and what makes a chat request a bad one."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from simulator.chat_text import text_of
from simulator.pictures import in_data_url, size_in

ROLES = ("developer", "system", "user", "assistant", "tool", "function")
PARAMETERS = frozenset({
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens",
    "max_tokens", "messages", "metadata", "modalities", "model", "moderation", "n", "parallel_tool_calls",
    "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_retention", "reasoning_effort",
    "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options",
    "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
})  # fmt: skip


def error(
    status: int, message: str, kind: str, code: str | None, param: str | None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """Return an error body with all four keys."""
    return JSONResponse({"error": {"message": message, "type": kind, "param": param, "code": code}}, status, headers)


def unauthorized(request: Request, secret: str) -> Response:
    """Return 401; like the real API it echoes parts of the key."""
    if not secret:
        message = "You didn't provide an API key. You need to provide your API key in an Authorization header."
        return error(401, message, "invalid_request_error", None, None)
    shown = f"{secret[:8]}{'*' * 12}{secret[-4:]}"
    message = f"Incorrect API key provided: {shown}. You can find your API key at https://platform.openai.com/account/api-keys."
    return error(401, message, "invalid_request_error", "invalid_api_key", None)


def rate_limited(model: str, rpm: int | None, retry_after: float | None, headers: dict[str, str]) -> Response:
    """Return 429 for too many requests; `retry_after` None leaves the header out."""
    wait = 1.0 if retry_after is None else retry_after
    message = f"Rate limit reached for {model} on requests per min (RPM): Limit {rpm}. Please try again in {wait:.3f}s."
    sent = dict(headers)
    if retry_after is not None:
        sent |= {"retry-after": str(max(1, int(-(-retry_after // 1)))), "retry-after-ms": str(int(retry_after * 1000))}
    return error(429, message, "requests", "rate_limit_exceeded", None, sent)


def quota(code: str) -> Response:
    """Return 429 for an account without credit: no Retry-After, since waiting does not help."""
    message = "You exceeded your current quota, please check your plan and billing details."
    return error(429, message, "insufficient_quota", code, None)


def error_frame(code: object) -> dict[str, Any]:
    """Return the error object that may come as a stream's frame, inside HTTP 200."""
    kind = code if code in ("insufficient_quota", "rate_limit_exceeded") else "server_error"
    message = "The server had an error while processing your request."
    return {"error": {"message": message, "type": kind, "param": None, "code": None if code is None else str(code)}}


def check_request(body: dict[str, Any], context_chars: int) -> Response | None:
    """Return the error a chat request earns, or None."""
    kind = "invalid_request_error"
    if not body:
        return error(400, "We could not parse the JSON body of your request.", kind, None, None)
    for name in body:
        if name not in PARAMETERS:
            return error(400, f"Unrecognized request argument supplied: {name}", kind, "unknown_parameter", name)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        return error(400, "you must provide a model parameter", kind, None, "model")
    if model.startswith("unknown"):
        message = f"The model `{model}` does not exist or you do not have access to it."
        return error(404, message, kind, "model_not_found", None)
    if "max_tokens" in body and model.startswith(("gpt-5", "gpt-6", "o")):
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        return error(400, message, kind, "unsupported_parameter", "max_tokens")
    if "stream_options" in body and not body.get("stream"):
        return error(400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.", kind, None,
                     "stream_options")  # fmt: skip
    for name in ("max_completion_tokens", "max_tokens"):
        value = body.get(name)
        if value is not None and (not isinstance(value, int) or value < 1):
            return error(400, f"Invalid '{name}': integer below minimum value.", kind, "integer_below_min_value", name)
    if len(str(body.get("safety_identifier") or "")) > 128:
        return error(400, "Invalid 'safety_identifier': string too long.", kind, "string_above_max_length",
                     "safety_identifier")  # fmt: skip
    return _check_messages(body.get("messages"), context_chars)


def _check_messages(messages: Any, context_chars: int) -> Response | None:
    kind = "invalid_request_error"
    if not isinstance(messages, list) or not messages:
        return error(400, "Invalid 'messages': empty array. Expected an array with minimum length 1.", kind,
                     "empty_array", "messages")  # fmt: skip
    for i, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ROLES:
            return error(400, f"Invalid value: {role!r}.", kind, "invalid_value", f"messages[{i}].role")
        content = message.get("content")
        if not isinstance(content, str | list) and role != "assistant":
            text = f"Invalid value for 'content': expected a string, got {type(content).__name__}."
            return error(400, text, kind, None, f"messages.[{i}].content")
        for j, part in enumerate(content if isinstance(content, list) else []):
            if refused := _check_part(part, role, f"messages[{i}].content[{j}]"):
                return refused
    if sum(len(text_of(message.get("content"))) for message in messages) > context_chars:
        text = f"This model's maximum context length is {context_chars // 4} tokens. Please reduce the length of the messages."  # noqa: E501
        return error(400, text, kind, "context_length_exceeded", "messages")
    return None


def _check_part(part: Any, role: str, at: str) -> Response | None:
    """Return the error a content part earns: unknown kinds, and pictures that are none."""
    kind = "invalid_request_error"
    shape = part.get("type") if isinstance(part, dict) else None
    if shape == "text" and isinstance(part.get("text"), str):
        return None
    if shape != "image_url" or role != "user":
        return error(400, f"Invalid value: {shape!r}.", kind, "invalid_value", f"{at}.type")
    picture = part.get("image_url")
    url = picture.get("url") if isinstance(picture, dict) else None
    if not isinstance(url, str) or not url.startswith(("data:", "https://", "http://")):
        return error(
            400, "Invalid 'image_url': expected a URL or a data URL.", kind, "invalid_value", f"{at}.image_url"
        )
    if isinstance(picture, dict) and picture.get("detail", "auto") not in ("auto", "low", "high", "original"):
        return error(400, "Invalid value for 'detail'.", kind, "invalid_value", f"{at}.image_url.detail")
    if not url.startswith("data:"):
        return None
    data = in_data_url(url)
    if data is None:
        return error(400, "Invalid base64 image_url.", kind, "invalid_base64", None)
    if size_in(data) is None:
        text = "You uploaded an unsupported image. Please make sure your image has of one the following formats: ['png', 'jpeg', 'gif', 'webp']."  # noqa: E501
        return error(400, text, kind, "invalid_image_format", None)
    return None
