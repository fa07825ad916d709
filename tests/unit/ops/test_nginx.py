"""Finding nginx, and installing it without letting Debian start its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ops import nginx
from ops.failures import OpsError
from ops.nginx import Nginx, ensure_nginx

FAKE_APT = """#!/bin/sh
echo "$@" >> "{log}"
case "$*" in *install*)
  "{policy}"; echo "policy says $?" >> "{log}"
  exit {code};;
esac
"""


@pytest.fixture(name="missing")
def nginx_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without nginx, with root's rights and an apt-get that only writes down what it is asked."""
    monkeypatch.setattr(nginx, "_POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(nginx, "root_prefix", list)
    found = iter([None, Nginx("/usr/sbin/nginx", "/module.so")])
    monkeypatch.setattr(nginx, "find_nginx", lambda: next(found))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def fake_apt(directory: Path, code: int) -> Path:
    log, apt = directory / "log", directory / "apt-get"
    apt.write_text(FAKE_APT.format(log=log, policy=directory / "policy-rc.d", code=code))
    apt.chmod(0o755)
    return log


def test_nginx_is_installed_without_its_service(missing: Path) -> None:
    """While the packages are set up, Debian is told not to start services (101); afterwards it is as before."""
    log = fake_apt(missing, 0)
    assert ensure_nginx().module == "/module.so"
    said = log.read_text().splitlines()
    assert "install -y -qq --no-install-recommends nginx libnginx-mod-http-js" in said
    assert "policy says 101" in said
    assert not (missing / "policy-rc.d").exists()


def test_a_policy_of_the_machines_own_is_left_alone(missing: Path) -> None:
    """Containers often have one; it is neither replaced nor removed."""
    policy = missing / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 104\n")
    policy.chmod(0o755)
    log = fake_apt(missing, 0)
    ensure_nginx()
    assert "policy says 104" in log.read_text()
    assert policy.exists()


def test_a_failed_installation_is_told_and_cleared_away(missing: Path) -> None:
    """The operator sees why; no policy file stays behind."""
    fake_apt(missing, 100)
    with pytest.raises(OpsError, match="could not be installed"):
        ensure_nginx()
    assert not (missing / "policy-rc.d").exists()


def test_without_roots_rights_the_packages_are_named(missing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence can be acted on as it stands."""
    monkeypatch.setattr(nginx, "root_prefix", lambda: None)
    with pytest.raises(OpsError) as caught:
        ensure_nginx()
    assert "apt-get install -y --no-install-recommends nginx libnginx-mod-http-js" in caught.value.hint
