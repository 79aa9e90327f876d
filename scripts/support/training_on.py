"""What `view` trains on with: the config of a model, and the commands that run as child processes."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from configs import Config, InputError
from configs.loading import load_config
from scripts.support.stages import BackgroundStages

if TYPE_CHECKING:
    from pipeline.viewer import TrainOn, ViewedModel

PRESETS = Path("configs")  # pretrained/NAME was made with the preset configs/NAME.py


def train_on(first: "ViewedModel", given: Config | None, *, open_model: Callable[[Path], "ViewedModel"]) -> "TrainOn":
    """Returns what the page needs to train on.

    Args:
      first: the model that the page begins with.
      given: the config that it was trained with, as the user says; None: it is looked for.
      open_model: describes the model of a folder.
    """
    from pipeline.viewer import TrainOn

    def config_of(model: "ViewedModel") -> Config:
        if len(model.folders) > 1 or model.spec.members:
            raise InputError("Several models are averaged here; start the command with one of them to train on.")
        return given if given is not None and model is first else _found_config(model.folders[0])

    return TrainOn(BackgroundStages, config_of, open_model)


def _found_config(folder: Path) -> Config:
    """Returns the config of the run that a model folder belongs to, or of the preset that is called as the folder."""
    for path in (folder / ".." / "config.json", PRESETS / f"{folder.resolve().name}.py"):
        if path.is_file():
            return load_config(str(path))
    raise InputError(
        f"How {folder} was trained is not known: there is no config.json beside it; start the command with "
        "--config=CONFIG, the preset or config.json that it was trained with."
    )
