"""The Kubernetes pods, run here by their own commands and variables: nginx, the store's server, and an instance."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ops.health import get
from ops.nginx import find_nginx
from tests.acceptance.native_kit import until
from tests.redis_kit import RedisServer, free_port
from tests.unit.deploy.conftest import overlay
from tests.unit.deploy.kustomize import Document, render

SERVER = next((path for name in ("valkey-server", "redis-server") if (path := shutil.which(name))), "")
CLIENT = next((path for name in ("valkey-cli", "redis-cli") if (path := shutil.which(name))), "")
PASSWORD = "a-password-of-the-cluster"

pytestmark = pytest.mark.processes


@pytest.fixture(name="documents")
def the_example(tmp_path: Path) -> list[Document]:
    """The example overlay."""
    return render(overlay("example", tmp_path))


def container(documents: list[Document], name: str) -> dict[str, Any]:
    """A container by its name."""
    found = [
        each
        for document in documents
        for each in document.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
        if each["name"] == name
    ]
    return dict(found[0])


def config(documents: list[Document], name: str) -> dict[str, str]:
    """A ConfigMap's data."""
    (found,) = (each for each in documents if (each["kind"], each["metadata"]["name"]) == ("ConfigMap", name))
    return dict(found["data"])


def moved(command: list[str], places: dict[str, Path]) -> list[str]:
    """The command with the container's paths put below a directory of ours."""
    for old, new in places.items():
        command = [word.replace(old, str(new)) for word in command]
    return command


@pytest.mark.nginx
@pytest.mark.skipif(find_nginx() is None, reason="nginx with njs is not installed")
def test_the_nginx_pods_command_serves(documents: list[Document], tmp_path: Path) -> None:
    """The files of its ConfigMap and the variables of its pod make an nginx that listens; QUIT ends it with 0."""
    proxy, run = tmp_path / "proxy", tmp_path / "run"
    proxy.mkdir()
    for name, text in config(documents, "quartet-proxy").items():
        (proxy / name).write_text(text)
    nginx = container(documents, "nginx")
    public, ops = free_port(), free_port()
    found = find_nginx()
    assert found is not None
    environment = {
        "PATH": f"{os.environ['PATH']}:/usr/sbin",
        "NGINX_MODULE": found.module,
        **config(documents, "quartet-instances"),
        **config(documents, "quartet-nginx"),
        **{entry["name"]: entry["value"] for entry in nginx["env"]},
    }
    # The cluster's names mean nothing here; each one is an address where nobody listens.
    names = environment["INSTANCE_ADDRESSES"].split(",")
    environment["INSTANCE_ADDRESSES"] = ",".join(f"127.0.0.{k}:1" for k in range(1, len(names) + 1))
    environment["PUBLIC_LISTEN"] = environment["PUBLIC_LISTEN"].replace("0.0.0.0:8080", f"127.0.0.1:{public}")
    environment["OPS_LISTEN"] = environment["OPS_LISTEN"].replace(":8081", f":{ops}")
    environment["NGINX_RUN_DIR"] = str(run)
    command = moved([*nginx["command"], *nginx["args"]], {"/opt/quartet/proxy": proxy, "/tmp/quartet": tmp_path / "q"})
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: process.poll() is not None or listens(public), 10, "nginx listens")
            assert process.poll() is None
            with socket.create_connection(("127.0.0.1", public), timeout=5) as client:
                client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
                assert client.recv(100).split()[1] == b"502"
        finally:
            process.send_signal(3)
        assert process.wait(10) == 0
        assert process.stderr is not None
        process.stderr.read()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def valkey(documents: list[Document], tmp_path: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """The store's pod: its command with its configuration, under other paths and on another port."""
    data, etc, bin_dir = (tmp_path / name for name in ("store-data", "store-etc", "bin"))
    for directory in (data, etc, bin_dir):
        directory.mkdir(exist_ok=True)
    if not (bin_dir / "valkey-server").exists():
        (bin_dir / "valkey-server").symlink_to(SERVER)
        (bin_dir / "valkey-cli").symlink_to(CLIENT)
    text = config(documents, "quartet-valkey")["valkey.conf"]
    assert "dir /data\n" in text
    assert "port 6379\n" in text
    text = text.replace("dir /data\n", f"dir {data}\n").replace("port 6379\n", f"port {port}\n")
    (etc / "valkey.conf").write_text(text.replace("bind * -::*", "bind 127.0.0.1"))
    server = container(documents, "valkey")
    command = moved([*server["command"], *server["args"]], {"/etc/quartet": etc})
    environment = {"PATH": f"{bin_dir}:{os.environ['PATH']}", "VALKEY_PASSWORD": PASSWORD}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(10)
            assert process.stdout is not None
            process.stdout.read()


def cli(port: int, *words: str, password: str = PASSWORD) -> str:
    environment = {"PATH": os.environ["PATH"], **({"REDISCLI_AUTH": password} if password else {})}
    done = subprocess.run(
        [CLIENT, "-p", str(port), *words], env=environment, capture_output=True, text=True, timeout=10, check=False
    )
    return done.stdout.strip()


@pytest.mark.skipif(not SERVER or not CLIENT, reason="neither valkey-server nor redis-server is installed")
def test_the_stores_pod_keeps_what_it_acknowledged_and_its_password_to_itself(
    documents: list[Document], tmp_path: Path
) -> None:
    """Nobody gets in without the password, which no list of processes shows; each write is on the disk, and after a
    kill -9 everything is there again. The probe of the pod says so.
    """
    port = free_port()
    probe = container(documents, "valkey")["readinessProbe"]["exec"]["command"]
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "VALKEY_PASSWORD": PASSWORD}
    asked = [word.replace("valkey-cli ping", f"valkey-cli -p {port} ping") for word in probe]

    def ready() -> bool:
        return subprocess.run(asked, env=environment, capture_output=True, timeout=10, check=False).returncode == 0

    with valkey(documents, tmp_path, port) as process:
        until(ready, 10, "the store is ready")
        assert "NOAUTH" in cli(port, "ping", password="")
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert PASSWORD.encode() not in shown
        assert b"redis-server" in shown or b"valkey-server" in shown, "the server itself is the pod's first process"
        wanted = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
        assert {name: cli(port, "config", "get", name).splitlines()[-1] for name in wanted} == wanted
        assert cli(port, "set", "kept", "yes") == "OK"
        process.kill()
        process.wait(10)
        assert not ready()
    with valkey(documents, tmp_path, port):
        until(ready, 10, "the store is ready again")
        assert cli(port, "get", "kept") == "yes"


