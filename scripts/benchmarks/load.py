"""Load on a server: clients that all ask at once, again and again, and what happens to them and to the server."""

import base64
import collections
import contextlib
import dataclasses
import http.client
import json
import threading
import time
import urllib.parse
from collections.abc import Sequence
from typing import Any

import numpy as np
import psutil

TIMEOUT = 600.0  # seconds until an answer must be there
PAUSE = 1.0  # seconds that a client waits after a refusal, as the server asks it to
SAMPLE = 1.0  # seconds between looks at the server's memory


@dataclasses.dataclass
class Load:
    """What was seen.

    Attributes:
      statuses: number of answers by status; 0: no answer.
      seconds: time of each answer with status 200.
      errors: first lines of what went wrong, with their numbers.
      memory: resident memory of the server, MB, at equal intervals; empty if its process is not known.
    """

    statuses: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    seconds: list[float] = dataclasses.field(default_factory=list)
    errors: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    memory: list[float] = dataclasses.field(default_factory=list)

    def percentile(self, percent: float) -> float:
        """Returns the time that so many percent of the answers took at most, seconds; NaN without any."""
        return float(np.percentile(self.seconds, percent)) if self.seconds else float("nan")


def put_load(url: str, bodies: Sequence[bytes], *, clients: int, seconds: float, process: int | None) -> Load:
    """Lets clients send requests to a server, each the next one as soon as it has its answer.

    Args:
      url: address of `…:predict`.
      bodies: the requests, which clients take in turns.
      clients: number of clients.
      seconds: for how long new requests are sent.
      process: number of the server's process, whose memory is looked at; None: it is not.
    """
    load, lock, end = Load(), threading.Lock(), time.monotonic() + seconds
    parts = urllib.parse.urlsplit(url)

    def ask(number: int) -> None:
        while time.monotonic() < end:
            began = time.monotonic()
            status, text = _post(parts, bodies[number % len(bodies)])
            number += 1
            with lock:
                load.statuses[status] += 1
                if status == 200:
                    load.seconds.append(time.monotonic() - began)
                elif status != 429:
                    load.errors[text.splitlines()[0][:200] if text else ""] += 1
            if status != 200:
                time.sleep(PAUSE)

    threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):  # then the clients get no answers, and say so
                load.memory.append(psutil.Process(process).memory_info().rss / 1e6)
        time.sleep(SAMPLE)
    return load


def request_of(photograph: bytes, signature: str) -> bytes:
    """Returns a request for one photograph, in rows, with the model's operating point."""
    encoded = {"b64": base64.b64encode(photograph).decode()}
    if signature == "serving_default":
        return json.dumps({"inputs": encoded}).encode()
    row: dict[str, Any] = {"encoded_photographs": encoded}
    if signature != "map8":
        row |= {"thresholds": [0], "min_areas": [0]}
    return json.dumps({"signature_name": signature, "instances": [row]}).encode()


def _post(parts: urllib.parse.SplitResult, body: bytes) -> tuple[int, str]:
    """Returns the status of an answer, 0 if there is none, and its text or the error."""
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=TIMEOUT)
    try:
        connection.request("POST", parts.path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, content[:500].decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, f"{type(error).__name__}: {error}"
    finally:
        connection.close()
