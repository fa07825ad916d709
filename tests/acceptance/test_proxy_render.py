"""render.sh turns the environment into a configuration that nginx takes, or names every fault."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.proxy_kit import (
    NGINX,
    PROXY_DIR,
    StandIn,
    connected,
    environment,
    front,
    interaction,
    needs_nginx,
    nginx,
    render,
)

pytestmark = needs_nginx

ADDRESSES = ["127.0.0.1:9001", "localhost:9002", "[::1]:9003"]


def check(conf: Path) -> subprocess.CompletedProcess[str]:
    """Let nginx judge a configuration."""
    command = [NGINX, "-t", "-c", str(conf), "-e", "stderr"]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)


def files_below(directory: Path) -> set[str]:
    """The files in a directory and below it, relative to it."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


async def test_paths_with_spaces_work(tmp_path: Path) -> None:
    """A directory with spaces and Korean in its name serves like any other."""
    directory = tmp_path / "my bot 내 봇"
    directory.mkdir()
    async with front(directory, 2) as running:
        assert (await running.post(interaction(12345))).instance == 2


async def test_nothing_is_written_outside_the_run_directory(tmp_path: Path) -> None:
    """After serving a large body, no file but the pid stands in the run directory, and none elsewhere."""
    async with front(tmp_path, 1) as running:
        await running.post(interaction(1, data="x" * 1_000_000))
        assert files_below(tmp_path) == {"conf/nginx.conf", "conf/routing.js", "error.log", "run/nginx.pid"}


@pytest.mark.parametrize("separator", [",", " ", ", ", "\n"])
def test_addresses_of_every_kind(tmp_path: Path, separator: str) -> None:
    """IPv4, a name and IPv6, in any of the allowed notations, keep their order; each home has the others as backup."""
    env = environment(ADDRESSES, tmp_path, 18080, 18081) | {"INSTANCE_ADDRESSES": separator.join(ADDRESSES)}
    rendered = render(env, tmp_path / "conf")
    assert (rendered.returncode, rendered.stdout, rendered.stderr) == (0, "", "")
    text = (tmp_path / "conf/nginx.conf").read_text()
    second = text.split("upstream home_2 {")[1].split("}")[0]
    servers = [line.split() for line in second.splitlines() if "server" in line]
    assert [server[1] for server in servers] == [ADDRESSES[1], ADDRESSES[2], ADDRESSES[0]]
    assert [server[-1] == "backup;" for server in servers] == [False, True, True]
    assert "${" not in text
    assert check(tmp_path / "conf/nginx.conf").returncode == 0


def test_sockets_take_the_place_of_addresses(tmp_path: Path) -> None:
    """An instance with a socket is reached there, one without at its address, in every upstream alike."""
    env = environment(ADDRESSES, tmp_path, 18080, 18081) | {"INSTANCE_SOCKETS": "/run/q-1/a.sock,-,/run/q-1/c.sock"}
    rendered = render(env, tmp_path / "conf")
    assert (rendered.returncode, rendered.stdout, rendered.stderr) == (0, "", "")
    text = (tmp_path / "conf/nginx.conf").read_text()
    second = text.split("upstream home_2 {")[1].split("}")[0]
    servers = [line.split()[1] for line in second.splitlines() if "server" in line]
    assert servers == [ADDRESSES[1], "unix:/run/q-1/c.sock", "unix:/run/q-1/a.sock"]
    assert ADDRESSES[0] not in text and ADDRESSES[2] not in text
    assert check(tmp_path / "conf/nginx.conf").returncode == 0


@pytest.mark.parametrize("sockets", ["/a.sock", "/a.sock,b.sock,-", "/a.sock,/b;c.sock,-"])
def test_wrong_sockets_are_named(tmp_path: Path, sockets: str) -> None:
    """Too few of them, a relative path, a character that means something to nginx."""
    rendered = render(environment(ADDRESSES, tmp_path, 18080, 18081) | {"INSTANCE_SOCKETS": sockets}, tmp_path / "conf")
    assert rendered.returncode == 2
    assert rendered.stderr.count("INSTANCE_SOCKETS") == 1


def test_sixteen_instances_and_everything_optional(tmp_path: Path) -> None:
    """The largest set and all optional variables make a configuration that nginx accepts."""
    addresses = [f"127.0.0.1:{9000 + number}" for number in range(16)]
    env = environment(addresses, tmp_path, 18080, 18081)
    env |= {"NGINX_WORKERS": "auto", "PROXY_CLIENT_TIMEOUT_S": "30", "PROXY_ANSWER_TIMEOUT_MS": "900"}
    env |= {"PUBLIC_LISTEN": "0.0.0.0:18080", "OPS_LISTEN": "[::1]:18081"}
    assert render(env, tmp_path / "conf").returncode == 0
    assert check(tmp_path / "conf/nginx.conf").returncode == 0
    assert "proxy_read_timeout 900ms;" in (tmp_path / "conf/nginx.conf").read_text()


