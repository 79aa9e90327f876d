# Sourced by environment.sh and .ci/run: which commands start a Python that the lock file supports.

# Whether a command starts such a Python, with what virtual environments need.
supported() { "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2> /dev/null; }

# Prints the version that a command starts, such as 3.13.
version() { "$1" -c 'import sys; print("{}.{}".format(*sys.version_info))'; }

# Prints the first of the usual commands that is supported; fails if there is none.
find_python() {
  local candidate
  for candidate in python3 python3.13 python3.12 python3.11 python; do
    if supported "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  return 1
}
