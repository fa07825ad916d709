"""Instances on several hosts: what `.env.multi` says of them, and what a native system makes of it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ops.checks import check
from ops.envfile import KEY_NAMES
from ops.failures import OpsError
from ops.hosts import read_addresses, read_here
from ops.native import health_urls, proxy_variables
from ops.nginx import Nginx
from ops.plan import plan, replan
from ops.status import ELSEWHERE, ProgramStatus, Status
from ops.supervisor import configuration
from ops.system import Paths, System, load_system
from tests.acceptance.native_kit import free_block
from tests.unit.ops.files import env_file

TWO_HOSTS = "127.0.0.2:{0},127.0.0.2:{1},127.0.0.3:{0},127.0.0.3:{1}"
SHARED = {"STORE_URL": "redis://127.0.0.1:6379/0"}


def two_hosts(base: int = 18101) -> str:
    """Addresses of four instances on two hosts."""
    return TWO_HOSTS.format(base, base + 1)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"INSTANCE_ADDRESSES": "10.0.0.1"}, "INSTANCE_ADDRESSES: is not a list of host:port: look at number 1"),
        ({"INSTANCE_ADDRESSES": "a:1,a:70000"}, "INSTANCE_ADDRESSES: is not a list of host:port: look at number 2"),
        ({"INSTANCE_ADDRESSES": "a:1,b:2,a:1"}, "INSTANCE_ADDRESSES: has number 3 twice"),
        ({"INSTANCE_ADDRESSES": "a:1,b:2"}, "INSTANCE_ADDRESSES: has 2 addresses, but INSTANCE_COUNT is 4"),
        ({"INSTANCE_ADDRESSES": two_hosts(), "INSTANCE_BASE_PORT": "8101"}, "INSTANCE_BASE_PORT: has no use beside"),
        ({"INSTANCES_HERE": "1,2"}, "INSTANCES_HERE: needs INSTANCE_ADDRESSES"),
        ({"INSTANCE_ADDRESSES": two_hosts(), "INSTANCES_HERE": "4,5"}, "INSTANCES_HERE: 5 is larger than"),
        ({"INSTANCE_ADDRESSES": two_hosts(), "INSTANCES_HERE": "1;2"}, "INSTANCES_HERE: is not a list of instances"),
    ],
)
def test_each_wrong_word_about_hosts_is_told(tmp_path: Path, changes: dict[str, str], fault: str) -> None:
    """One fault, by the variable's name."""
    report = check(env_file(tmp_path, **SHARED, **changes))
    assert [told[: len(fault)] for told in report.faults] == [fault]


def test_a_file_of_one_host_is_no_store_for_two(tmp_path: Path) -> None:
    """SQLite is refused with what to use; all instances on one other host may have it."""
    report = check(env_file(tmp_path, INSTANCE_ADDRESSES=two_hosts()))
    (fault,) = report.faults
    assert fault.startswith("STORE_URL: is a SQLite file, which 2 hosts can't share; use redis://")
    one = ",".join(f"10.0.0.1:810{k}" for k in range(4))
    assert check(env_file(tmp_path, INSTANCE_ADDRESSES=one)).faults == []


def test_a_host_needs_the_key_sets_of_its_own_instances_only(tmp_path: Path) -> None:
    """Sets 3 and 4 may be missing where only 1 and 2 run; one of its own that is missing is told."""
    others: dict[str, None] = {f"{name}_{k}": None for name in KEY_NAMES for k in (3, 4)}
    hosts = {**SHARED, "INSTANCE_ADDRESSES": two_hosts(), "INSTANCES_HERE": "1, 2"}
    report = check(env_file(tmp_path, **hosts, **others))
    assert report.faults == []
    assert report.settings is not None
    assert report.settings.here == [1, 2]
    missing = check(env_file(tmp_path, **hosts, **others, OPENAI_API_KEY_2=None)).faults
    assert missing == ["OPENAI_API_KEY_2: is missing (INSTANCE_COUNT is 4)"]


def test_a_host_that_runs_only_nginx_holds_no_secret(tmp_path: Path) -> None:
    """Neither a key nor the bot's token is asked for."""
    keys: dict[str, None] = {f"{name}_{k}": None for name in KEY_NAMES for k in range(1, 5)}
    hosts = {**SHARED, "INSTANCE_ADDRESSES": two_hosts(), "INSTANCES_HERE": "none", "DISCORD_TOKEN": None}
    report = check(env_file(tmp_path, **hosts, **keys))
    assert report.faults == []
    assert report.settings is not None
    assert report.settings.here == []


def test_both_lists_take_commas_and_blanks() -> None:
    """IPv6 hosts stand in brackets; ids are put in order, each once."""
    assert read_addresses("[fd00::1]:8101, bot-2.internal:8102") == ("[fd00::1]:8101", "bot-2.internal:8102")
    assert read_here("3,1 3") == (1, 3)
    assert (read_here(""), read_here("NONE")) == (None, ())