def test_all_faults_are_listed_at_once(tmp_path: Path) -> None:
    """Each wrong variable has its line, the exit status is 2, and nothing is written."""
    env = {
        "PATH": os.environ["PATH"],
        "INSTANCE_COUNT": "17",
        "INSTANCE_ADDRESSES": "a:0 b c:99999 d:1;}",
        "PUBLIC_LISTEN": "8080",
        "NGINX_RUN_DIR": "relative",
        "NGINX_MODULE": "/nowhere.so",
        "NGINX_WORKERS": "many",
        "PROXY_CLIENT_TIMEOUT_S": "0",
        "PROXY_ANSWER_TIMEOUT_MS": "5s",
    }
    rendered = render(env, tmp_path / "conf")
    named = [line.split(" ")[0].rstrip(":") for line in rendered.stderr.splitlines()]
    expected = ["INSTANCE_COUNT", *["INSTANCE_ADDRESSES"] * 4, "PUBLIC_LISTEN", "OPS_LISTEN"]
    expected += ["NGINX_RUN_DIR", "NGINX_MODULE", "NGINX_WORKERS", "PROXY_CLIENT_TIMEOUT_S", "PROXY_ANSWER_TIMEOUT_MS"]
    assert (rendered.returncode, named) == (2, expected)
    assert not (tmp_path / "conf/nginx.conf").exists()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"INSTANCE_ADDRESSES": ""}, "INSTANCE_ADDRESSES is empty"),
        ({"INSTANCE_COUNT": "2"}, "INSTANCE_ADDRESSES has 3 addresses, but INSTANCE_COUNT is 2"),
        ({"INSTANCE_ADDRESSES": "a:1 b:2 a:1"}, "INSTANCE_ADDRESSES: 'a:1' stands there twice"),
        ({"INSTANCE_ADDRESSES": "a:1 b:2 *:3"}, "INSTANCE_ADDRESSES: '*:3' is not host:port"),
        ({"INSTANCE_COUNT": ""}, "INSTANCE_COUNT must be"),
        ({"INSTANCE_COUNT": "03"}, "INSTANCE_COUNT must be"),
        ({"OPS_LISTEN": "127.0.0.1:18080"}, "OPS_LISTEN must differ from PUBLIC_LISTEN"),
        ({"NGINX_RUN_DIR": '/tmp/a"b'}, "NGINX_RUN_DIR must not contain"),
        ({"NGINX_RUN_DIR": "/proc/nowhere"}, "NGINX_RUN_DIR can't be created"),
    ],
)
def test_each_fault_is_told(tmp_path: Path, changes: dict[str, str], fault: str) -> None:
    """One wrong value gives exactly one line that says what is wrong."""
    rendered = render(environment(ADDRESSES, tmp_path, 18080, 18081) | changes, tmp_path / "conf")
    assert rendered.returncode == 2
    assert [line.startswith(fault) for line in rendered.stderr.splitlines()] == [True], rendered.stderr


async def test_rendering_again_keeps_a_running_nginx_served(tmp_path: Path) -> None:
    """A second rendering over the first leaves no half-written file behind and nginx goes on answering."""
    instance = StandIn(1)
    await instance.start()
    addresses = [f"127.0.0.1:{instance.port}"]
    async with nginx(addresses, tmp_path) as ports, connected(ports[0]) as client:
        assert render(environment(addresses, tmp_path, *ports), tmp_path / "conf").returncode == 0
        assert sorted(path.name for path in (tmp_path / "conf").iterdir()) == ["nginx.conf", "routing.js"]
        assert (await client.post(interaction(7))).status == 200
    await instance.stop()


def test_the_containers_entry_script_renders(tmp_path: Path) -> None:
    """What the official image runs before nginx writes the configuration to the directory it is given."""
    env = environment(ADDRESSES, tmp_path, 18080, 18081)
    env |= {"QUARTET_PROXY_DIR": str(PROXY_DIR), "QUARTET_CONF_DIR": str(tmp_path / "quartet")}
    script = PROXY_DIR / "docker-entrypoint.d/15-quartet.sh"
    assert os.access(script, os.X_OK), "the image skips scripts that are not executable"
    subprocess.run([str(script)], env=env, timeout=10, check=True)
    assert check(tmp_path / "quartet/nginx.conf").returncode == 0