def secrets_of(documents: list[Document], volume: dict[str, Any], place: Path) -> None:
    """Lay a projected volume out as the kubelet does: each Secret's items as files; what is optional may be missing."""
    known = {each["metadata"]["name"]: each["data"] for each in documents if each["kind"] == "Secret"}
    for source in (each["secret"] for each in volume["projected"]["sources"]):
        data = known.get(source["name"])
        if data is None:
            assert source.get("optional"), f"{source['name']} has to be there"
            continue
        for item in source["items"]:
            path = place / item["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(base64.b64decode(data[item["key"]]))


def pod_environment(documents: list[Document], ordinal: int, address: str) -> dict[str, str]:
    """The variables of an instance's container, the pod's own facts filled in."""
    instance = container(documents, "instance")
    facts = {"metadata.labels['apps.kubernetes.io/pod-index']": str(ordinal), "status.podIP": address}
    variables: dict[str, str] = {}
    for source in instance["envFrom"]:
        variables |= config(documents, source["configMapRef"]["name"])
    for entry in instance["env"]:
        variables[entry["name"]] = entry.get("value") or facts[entry["valueFrom"]["fieldRef"]["fieldPath"]]
    return variables


def test_an_instances_pod_serves_with_its_own_keys_and_none_in_its_environment(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    """Pod 2 of the written overlay: what is mounted is set 2 alone, the process holds no secret in its environment, and
    its probes are answered; without the store it is no longer ready, but alive.
    """
    documents = render(overlay("written-4", tmp_path))
    instance = container(documents, "instance")
    volumes = {
        each["name"]: each
        for document in documents
        if document["metadata"]["name"] == "quartet-instance" and document["kind"] == "StatefulSet"
        for each in document["spec"]["template"]["spec"]["volumes"]
    }
    environment = pod_environment(documents, 2, "127.0.0.1")
    mounted = {}
    for mount in instance["volumeMounts"]:
        if mount["name"] in ("key-sets", "shared-secrets"):
            place = tmp_path / "volumes" / mount["name"]
            secrets_of(documents, volumes[mount["name"]], place)
            chosen = mount.get("subPathExpr", "").replace("$(INSTANCE_ID)", environment["INSTANCE_ID"])
            mounted[mount["mountPath"]] = place / chosen
    keys = sorted(path.read_text() for path in mounted["/run/quartet/keys"].iterdir())
    assert len(keys) == 3
    assert all(key.endswith("of-set-2") for key in keys)
    # The cluster's store is this test's; no other instance runs, and no home is looked for by name.
    (mounted["/run/quartet/shared"] / "STORE_URL").write_text(own_redis.url)
    places = ":".join(str(mounted[place]) for place in environment["SECRETS_DIR"].split(":"))
    port = free_port()
    environment |= {"SECRETS_DIR": places, "PORT": str(port), "DATA_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
    environment |= {"LOG_LEVEL": "ERROR"}

    def probe(kind: str) -> int:
        return get(f"http://127.0.0.1:{port}{instance[f'{kind}Probe']['httpGet']['path']}")[0]

    with subprocess.Popen([sys.executable, "-m", "app"], env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            until(lambda: probe("startup") == 200 or process.poll() is not None, 40, "the process lives")
            until(lambda: probe("readiness") == 200 or process.poll() is not None, 20, "it is ready")
            shown = Path(f"/proc/{process.pid}/environ").read_text()
            assert not [secret for secret in [*keys, own_redis.url, "test-bot-token"] if secret in shown]
            own_redis.kill()
            until(lambda: probe("readiness") == 503, 20, "it is not ready without its store")
            assert probe("liveness") == 200
        finally:
            process.terminate()
        assert process.wait(40) == 0
