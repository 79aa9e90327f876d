# Sourced by demo.sh and test.sh: changes to the workspace root and installs the lock file into a virtual environment,
# .venv unless the sourcing script has set `python` to another command: then .venv-3.13 for Python 3.13.
# The environment keeps a stamp of the lock file, so a second call returns at once.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

source scripts/find_python.sh

lock=requirements.lock
if nvidia-smi -L > /dev/null 2>&1; then
  lock=requirements-cuda.lock # the same packages, with TensorFlow's CUDA build and NVIDIA's libraries
fi

venv=.venv
if [[ -n "${python:-}" ]]; then
  if ! supported "$python"; then
    echo "error: --python=$python: expected the command of a Python 3.11, 3.12 or 3.13 that has its venv module." >&2
    exit 2
  fi
  venv=.venv-$(version "$python")
fi

stamp="$lock $(cksum < "$lock")"
if [[ "$(cat "$venv/installed" 2> /dev/null)" != "$stamp" ]]; then
  if ! python=${python:-$(find_python)}; then
    echo "error: no Python 3.11, 3.12 or 3.13 with its venv module found; install one (Debian and Ubuntu: apt install python3-venv) and run this again." >&2
    exit 1
  fi
  echo "Installing $lock into $venv with $("$python" --version); this takes a minute or more, once."
  "$python" -m venv --clear "$venv"
  if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"; then
    echo "error: pip could not install $lock; see its messages above. Run this again once the cause is fixed." >&2
    exit 1
  fi
  echo "$stamp" > "$venv/installed"
fi

export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL-2}
