# Sourced by demo.sh and test.sh: leaves the workspace as the current folder and .venv ready, as the lock file has it.
# A second call finds its mark in .venv and goes on at once.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
  local candidate
  for candidate in python3 python3.13 python3.12 python3.11 python; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2> /dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "error: no Python 3.11, 3.12 or 3.13 with its venv module found; install one (Debian and Ubuntu: apt install python3-venv) and run this again." >&2
  return 1
}

lock=requirements.lock
if nvidia-smi -L > /dev/null 2>&1; then
  lock=requirements-cuda.lock # the same packages, with TensorFlow's CUDA build and NVIDIA's libraries
fi

mark="$lock $(cksum < "$lock")"
if [[ "$(cat .venv/installed 2> /dev/null)" != "$mark" ]]; then
  python=$(find_python)
  echo "Installing $lock into .venv with $("$python" --version); this takes a minute or more, once."
  "$python" -m venv --clear .venv
  if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"; then
    echo "error: pip could not install $lock; its lines above say why. Run this again when that is mended." >&2
    exit 1
  fi
  echo "$mark" > .venv/installed
fi

export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL-2}
