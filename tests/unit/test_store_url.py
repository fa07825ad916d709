"""The forms of STORE_URL for a Redis or Valkey server."""

from __future__ import annotations

import pytest

from app.store_url import RedisAddress, is_redis_url, redis_address


@pytest.mark.parametrize(
    ("url", "expected", "shown"),
    [
        ("redis://db", RedisAddress((("db", 6379),)), "db:6379"),
        (
            "redis://:p%40ss@10.0.0.1:7000/3",
            RedisAddress((("10.0.0.1", 7000),), db=3, password="p@ss", sentinel_password="p@ss"),
            "10.0.0.1:7000",
        ),
        (
            "rediss://bot:pw@[2001:db8::1]/1?ssl_ca_certs=/ca.pem",
            RedisAddress(
                (("2001:db8::1", 6379),), db=1, username="bot", password="pw", tls=True,
                tls_options={"ssl_ca_certs": "/ca.pem"}, sentinel_username="bot", sentinel_password="pw",
            ),
            "[2001:db8::1]:6379",
        ),
        ("unix:///run/redis.sock?db=2", RedisAddress(socket="/run/redis.sock", db=2), "/run/redis.sock"),
        (
            "redis+sentinel://:pw@a:26380,b/main/4?sentinel_password=other",
            RedisAddress(
                (("a", 26380), ("b", 26379)), master="main", db=4, password="pw", sentinel_password="other"
            ),
            "main at the Sentinels a:26380,b:26379",
        ),
        ("rediss+sentinel://a/main", RedisAddress((("a", 26379),), master="main", tls=True),
         "main at the Sentinels a:26379"),
    ],
)  # fmt: skip
def test_takes_every_form_apart(url: str, expected: RedisAddress, shown: str) -> None:
    """Every form says where the server is, and is shown without its password."""
    assert is_redis_url(url)
    found = redis_address(url)
    assert (found, str(found)) == (expected, shown)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://", "no host"),
        ("redis://:secret@/0", "no host"),
        ("redis://db:port/0", "host or a port"),
        ("redis://db:6379/x", "database"),
        ("redis://db:6379/0/1", "path"),
        ("redis://a,b/0", "Cluster"),
        ("redis://:se#cret@db/0", "percent-encode"),
        ("redis://db/0?ssl_ca_certs=/x", "option"),
        ("rediss://db/0?ssl_check_hostname=maybe", "ssl_check_hostname"),
        ("unix://", "no socket"),
        ("unix:///", "no socket"),
        ("redis+sentinel://a,b", "no master"),
        ("mysql://db/0", "no? ?store|not a store"),
    ],
)
def test_says_what_is_wrong_without_the_password(url: str, told: str) -> None:
    """Each fault is named in words; nothing of the URL is repeated."""
    with pytest.raises(ValueError, match=told) as raised:
        redis_address(url)
    assert "secret" not in str(raised.value)


def test_shows_no_password() -> None:
    """Neither as text nor as a representation; but redaction is told of both."""
    address = redis_address("redis+sentinel://:hush1@a/main?sentinel_password=hush2")
    assert "hush" not in f"{address} {address!r}"
    assert address.secrets == ["hush1", "hush2"]
