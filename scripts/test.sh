#!/usr/bin/env bash
# Runs all checks that must pass before a change goes in: format, lint, types, import rules and tests.
#
# bash scripts/test.sh [--quick] [--python=PYTHON] [PYTEST ARGUMENT…]
#
#   --quick            leaves out the tests marked slow; for use before each commit
#   --python=PYTHON    uses another Python, such as python3.13, with an environment of its own (.venv-3.13)
#
# All other arguments go to pytest: bash scripts/test.sh tests/records -k grid
set -euo pipefail

python=
arguments=(-n 2 --dist loadscope --durations=10)
for argument in "$@"; do
  case $argument in
    --quick) arguments+=(-m "not slow") ;;
    --python=?*) python=${argument#*=} ;;
    --python | --python=)
      echo "error: --python needs a command, such as --python=python3.13." >&2
      exit 2
      ;;
    *) arguments+=("$argument") ;;
  esac
done
source "$(dirname "$0")/environment.sh"

"$venv/bin/ruff" format --check .
"$venv/bin/ruff" check .
"$venv/bin/mypy"
"$venv/bin/lint-imports"
"$venv/bin/python" -m pytest "${arguments[@]}"
