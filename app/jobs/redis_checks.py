"""Whether a server can hold the store, and what is risky about how it is configured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

OLDEST: Final = (6, 2)

_CLUSTER = (
    "runs in cluster mode, where keys move between servers: Quartet needs one server (with replicas and Sentinels if "
    "it is to fail over)"
)
_REPLICA = (
    "is a read-only replica of {master}: name that one in STORE_URL, or let redis+sentinel://… find it, so that a "
    "failover is followed"
)
_NO_APPEND_ONLY = (
    "appendonly is off: when the server stops, interactions that were accepted since its last snapshot are never "
    "answered; set `appendonly yes` and `appendfsync always`"
)
_NOT_ALWAYS = (
    "appendfsync is {value}, not always: when the server's machine stops, interactions accepted in the last second or "
    "more are never answered; set `appendfsync always`"
)
_EVICTS = (
    "maxmemory-policy is {value}: when its memory is full the server deletes accepted interactions, which are never "
    "answered; set `maxmemory-policy noeviction`"
)
_UNKNOWN = "{name} could not be checked, because the server forbids looking: make sure that it is `{wanted}`"


@dataclass(frozen=True, slots=True)
class ServerReport:
    """What a look at the server found. A `fault` makes it useless; one that is `passing` may be gone in a moment."""

    version: tuple[int, ...] = ()
    fault: str = ""
    passing: bool = False
    remarks: Sequence[str] = ()


async def examine(client: Redis) -> ServerReport:
    """Look the server over. Raises redis-py's errors while it can't be asked."""
    await client.ping()  # so that a wrong password is told from what is merely forbidden
    info = await _info(client)
    version = _version(str(info.get("redis_version", "")))
    if info.get("redis_mode") == "cluster" or str(info.get("cluster_enabled", "0")) == "1":
        return ServerReport(version, _CLUSTER)
    if version and version < OLDEST:
        oldest, found = (".".join(map(str, numbers)) for numbers in (OLDEST, version))
        return ServerReport(version, f"is Redis {found}: {oldest} or later (or Valkey) is needed")
    if info.get("role") == "slave":
        master = f"{info.get('master_host', '?')}:{info.get('master_port', '?')}"
        return ServerReport(version, _REPLICA.format(master=master), passing=True)
    return ServerReport(version, remarks=await _remarks(client, info))


async def _info(client: Redis) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = await client.info()
    except ResponseError:  # forbidden to this user: what matters shows when it is used
        return {}
    return found


async def _remarks(client: Redis, info: Mapping[str, Any]) -> Sequence[str]:
    remarks = []
    append_only = await _setting(client, "appendonly")
    if append_only is None and "aof_enabled" in info:
        append_only = "yes" if int(info["aof_enabled"]) else "no"
    flushes = await _setting(client, "appendfsync")
    if append_only is None:
        remarks.append(_UNKNOWN.format(name="appendonly", wanted="yes"))
    elif append_only != "yes":
        remarks.append(_NO_APPEND_ONLY)
    if append_only != "no":
        if flushes is None:
            remarks.append(_UNKNOWN.format(name="appendfsync", wanted="always"))
        elif flushes != "always":
            remarks.append(_NOT_ALWAYS.format(value=flushes))
    evicts = await _setting(client, "maxmemory-policy") or info.get("maxmemory_policy")
    if evicts is None:
        remarks.append(_UNKNOWN.format(name="maxmemory-policy", wanted="noeviction"))
    elif evicts != "noeviction":
        remarks.append(_EVICTS.format(value=evicts))
    return remarks


async def _setting(client: Redis, name: str) -> str | None:
    """Return a setting's value; None where CONFIG is forbidden, as managed services do."""
    try:
        found = await client.config_get(name)
    except RedisError as error:
        if isinstance(error, ResponseError):
            return None
        raise
    values = {_text(key): _text(value) for key, value in found.items()}
    return values.get(name)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())
