"""Finds nginx with its JavaScript module, installs both where that is allowed, and renders our configuration."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.envfile import ROOT
from ops.failures import OpsError
from ops.packages import install, root_prefix

PACKAGES = ("nginx", "libnginx-mod-http-js")
_BINARIES = ("/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/local/bin/nginx", "/opt/homebrew/bin/nginx")
_MODULE_DIRS = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules", "/etc/nginx/modules")
_MODULE = "ngx_http_js_module.so"
_POLICY = Path("/usr/sbin/policy-rc.d")


@dataclass(frozen=True)
class Nginx:
    """Where nginx and its njs module lie."""

    binary: str
    module: str


def find_nginx() -> Nginx | None:
    """Return nginx and njs if both are installed."""
    binary = shutil.which("nginx") or next((path for path in _BINARIES if os.access(path, os.X_OK)), None)
    module = next((path for name in _MODULE_DIRS if (path := f"{name}/{_MODULE}") and Path(path).exists()), None)
    return Nginx(binary, module) if binary and module else None


def ensure_nginx() -> Nginx:
    """Return nginx, installing Debian's packages first if they are missing and this user may."""
    found = find_nginx()
    if found is None:
        prefix = root_prefix()
        if prefix is None or shutil.which("apt-get") is None:
            raise OpsError(
                "nginx with its JavaScript module is not installed.",
                hint=f"Install the packages {' and '.join(PACKAGES)} "
                f"(sudo apt-get install -y --no-install-recommends {' '.join(PACKAGES)}), then start again.",
            )
        with _services_stay_off(prefix):
            install(prefix, "nginx", PACKAGES)
        found = find_nginx()
    if found is None:
        raise OpsError(f"nginx was installed, but its module {_MODULE} was not found in {', '.join(_MODULE_DIRS)}.")
    return found


@contextmanager
def _services_stay_off(prefix: list[str]) -> Iterator[None]:
    """Keep Debian from starting its own nginx on port 80: policy-rc.d answers 101, "not allowed", meanwhile."""
    if _POLICY.exists():
        yield
        return
    script = "#!/bin/sh\nexit 101\n"
    subprocess.run([*prefix, "tee", str(_POLICY)], input=script, text=True, capture_output=True, check=True)
    try:
        subprocess.run([*prefix, "chmod", "755", str(_POLICY)], check=True)
        yield
    finally:
        subprocess.run([*prefix, "rm", "-f", str(_POLICY)], check=True)


def render(out: Path, variables: Mapping[str, str]) -> None:
    """Write nginx's configuration into `out` by `proxy/render.sh`; its complaints become our error."""
    script = ROOT / "proxy" / "render.sh"
    if not script.exists():
        raise OpsError("proxy/render.sh is missing: this checkout is not complete.")
    done = subprocess.run(
        ["sh", str(script), str(out)], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise OpsError("nginx's configuration could not be written:\n  " + done.stderr.strip().replace("\n", "\n  "))
