"""Several hosts as their operators handle them, one of them with nginx alone; the application is a stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.envfile import KEY_NAMES
from ops.health import get
from ops.nginx import find_nginx
from tests.acceptance.native_kit import Bot, free_block, make_checkout

pytestmark = [
    pytest.mark.processes,
    pytest.mark.nginx,
    pytest.mark.skipif(find_nginx() is None, reason="nginx with njs is not installed"),
]

HOSTS = ("127.0.0.2", "127.0.0.3")


@pytest.fixture(name="checkout", scope="module")
def a_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One checkout; each host has its own file and data."""
    return make_checkout(tmp_path_factory.mktemp("hosts") / "checkout")


class Hosts:
    """Their files, with `count` instances dealt out to two of them in turn."""

    def __init__(self, checkout: Path, directory: Path) -> None:
        self.base = free_block(12)
        self.bots = {name: Bot(checkout, directory / name, self.base) for name in ("a", "b", "front")}
        for bot in self.bots.values():
            bot.directory.mkdir()
        self.write(4)

    def address(self, number: int) -> str:
        """Where an instance listens."""
        return f"{HOSTS[(number - 1) % 2]}:{self.base + 6 + (number - 1) // 2}"

    def here(self, name: str, count: int) -> list[int]:
        """The instances of a host."""
        return {"a": list(range(1, count + 1, 2)), "b": list(range(2, count + 1, 2)), "front": []}[name]

    def write(self, count: int, *names: str) -> None:
        """Write the files (of these hosts) for so many instances; each holds its own key sets only."""
        for place, (name, bot) in enumerate(self.bots.items()):
            here = self.here(name, count)
            keys = {
                f"{key}_{k}": f"sk-{key}-of-set-{k}" if k in here else None for k in range(1, 7) for key in KEY_NAMES
            }
            if not names or name in names:
                bot.configure(
                    **keys,
                    INSTANCE_COUNT=str(count),
                    INSTANCE_BASE_PORT=None,
                    INSTANCE_ADDRESSES=",".join(map(self.address, range(1, count + 1))),
                    INSTANCES_HERE=",".join(map(str, here)) or "none",
                    STORE_URL="redis://:nobody-asks@127.0.0.1:1/0",
                    PUBLIC_PORT=str(self.base + place),
                    OPS_PORT=str(self.base + 3 + place),
                    **({"DISCORD_TOKEN": None} if name == "front" else {}),
                )

    def front_health(self) -> int:
        """What the nginx of the host without instances answers."""
        return get(f"http://127.0.0.1:{self.base + 2}/health")[0]


@pytest.fixture(name="hosts")
def some_hosts(checkout: Path, tmp_path: Path) -> Iterator[Hosts]:
    """Three hosts, ended whatever the test does to them."""
    made = Hosts(checkout, tmp_path)
    yield made
    for bot in made.bots.values():
        assert bot.run("stop").returncode == 0
        assert bot.alive() == []


def test_each_host_runs_its_part_and_sees_the_others(hosts: Hosts) -> None:
    """nginx alone comes up before anybody else, says so, and serves as soon as one instance is there; each host shows
    its own programs and the others' health; a log is where its instance is; a host that stops takes nobody with it.
    """
    first, second, front = hosts.bots.values()
    early = front.run("start", "--native")
    assert early.returncode == 1, "nginx runs, but nobody answers behind it yet"
    assert "unhealthy (502)" in early.stdout
    first.start()
    assert hosts.front_health() == 200
    seen = {program["name"]: program for program in first.status()["programs"]}
    assert list(seen) == ["instance-1", "instance-3", "nginx", "instance-2", "instance-4"]
    assert (seen["instance-2"]["here"], seen["instance-2"]["health"]) == (False, "no answer")
    assert first.status()["healthy"] is True, "another host's instances are not this host's fault"
    second.start()
    everybody = {program["name"]: program["health"] for program in front.status()["programs"]}
    assert everybody == dict.fromkeys([*(f"instance-{k}" for k in range(1, 5)), "nginx"], "healthy")
    assert first.run("logs", "3").stdout.strip() == "instance 3 serves"
    elsewhere = first.run("logs", "2")
    assert elsewhere.returncode == 2
    assert f"It runs at {hosts.address(2)}, on another host." in elsewhere.stderr
    assert first.run("stop").returncode == 0
    assert hosts.front_health() == 200
    assert second.status()["healthy"] is True


def test_growing_goes_host_by_host(hosts: Hosts) -> None:
    """From four to six: each host's restart adds its own new instance and tells its nginx; in between they differ.
    And the other way round: what is no longer wanted here is stopped.
    """
    first, second, front = hosts.bots.values()
    for bot in (first, second, front):
        bot.start()
    before = first.pids()
    hosts.write(6, "a")
    assert first.run("restart").returncode == 0
    after = first.pids()
    assert {name for name, pid in after.items() if pid} == {"instance-1", "instance-3", "instance-5", "nginx"}
    assert after["nginx"] == before["nginx"]
    assert after["instance-1"] != before["instance-1"]
    assert front.status()["healthy"] is True
    hosts.write(6, "b", "front")
    for bot in (second, front):
        done = bot.run("restart")
        assert done.returncode == 0, done.stderr
    assert len(front.status()["programs"]) == 7
    upstream = (front.paths.run / "nginx" / "nginx.conf").read_text().split("upstream home_6 {")[1].split("}")[0]
    assert upstream.split("server ")[1].startswith(hosts.address(6))
    hosts.write(4, "a")
    assert first.run("restart").returncode == 0
    assert {name for name, pid in first.pids().items() if pid} == {"instance-1", "instance-3", "nginx"}


def test_what_can_not_be_is_told_before_anything_starts(hosts: Hosts) -> None:
    """A SQLite file for two hosts, and an address that is not this machine's."""
    first = hosts.bots["a"]
    text = (first.directory / ".env.multi").read_text()
    (first.directory / ".env.multi").write_text(text.replace("redis://:nobody-asks@127.0.0.1:1/0", ""))
    refused = first.run("start", "--native")
    assert refused.returncode == 2
    assert "STORE_URL: is a SQLite file, which 2 hosts can't share" in refused.stderr
    (first.directory / ".env.multi").write_text(text.replace("127.0.0.2:", "192.0.2.1:"))
    refused = first.run("start", "--native")
    assert refused.returncode == 2
    assert "192.0.2.1 is not an address of this machine, but instance-1 is to run here" in refused.stderr
    assert first.alive() == []
