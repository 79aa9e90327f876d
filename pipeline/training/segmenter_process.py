"""Segments whole photographs while JAX trains, in a child process in which Keras runs on TensorFlow.

Keras has one backend per process, and the tiled graph needs TensorFlow. Requests and answers are lines of JSON over the
child's stdin and stdout; weights and pixels are exchanged in files of a folder that both know.
"""

import contextlib
import dataclasses
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from configs import Config, InputError
from configs.loading import load_config
from models import Network
from pipeline.evaluation import Counts
from pipeline.inference import SegmenterSpec, load_segmenter, save_model
from pipeline.training.checkpoints import load_arrays, save_arrays
from pipeline.training.validation import LiveSegmenter
from records import Case, temporary_folder, write_text

# Files of the folder.
CONFIG, MODEL, WEIGHTS, PHOTOGRAPH, MAP = "config.json", "model", "weights.npz", "photograph.npy", "map.npy"
LOG = "log.txt"  # the child's stderr


class SegmenterProcess:
    """A `pipeline.training.validation.PhotographSegmenter` that works in a child process.

    The first request starts the process. Always `close` it (`contextlib.closing`). The process also ends when this one
    does, for whatever reason.

    Raises:
      InputError: the process ended; with the last line that it printed.
    """

    def __init__(self, network: Network, spec: SegmenterSpec, config: Config, *, folder: Path):
        """Initializes the segmenter, but does not start the process.

        Args:
          network: the network whose current weights are used; on JAX.
          spec: geometry of the tiles.
          config: the settings of the training.
          folder: where a temporary folder is created to exchange weights and pixels.
        """
        self.network, self.spec, self.config, self.folder = network, spec, config, folder
        self._exchange = folder
        self._process: subprocess.Popen | None = None
        self._resources = contextlib.ExitStack()
        self._sent: list[Any] = []  # the weights that the child has

    def segment(self, photograph: np.ndarray) -> np.ndarray:
        """Returns the probability map, float32 `[H, W, C]`, of a photograph, uint8 RGB `[H, W, 3]`."""
        process = self._start()
        np.save(self._exchange / PHOTOGRAPH, photograph)
        self._ask(process, {"segment": True})
        return np.load(self._exchange / MAP)

    def count(self, cases: Sequence[Case]) -> dict[str, Counts]:
        """Returns the pixel counts of cases by class."""
        answer = self._ask(self._start(), {"count": [dataclasses.asdict(case) for case in cases]})
        return {name: Counts.from_json(content) for name, content in answer.items()}

    def close(self) -> None:
        """Ends the process and removes its files."""
        self._resources.close()

    def _start(self) -> subprocess.Popen:
        """Returns the process; starts it if it is not running yet."""
        if self._process is None:
            self._exchange = self._resources.enter_context(temporary_folder(self.folder)).resolve()
            write_text(self._exchange / CONFIG, self.config.to_json())
            save_model(self._exchange / MODEL, self.network, self.spec)
            log = self._resources.enter_context((self._exchange / LOG).open("w"))
            paths = [str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
            process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.training.segmenter_process", str(self._exchange)],
                env={**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": os.pathsep.join(paths)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C must only reach the training, which ends when it has saved
            )
            self._process = self._resources.enter_context(process)
        return self._process

    def _ask(self, process: subprocess.Popen, request: dict[str, Any]) -> dict[str, Any]:
        weights = [weight.value for weight in self.network.weights]
        # JAX arrays are immutable: changed weights are other arrays.
        fresh = [id(one) for one in weights] != [id(one) for one in self._sent]
        if fresh:
            save_arrays(self._exchange / WEIGHTS, {"weights": self.network.get_weights()}, {})
            self._sent = weights
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps({**request, "fresh": fresh}, default=plain), file=process.stdin, flush=True)
        answer = process.stdout.readline()  # type: ignore[union-attr]
        if answer:
            return json.loads(answer)
        code = process.wait()
        *_, last = ["it printed nothing.", *filter(str.strip, (self._exchange / LOG).read_text().splitlines())]
        raise InputError(
            f"the process that segments whole photographs on TensorFlow ended with code {code}: {last} The last good "
            "checkpoint is kept; run the same command again to continue."
        )


def main(folder: Path) -> None:
    """Answers the parent's requests until it ends; this is what the child runs."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)  # JAX has taken most of the memory
    loaded = load_segmenter(folder / MODEL, fold=False)
    live = LiveSegmenter(loaded.network, loaded.spec, load_config(str(folder / CONFIG)))
    for line in _requests():
        request, answer = json.loads(line), {}
        if request["fresh"]:
            loaded.network.set_weights(load_arrays(folder / WEIGHTS)[0]["weights"])
        if "count" in request:
            counts = live.count([case_of(fields) for fields in request["count"]])
            answer = {name: one.as_json() for name, one in counts.items()}
        else:
            np.save(folder / MAP, live.segment(np.load(folder / PHOTOGRAPH)))
        print(json.dumps(answer), file=answers, flush=True)


def _requests() -> Iterator[str]:
    """Yields the lines of stdin. At their end the parent has ended, and so does this process, whatever it is doing."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield lines.get()


def plain(value: Any) -> Any:
    """Returns sets and paths, of which a case consists, as JSON can have them."""
    return sorted(value) if isinstance(value, frozenset) else str(value)


def case_of(fields: dict[str, Any]) -> Case:
    """Returns the case whose fields were made `plain`."""

    def paths(by_class: dict[str, list[str]]) -> dict[str, tuple[Path, ...]]:
        return {name: tuple(map(Path, files)) for name, files in by_class.items()}

    hard_negatives = fields["hard_negatives"]
    changed = {
        "photograph": Path(fields["photograph"]),
        "masks": {name: None if path is None else Path(path) for name, path in fields["masks"].items()},
        "further_masks": paths(fields["further_masks"]),
        "ignored": paths(fields["ignored"]),
        "unknown": frozenset(fields["unknown"]),
        "absent": frozenset(fields["absent"]),
        "hard_negatives": None if hard_negatives is None else Path(hard_negatives),
    }
    return Case(**{**fields, **changed})


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except InputError as error:
        sys.exit(str(error))
