"""How to connect: redis-py's client for an address, without its own waiting and trying again."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Connection, ConnectionPool, Redis, Sentinel, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from app.store_url import RedisAddress

CONNECT_WITHIN_S = 1.0
SENTINEL_WITHIN_S = 0.5
"""A Sentinel that is gone is asked first now and then: the others must still be heard in time."""

_CLIENT_NAME = "quartet"


def make_client(address: RedisAddress) -> Redis:
    """Return a client that connects when it is first asked.

    It never tries again by itself: a script that seemed to fail may have run. Pooled connections that the server closed
    meanwhile are noticed before they are used.
    """
    common = _credentials(address.username, address.password) | {"db": address.db, "client_name": _CLIENT_NAME}
    if address.master:
        return _through_sentinels(address, common)
    if address.socket:
        pool = ConnectionPool(connection_class=UnixDomainSocketConnection, path=address.socket, **common, **_POLICY)
    else:
        ((host, port),) = address.hosts
        kind = SSLConnection if address.tls else Connection
        pool = ConnectionPool(connection_class=kind, host=host, port=port, **common, **_tls(address), **_TCP)
    return Redis.from_pool(pool)


def _through_sentinels(address: RedisAddress, common: dict[str, Any]) -> Redis:
    tls = _tls(address) | ({"ssl": True} if address.tls else {})
    asking = _POLICY | {"socket_connect_timeout": SENTINEL_WITHIN_S, "socket_timeout": SENTINEL_WITHIN_S}
    credentials = _credentials(address.sentinel_username, address.sentinel_password)
    hosts = list(address.hosts)
    sentinels = Sentinel(hosts, sentinel_kwargs=asking | credentials | tls)  # type: ignore[no-untyped-call]
    client: Redis = sentinels.master_for(address.master, **common, **tls, **_TCP)
    return client


async def close_client(client: Redis) -> None:
    """Close every connection, those to the Sentinels too."""
    manager = getattr(client.connection_pool, "sentinel_manager", None)
    await client.aclose(close_connection_pool=True)
    for sentinel in manager.sentinels if manager is not None else ():
        await sentinel.aclose(close_connection_pool=True)


def _credentials(username: str | None, password: str | None) -> dict[str, Any]:
    return {"username": username, "password": password}


def _tls(address: RedisAddress) -> dict[str, Any]:
    if not address.tls:
        return {}
    options: dict[str, Any] = dict(address.tls_options)
    check = options.pop("ssl_check_hostname", "true") == "true"
    return {**options, "ssl_check_hostname": check}


_POLICY: dict[str, Any] = {
    "socket_timeout": None,  # each call is bounded as a whole
    "socket_connect_timeout": CONNECT_WITHIN_S,
    "retry": Retry(NoBackoff(), 0),
    "protocol": 2,
    "maint_notifications_config": MaintNotificationsConfig(enabled=False),
}

_TCP: dict[str, Any] = {**_POLICY, "socket_keepalive": True}
