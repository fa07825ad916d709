"""`STORE_URL` of a Redis or Valkey server: its forms, taken apart and checked without connecting.

    redis://[user:password@]host[:6379][/db]
    rediss://…                                           the same over TLS
    unix://[user:password@]/path/to/redis.sock[?db=0]
    redis+sentinel://[user:password@]host[:26379],…/name-of-the-master[/db]
    rediss+sentinel://…                                  the same over TLS

Options after `?`: `db`, and of TLS `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` (paths of PEM files) and
`ssl_check_hostname` (`true`, `false`); of Sentinels `sentinel_username` and `sentinel_password`, if theirs differ.
Special characters in a password are percent-encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
SCHEMES: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")

_TLS_OPTIONS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"})
_SENTINEL_OPTIONS = frozenset({"sentinel_username", "sentinel_password"})


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where the server is. With a `master` the `hosts` are Sentinels, which know where it is at the moment.

    As text it names the place and never a password.
    """

    hosts: tuple[tuple[str, int], ...] = ()
    socket: str = ""
    master: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    tls_options: Mapping[str, str] = field(default_factory=dict)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        places = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        where = self.socket or places
        return f"{self.master} at the Sentinels {where}" if self.master else where

    @property
    def secrets(self) -> list[str]:
        """The passwords, for redaction."""
        return [secret for secret in (self.password, self.sentinel_password) if secret]


def is_redis_url(url: str) -> bool:
    """Whether this is meant to be one of the forms."""
    return url.partition("://")[0] in SCHEMES and "://" in url


def redis_address(url: str) -> RedisAddress:
    """Take `url` apart; raise `ValueError` that says what is wrong with it, without repeating anything of it."""
    scheme = url.partition("://")[0]
    try:
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
    except ValueError as error:
        raise ValueError("is not a URL: percent-encode special characters of the password") from error
    if scheme not in SCHEMES or parts.fragment:
        raise ValueError("is not a store's URL: percent-encode special characters of the password")
    _check_options(scheme, options)
    username, password, places = _credentials(parts.netloc)
    path = unquote(parts.path)
    common = RedisAddress(
        username=username,
        password=password,
        tls=scheme.startswith("rediss"),
        tls_options={name: value for name, value in options.items() if name in _TLS_OPTIONS},
        sentinel_username=options.get("sentinel_username", username),
        sentinel_password=options.get("sentinel_password", password),
        db=_number(options.get("db", "0"), "database", 0, 9999),
    )
    return _placed(common, scheme, places, path, database_in_options="db" in options)


def _placed(common: RedisAddress, scheme: str, places: str, path: str, *, database_in_options: bool) -> RedisAddress:
    if scheme == "unix":
        if places or len(path) < 2:
            raise ValueError("names no socket: expected unix:///path/to/redis.sock")
        return replace(common, socket=path)
    sentinel = scheme.endswith("+sentinel")
    hosts = tuple(_host(place, SENTINEL_PORT if sentinel else REDIS_PORT) for place in places.split(","))
    segments = path.strip("/").split("/") if path.strip("/") else []
    master = segments.pop(0) if sentinel and segments else ""
    if sentinel and not master:
        raise ValueError("names no master: expected redis+sentinel://host:26379,host:26379/name-of-the-master")
    if not sentinel and len(hosts) > 1:
        raise ValueError("names several servers: Redis Cluster is not supported; use one server, or Sentinels")
    if len(segments) > 1 or (segments and database_in_options):
        raise ValueError("has a path that is no database's number")
    db = _number(segments[0], "database", 0, 9999) if segments else common.db
    return replace(common, hosts=hosts, master=master, db=db)


def _check_options(scheme: str, options: Mapping[str, str]) -> None:
    known = {"db"}
    if scheme.startswith("rediss"):
        known |= _TLS_OPTIONS
    if scheme.endswith("+sentinel"):
        known |= _SENTINEL_OPTIONS
    if set(options) - known:
        raise ValueError(f"has an option that is not known here: {scheme}:// knows {', '.join(sorted(known))}")
    if options.get("ssl_check_hostname", "true") not in ("true", "false"):
        raise ValueError("has an ssl_check_hostname that is neither true nor false")


def _credentials(netloc: str) -> tuple[str | None, str | None, str]:
    userinfo, at, places = netloc.rpartition("@")
    if not at:
        return None, None, places
    username, _, password = userinfo.partition(":")
    return unquote(username) or None, unquote(password) or None, places


def _host(place: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{place}")
        host, found = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError("has a host or a port that is none") from error
    if not host or parts.path or parts.username is not None:
        raise ValueError("names no host: expected redis://[user:password@]host:6379/0")
    return host, found or port


def _number(text: str, name: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise ValueError(f"has a {name} that is no number from {least} to {most}")
    return int(text)
