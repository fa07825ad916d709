#!/usr/bin/env bash
# Finds or makes the Python environment of this checkout, then hands over to `python -m ops`. No other logic lives here.
set -euo pipefail

root=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
venv=$root/.venv
tools=$root/.venv-bootstrap
export UV_PYTHON_DOWNLOADS=never QUARTET_CWD="${QUARTET_CWD:-$PWD}"

say() { printf '%s\n' "$*" >&2; }
die() { say "deploy-multi.sh: $*"; exit 1; }

# What is installed depends on the command: the tests need the dev group, the benchmarks theirs.
case "${1-}" in
  test | faults) level=test groups=(--group dev) ;;
  bench) level=bench groups=(--no-dev --group bench) ;;
  *) level=run groups=(--no-dev) ;;
esac

stamp() { printf '%s\n' "$root"; cd "$root" && cksum uv.lock pyproject.toml; }
fresh() { [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.quartet-$level" 2>/dev/null)" = "$(stamp)" ]; }

install_packages() { # Debian packages, if this user may
  local as_root=()
  command -v apt-get >/dev/null || return 1
  if [ "$(id -u)" -ne 0 ]; then sudo -n true 2>/dev/null || return 1; as_root=(sudo -n); fi
  say "Installing $* ..."
  "${as_root[@]}" apt-get update -qq >&2 || true # a stale list may still hold the package
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

good_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.11 python3.14 /usr/bin/python3; do
    if good_python "$name"; then command -v "$name"; return; fi
  done
  return 1
}

find_uv() {
  if uv --version >/dev/null 2>&1; then command -v uv; return; fi
  if ! "$tools/venv/bin/uv" --version >/dev/null 2>&1; then
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv \
      || die "Python's venv module is missing: install the package python3-venv (apt-get install python3-venv)."
    say "Installing uv into .venv-bootstrap ..."
    rm -rf "$tools/venv"
    "$python" -m venv "$tools/venv" && "$tools/venv/bin/python" -m pip install --quiet uv >&2 \
      || die "uv could not be installed. Is the package index (pypi.org, or your mirror) within reach?"
  fi
  printf '%s\n' "$tools/venv/bin/uv"
}

set_up() {
  [ -w "$root" ] || die "$root is not writable for $(id -un), and its Python environment is not set up yet."
  mkdir -p "$tools"
  if command -v flock >/dev/null; then exec 9>"$tools/lock"; flock 9; fi
  if fresh; then return; fi # another invocation has done it meanwhile
  local python uv
  python=$(find_python) || { install_packages python3 python3-venv && python=$(find_python); } \
    || die "Python 3.11 or later is needed; here is $(python3 --version 2>&1 || echo none)."
  # One certificate bundle for all: pip and uv each have their own variable for it.
  if [ -n "${SSL_CERT_FILE-}" ]; then export PIP_CERT="${PIP_CERT:-$SSL_CERT_FILE}"; fi
  export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
  unset UV_PROJECT_ENVIRONMENT VIRTUAL_ENV
  if [ ! -w "${HOME:-/nonexistent}" ]; then export UV_CACHE_DIR="$tools/cache" PIP_NO_CACHE_DIR=1; fi
  uv=$(find_uv)
  # An environment keeps absolute paths: one from another place, or whose Python is gone, is made anew.
  if ! good_python "$venv/bin/python" || [ "$(cat "$venv/.quartet-home" 2>/dev/null || echo "$root")" != "$root" ]; then
    rm -rf "$venv"
    "$uv" venv --quiet --python "$python" "$venv" || die "the environment .venv could not be made."
  fi
  printf '%s\n' "$root" >"$venv/.quartet-home"
  say "Setting up the Python environment ..."
  # Inexact: a group that another command has installed stays.
  (cd "$root" && "$uv" sync --quiet --frozen --inexact --all-extras "${groups[@]}") 9>&- \
    || die "the dependencies could not be installed. Is the package index (pypi.org, or your mirror) within reach?"
  stamp >"$venv/.quartet-$level"
  exec 9>&- # the lock must not outlive the set-up in the processes that are started next
}

fresh || set_up
cd "$root"
exec "$venv/bin/python" -m ops "$@"
