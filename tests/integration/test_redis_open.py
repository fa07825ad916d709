"""What the operator hears of a server that can't hold the store, or may lose what it holds."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from app.errors import StoreUnavailable
from app.jobs import redis_engine
from app.jobs.redis_engine import RedisEngine
from tests.redis_kit import RedisServer, free_port, running_redis

PASSWORD = "correct-horse"


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisEngine]:
    """An engine that is open."""
    engine = RedisEngine(url)
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()


async def refusal(url: str) -> str:
    """Return why an engine does not open."""
    engine = RedisEngine(url)
    with pytest.raises(StoreUnavailable) as raised:
        await engine.open()
    with pytest.raises(StoreUnavailable, match="not open"):
        await engine.time()
    return str(raised.value)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that does not wait for a server to come up."""
    monkeypatch.setattr(redis_engine, "OPEN_WITHIN_S", 0.0)


async def test_nobody_there(impatient: None) -> None:
    """The place is named, and the password is not."""
    port = free_port()
    told = await refusal(f"redis://:{PASSWORD}@127.0.0.1:{port}/0")
    assert f"127.0.0.1:{port}" in told and "can't be reached" in told
    assert PASSWORD not in told


@pytest.mark.parametrize("given", ["", ":wrong@", "somebody:wrong@"])
async def test_a_wrong_password(given: str) -> None:
    """No password, a wrong one and an unknown user are told at once, and nothing is repeated of them."""
    with running_redis(tcp=True, requirepass=PASSWORD) as server:
        loop = asyncio.get_running_loop()
        began = loop.time()
        told = await refusal(f"redis://{given}127.0.0.1:{server.port}/0")
        assert "password" in told and "STORE_URL" in told
        assert "wrong" not in told and PASSWORD not in told
        assert loop.time() - began < 2
        async with opened(server.url) as engine:
            assert await engine.time() > 0


async def test_cluster_mode() -> None:
    """A cluster is refused with the reason."""
    with running_redis(tcp=True, cluster_enabled="yes", cluster_config_file="nodes.conf") as server:
        assert "cluster mode" in await refusal(server.url)


async def test_a_replica(impatient: None) -> None:
    """A read-only replica is refused, and its master named."""
    with running_redis(tcp=True) as master, running_redis(tcp=True, replicaof=f"127.0.0.1 {master.port}") as replica:
        told = await refusal(replica.url)
        assert f"replica of 127.0.0.1:{master.port}" in told and "sentinel" in told


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("appendonly", "no", "appendonly is off"),
        ("appendfsync", "everysec", "appendfsync is everysec"),
        ("maxmemory-policy", "allkeys-lru", "maxmemory-policy is allkeys-lru"),
    ],
)
async def test_warns_of_what_may_lose_jobs(own_redis: RedisServer, name: str, value: str, told: str) -> None:
    """A server that may lose accepted jobs is taken, with one sentence in the log and for the doctor, with the risk."""
    own_redis.set(name, value)
    with structlog.testing.capture_logs() as logs:
        async with opened(own_redis.url) as engine:
            (remark,) = await engine.remarks()
    assert remark.startswith(told) and "never answered" in remark
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == [remark]


async def test_a_durable_server_needs_no_remark(own_redis: RedisServer) -> None:
    """A server set up as documented is opened without a word."""
    with structlog.testing.capture_logs() as logs:
        async with opened(own_redis.url) as engine:
            assert await engine.remarks() == []
    assert logs == []


async def test_says_what_it_may_not_look_at(own_redis: RedisServer) -> None:
    """Where CONFIG is forbidden, as managed services do, it is said that durability could not be checked."""
    own_redis.call("ACL", "SETUSER", "bot", "on", f">{PASSWORD}", "~{quartet}:*", "+@all", "-config")
    async with opened(f"redis://bot:{PASSWORD}@127.0.0.1:{own_redis.port}/0") as engine:
        (remark,) = await engine.remarks()
    assert "appendfsync could not be checked" in remark


async def test_over_tls_with_its_own_authority(tmp_path: Path) -> None:
    """rediss:// checks the certificate against the given authority, and refuses one it does not know."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out",
               str(certificate), "-days", "2", "-subj", "/CN=localhost", "-addext",
               "subjectAltName=DNS:localhost,IP:127.0.0.1"]  # fmt: skip
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    port = free_port()
    files: dict[str, Any] = {
        "tls_cert_file": str(certificate),
        "tls_key_file": str(key),
        "tls_ca_cert_file": str(certificate),
    }
    with running_redis(tls_port=str(port), tls_auth_clients="no", **files):
        async with opened(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}") as engine:
            assert await engine.time() > 0
        engine = RedisEngine(f"rediss://127.0.0.1:{port}/0")
        with pytest.raises(StoreUnavailable, match="certificate"):
            await engine.open()


async def test_another_database_and_a_socket(own_redis: RedisServer, shared_redis: RedisServer) -> None:
    """A database of its own is used where one is named, and a Unix socket does."""
    async with opened(own_redis.url.removesuffix("/0") + "/5") as engine:
        await engine.takes_new()
    assert own_redis.call("INFO", "keyspace").keys() == {"db5"}
    async with opened(f"unix://{shared_redis.socket}?db=1") as engine:
        await engine.takes_new()


async def test_waits_for_a_server_that_is_just_starting(own_redis: RedisServer) -> None:
    """An instance that starts a moment before its server opens when that is there."""
    own_redis.kill()
    engine = RedisEngine(own_redis.url)
    opening = asyncio.create_task(engine.open())
    await asyncio.sleep(0)
    assert not opening.done()
    await asyncio.to_thread(own_redis.start)
    await opening
    await engine.close()