def planned(directory: Path, here: str, base: int) -> System:
    """What a host would run."""
    hosts = {**SHARED, "INSTANCE_ADDRESSES": two_hosts(base), "INSTANCES_HERE": here}
    hosts |= {"PUBLIC_PORT": str(base + 2), "OPS_PORT": str(base + 3)}
    file = env_file(directory, **hosts)
    report = check(file)
    assert report.settings is not None, report.faults
    return plan(file, report.settings, Nginx("nginx", "njs.so"), Paths(directory / "data"), lambda _: None)


def test_a_host_runs_its_own_instances_and_its_nginx_knows_all(tmp_path: Path) -> None:
    """Programs, health pages and the supervisor's configuration are of instances 3 and 4; nginx is given four."""
    base = free_block(4)
    system = planned(tmp_path, "3,4", base)
    assert system.programs == ["instance-3", "instance-4", "nginx"]
    assert system.addresses["instance-3"] == f"127.0.0.3:{base}"
    assert health_urls(system)["instance-4"] == f"http://127.0.0.3:{base + 1}/health"
    assert proxy_variables(system, "njs.so", tmp_path)["INSTANCE_ADDRESSES"] == two_hosts(base)
    assert proxy_variables(system, "njs.so", tmp_path)["INSTANCE_COUNT"] == "4"
    assert "[program:instance-1]" not in configuration(system)
    assert planned(tmp_path, "none", base).programs == ["nginx"]


def test_a_record_of_several_hosts_is_read_as_it_was_written(tmp_path: Path) -> None:
    """A supervised program finds its address and its number in it."""
    system = planned(tmp_path, "3,4", free_block(4))
    paths = Paths(tmp_path / "data")
    paths.make()
    system.save()
    assert load_system(paths.run) == system


def test_an_address_of_another_machine_is_not_started_here(tmp_path: Path) -> None:
    """The fault says whose address it is not, before anything is started (192.0.2.0/24 is nobody's)."""
    addresses = "192.0.2.1:8101,127.0.0.3:8102,127.0.0.3:8103,127.0.0.3:8104"
    file = env_file(tmp_path, **SHARED, INSTANCE_ADDRESSES=addresses, INSTANCES_HERE="1")
    report = check(file)
    assert report.settings is not None
    base = free_block(2)
    settings = report.settings.model_copy(update={"public_port": base, "ops_port": base + 1})
    with pytest.raises(OpsError, match=r"192\.0\.2\.1 is not an address of this machine, but instance-1"):
        plan(file, settings, Nginx("nginx", "njs.so"), Paths(tmp_path / "data"), lambda _: None)


def test_growing_takes_new_addresses_and_keeps_those_in_use(tmp_path: Path) -> None:
    """A restart with twice the instances adds this host's new ones; a running one's address can't change."""
    base = free_block(6)
    old = planned(tmp_path, "1,2", base)
    more = f"{two_hosts(base)},127.0.0.2:{base + 4},127.0.0.3:{base + 4}"
    changes = {**SHARED, "INSTANCE_COUNT": "6", "PUBLIC_PORT": str(base + 2), "OPS_PORT": str(base + 3)}
    keys = {f"{name}_5": "sk-5" for name in KEY_NAMES}
    file = env_file(tmp_path, **changes, **keys, INSTANCE_ADDRESSES=more, INSTANCES_HERE="1,2,5")
    settings = check(file).settings
    assert settings is not None
    system = replan(file, settings, old, Nginx("nginx", "njs.so"), Paths(tmp_path / "data"))
    assert system.programs == ["instance-1", "instance-2", "instance-5", "nginx"]
    assert len(system.addresses) == 6
    moved = settings.model_copy(update={"instance_addresses": (f"127.0.0.2:{base + 5}", *more.split(",")[1:])})
    with pytest.raises(OpsError, match="The address of instance-1 can't be changed"):
        replan(file, moved, old, Nginx("nginx", "njs.so"), Paths(tmp_path / "data"))


def test_a_taken_port_of_an_instance_here_is_told(tmp_path: Path) -> None:
    """Only those that run here are looked at: somebody else's host is none of this one's business."""
    base = free_block(4)
    with socket.create_server(("127.0.0.3", base)):
        planned(tmp_path, "1,2", base)
        with pytest.raises(OpsError, match=f"INSTANCE_ADDRESSES: port {base} on 127.0.0.3 is taken"):
            planned(tmp_path, "3,4", base)


def test_another_hosts_instance_does_not_make_this_host_unwell() -> None:
    """It is shown as it is; `status` ends with 0 if all of this host is well."""
    mine = ProgramStatus("instance-1", "RUNNING", 7, 1.0, 0, "a:1", "healthy")
    other = ProgramStatus("instance-2", ELSEWHERE, 0, 0.0, 0, "b:1", "no answer", here=False)
    status = Status(True, [mine, other], {})
    assert status.healthy
    assert not other.well
    assert [program["here"] for program in status.to_json()["programs"]] == [True, False]
