#!/usr/bin/env bash
# Everything that must hold before a change goes in: format, lint, types, import rules, tests.
# Arguments go to pytest: bash scripts/test.sh tests/records -k grid
set -euo pipefail
source "$(dirname "$0")/environment.sh"

.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/mypy
.venv/bin/lint-imports
.venv/bin/python -m pytest -n 2 --dist loadscope --durations=10 "$@"
