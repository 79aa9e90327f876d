"""Serves an export over HTTP, as TensorFlow Serving does, for one machine and a few clients.

python -m scripts.serve --export=OUT/1
curl -d @request.json http://127.0.0.1:8501/v1/models/segmenter:predict

Ctrl-C, or a termination signal, ends it once the requests that it has taken are answered.
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

import re
import signal
import socket
from pathlib import Path

from absl import flags

from configs import InputError
from scripts.support import command, limits

CONNECTIONS = 800  # at once, also idle ones; systems often allow a process 1024 open files
_EXPORT = flags.DEFINE_string("export", None, "Folder OUT/VERSION that python -m scripts.export wrote.", required=True)
_NAME = flags.DEFINE_string("name", "segmenter", "Name of the model in addresses: letters, digits, - and _.")
_ADDRESS = flags.DEFINE_string(
    "address", "127.0.0.1", "Address to listen on; anyone who reaches it may use the server, which has no passwords."
)
_PORT = flags.DEFINE_integer("port", 8501, "Port to listen on; 0: a free one.", lower_bound=0, upper_bound=65535)
_QUEUE = flags.DEFINE_integer(
    "queue", 16, "Requests that wait or are computed at once; more are refused with 429.", lower_bound=1
)
_MAX_MEGABYTES = flags.DEFINE_integer("max_megabytes", 32, "Refuse requests with larger bodies, MiB.", lower_bound=1)
_MAX_PHOTOGRAPHS = flags.DEFINE_integer("max_photographs", 8, "Refuse requests with more photographs.", lower_bound=1)
_BODY_SECONDS = flags.DEFINE_float(
    "body_seconds", 30.0, "Refuse requests whose body takes longer to arrive.", lower_bound=0.1
)
_STOP_SECONDS = flags.DEFINE_integer(
    "stop_seconds", 60, "How long requests that were taken may still run after a stop.", lower_bound=0
)
limits.define_flags()


def main(_: list[str]) -> int:
    """Serves until it is stopped."""
    folder, name = Path(_EXPORT.value), _NAME.value
    if not re.fullmatch(r"[\w-]+", name, re.ASCII):
        raise InputError(f"--name={name}: expected letters, digits, - and _.")
    try:
        import uvicorn

        from pipeline.serving import ExportedModel, Limits, make_application
    except ImportError as error:
        raise InputError(f'serving needs {error.name}; install it with pip install -e ".[serve]".') from error

    listening = _listen(_ADDRESS.value, _PORT.value)
    model = ExportedModel(folder)
    application = make_application(
        model,
        name=name,
        version=int(folder.resolve().name) if folder.resolve().name.isdecimal() else 1,
        limits=Limits(
            most_bytes=_MAX_MEGABYTES.value * 2**20,
            most_pixels=limits.max_pixels() or model.spec.max_pixels,
            most_photographs=_MAX_PHOTOGRAPHS.value,
            queue=_QUEUE.value,
            body_seconds=_BODY_SECONDS.value,
        ),
    )
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"serving {', '.join(model.signatures)}: http://{shown}:{port}/v1/models/{name}:predict", flush=True)
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            log_level="error",  # anybody can cause warnings
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=_STOP_SECONDS.value,
            server_header=False,
        )
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn stops by them, and at its end raises them for this handler
    server.run(sockets=[listening])
    print("stopped", flush=True)
    return command.DONE


def _listen(address: str, port: int) -> socket.socket:
    """Returns a socket that listens, before the model is loaded, so that a port that is taken is said at once."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family, backlog=128)
    except OSError as error:
        raise InputError(f"--address={address} --port={port}: cannot listen there ({error.strerror}).") from error


if __name__ == "__main__":
    command.run(main)
