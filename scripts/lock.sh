#!/usr/bin/env bash
# Resolves pyproject.toml anew into requirements.lock and, for machines with an NVIDIA GPU, requirements-cuda.lock.
# Needs uv (pip install uv). Run it after a change of the dependencies, then run scripts/test.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

resolve() {  # resolve LOCK [ARGUMENT…]
  local lock=$1
  shift
  uv pip compile pyproject.toml "$@" --extra test --universal --python-version 3.11 --generate-hashes --no-annotate --quiet \
    --custom-compile-command "bash scripts/lock.sh" --output-file "$lock" > /dev/null
}

resolve requirements.lock
# The CUDA build is another package of the same files: it takes the place of tensorflow-cpu, on Linux on x86-64.
swap=$(mktemp -d)
trap 'rm -r "$swap"' EXIT
echo "tensorflow-cpu ; sys_platform == 'never'" > "$swap/overrides.txt"
echo "tensorflow[and-cuda]==2.21.0 ; sys_platform == 'linux' and platform_machine == 'x86_64'" > "$swap/cuda.in"
resolve requirements-cuda.lock "$swap/cuda.in" --overrides "$swap/overrides.txt"
