# Sourced by the scripts beside it: makes .venv from a lock file on first use, and again when the lock has changed.
# Needs Python >= 3.11 with venv, and a package index for pip; nothing else.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Bytecode is what makes the second start of a role fast.
unset PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME

# Prints the path of a Python that is new enough; PYTHON names one.
find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3 python; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  echo "Grosz needs Python 3.11 or later, and none was found on PATH: install one, or name it with PYTHON=/path/to/python3" >&2
  return 1
}

# Says how far an environment is: the lock it was made from and by which Python.
stamp_of() {
  { cat "$1"; .venv/bin/python -c 'import sys; print(sys.version)'; } 2>/dev/null | cksum
}

# need_environment requirements.lock|requirements-dev.lock
need_environment() {
  local lock=$1 stamp=.venv/.made-from-$1
  if [ -x .venv/bin/python ] && [ -x .venv/bin/grosz ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(stamp_of "$lock")" ]; then
    return
  fi
  # Two scripts at once would write into the same environment; where there is no flock they are not started together.
  if command -v flock >/dev/null 2>&1; then
    exec 9>.venv.lock
    flock 9
  fi
  make_environment "$lock"
  stamp_of "$lock" >"$stamp"
  # The development lock has everything that the other one has, in the same versions.
  [ "$lock" = requirements.lock ] || stamp_of requirements.lock >.venv/.made-from-requirements.lock
  if command -v flock >/dev/null 2>&1; then exec 9>&-; fi
}

# Counts on a terminal, where somebody waits for a minute; says nothing elsewhere.
install_packages() {
  local install=(.venv/bin/python -m pip install --disable-pip-version-check --no-input --require-hashes --no-deps -r "$1")
  if [ ! -t 2 ]; then
    "${install[@]}" -qq
    return
  fi
  # pip's own exit status decides: a pipe's would be that of awk.
  set -o pipefail
  "${install[@]}" --progress-bar off | awk -v total="$(grep -c '^[A-Za-z0-9].*==' "$1")" '
    /^Collecting/ { printf "\r  package %d of %d ", ++count, total >"/dev/stderr" }
    /^Installing/ { printf "\r  unpacking %d packages\n", total >"/dev/stderr" }'
}

make_environment() {
  local python
  if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    python=$(find_python)
    echo "making .venv with $("$python" --version) (once)" >&2
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
      echo "$python has no venv module with ensurepip; on Debian and Ubuntu: apt-get install python3-venv" >&2
      return 1
    fi
    "$python" -m venv --clear .venv
  fi
  echo "installing $1 into .venv (once, and when the lock changes)" >&2
  install_packages "$1"
  .venv/bin/python - <<'PYTHON'
import os
import sysconfig
from pathlib import Path

# The checkout itself, without a build: what an editable install does, minus the build tools and the index.
Path(sysconfig.get_path("purelib"), "grosz-checkout.pth").write_text(f"{Path.cwd()}\n", encoding="utf-8")
script = Path(".venv/bin/grosz")
interpreter = Path(".venv/bin/python").absolute()
script.write_text(
    f'#!/bin/sh\nexec "{interpreter}" -m admin.cli "$@"\n', encoding="utf-8"
)
os.chmod(script, 0o755)
PYTHON
}
