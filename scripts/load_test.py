"""Puts load on a server of an export, scripts.serve or TensorFlow Serving, and says how it bears it.

python -m scripts.load_test --url=http://127.0.0.1:8501/v1/models/segmenter --clients=32 --minutes=10 PHOTOGRAPH…
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

import urllib.parse
from pathlib import Path

import psutil
from absl import flags

from configs import InputError
from scripts.benchmarks.load import Load, put_load, request_of
from scripts.support import command

_URL = flags.DEFINE_string("url", None, "Address of the model, such as http://HOST:PORT/v1/models/NAME.", required=True)
_SIGNATURE = flags.DEFINE_enum(
    "signature", "lesions", ["lesions", "masks", "map8", "serving_default"], "What is asked for."
)
_CLIENTS = flags.DEFINE_integer("clients", 32, "Clients that ask at once.", lower_bound=1, upper_bound=1000)
_MINUTES = flags.DEFINE_float("minutes", 10.0, "How long new requests are sent.", lower_bound=0.01)
_PID = flags.DEFINE_integer("pid", None, "Process number of the server, if it runs here: its memory is looked at.")


def main(arguments: list[str]) -> int:
    """Sends requests and prints what came of them; the exit code is 1 if any failed that was not refused with 429."""
    parts = urllib.parse.urlsplit(_URL.value)
    if parts.scheme != "http" or not parts.hostname or not parts.path.strip("/"):
        raise InputError(f"--url={_URL.value}: expected http://HOST:PORT/v1/models/NAME.")
    if _PID.value is not None and not psutil.pid_exists(_PID.value):
        raise InputError(f"--pid={_PID.value}: there is no such process.")
    for path in arguments:
        if not Path(path).is_file():
            raise InputError(f"{path}: no such file; expected photographs (JPEG or PNG).")
    bodies = [request_of(Path(path).read_bytes(), _SIGNATURE.value) for path in arguments]
    load = put_load(
        f"{_URL.value.rstrip('/')}:predict",
        bodies,
        clients=_CLIENTS.value,
        seconds=60 * _MINUTES.value,
        process=_PID.value,
    )
    _print(load)
    return command.SOME_FAILED if load.errors or not load.seconds else command.DONE


def _print(load: Load) -> None:
    refused = load.statuses[429]
    failed = load.statuses.total() - len(load.seconds) - refused
    print(f"{_CLIENTS.value} clients, {_MINUTES.value:g} minutes")
    print(f"{len(load.seconds)} answers, {refused} refused (429), {failed} failed")
    print(
        f"seconds of an answer: p50 {load.percentile(50):.2f}, p90 {load.percentile(90):.2f}, "
        f"p99 {load.percentile(99):.2f}, most {load.percentile(100):.2f}"
    )
    if load.memory:
        first, second = load.memory[: len(load.memory) // 2 or 1], load.memory[len(load.memory) // 2 :]
        print(
            f"memory of the server: at most {max(first):.0f} MB in the first half, {max(second):.0f} MB in the second"
        )
    for line, count in load.errors.most_common():
        print(f"{count} times: {line}")


if __name__ == "__main__":
    command.run(main, arguments="photographs to send")
