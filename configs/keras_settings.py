"""Keeps the user's settings of Keras out of trainings and predictions."""

import os
import tempfile
from pathlib import Path

OWN = "fundus_tiles"


def ignore_keras_settings() -> None:
    """Gives Keras a folder of its own, so that `~/.keras/keras.json` is not read; must be called before it is imported.

    What is there, such as a `floatx` of float16 or channels first, would change networks in silence. The backend can
    still be chosen by KERAS_BACKEND. Keras does without the folder if it cannot be made.
    """
    try:
        home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    except RuntimeError:  # a user without a home, as in some containers
        home = Path(tempfile.gettempdir(), ".keras")
    if home.name != OWN:  # as it is in a child process
        os.environ["KERAS_HOME"] = str(home / OWN)
