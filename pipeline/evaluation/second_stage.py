"""The second stage of a cross-validation: each fold goes on from the model that an earlier one trained for it.

That model never saw the photographs that the fold holds out, and nor do the labels that it gives to others.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from configs import InputError
from pipeline.evaluation.fold_results import fold_model, is_trained, read_folds
from records import write_text
from records.cases import FoldPlan

SECOND_STAGE = "second_stage.json"


@dataclasses.dataclass(frozen=True)
class SecondStage:
    """What the folds go on from.

    Attributes:
      after: workdir of an earlier cross-validation of the same photographs and folds.
      unlabelled: folder of photographs that the earlier model of each fold labels for that fold; empty: none.
      unlabelled_healthy: table with the columns case and absent, which says what some of them do not show; or empty.
    """

    after: str
    unlabelled: str = ""
    unlabelled_healthy: str = ""

    def model(self, fold: int) -> Path:
        """Returns the model folder that a fold goes on from."""
        return fold_model(Path(self.after), fold)

    def steps(self, folder: Path, fold: int, *, config: Path) -> list[tuple[str, list[str]]]:
        """Returns the steps before the training of a fold, names of commands and their flags."""
        if not self.unlabelled:
            return []
        labelled = folder / "labelled"
        label = [f"--model={self.model(fold)}", f"--source={self.unlabelled}", f"--output={labelled}"]
        if self.unlabelled_healthy:
            label.append(f"--healthy={self.unlabelled_healthy}")
        shard = [f"--config={config}", "--config.data.validation_fraction=0", f"--source={labelled}"]
        return [("pseudolabel", label), ("shard", [*shard, f"--records={_records(folder)}"])]

    def train_flags(self, folder: Path, fold: int) -> list[str]:
        """Returns what the second stage adds to the flags of a fold's training."""
        records = [f"--records={_records(folder)}"] if self.unlabelled else []
        return [f"--config.train.initial_model={self.model(fold)}", *records]

    def write(self, workdir: Path) -> None:
        """Notes in the workdir what its folds go on from."""
        write_text(workdir / SECOND_STAGE, json.dumps(dataclasses.asdict(self)) + "\n")


def check_second_stage(workdir: Path, stage: SecondStage | None, *, plan: FoldPlan, folds: Sequence[int]) -> None:
    """Checks that the folds of a workdir go on from the same as before, and from folds of the same photographs.

    Args:
      workdir: folder of the cross-validation.
      stage: what its folds go on from; None: nothing.
      plan: its photographs and their folds.
      folds: the folds that will be run.

    Raises:
      InputError: the workdir was begun with another second stage, or without one, or what it says of it is damaged; or
        the earlier cross-validation has other folds, or lacks the model of one.
    """
    path = workdir / SECOND_STAGE
    begun = (workdir / "folds.csv").exists()
    before = _read(path) if path.exists() else None
    if begun and before != stage:
        raise InputError(
            f"--workdir={workdir} was begun {_describe(before)}, and this command is {_describe(stage)}; give the same "
            "flags, or name another folder."
        )
    if stage is None:
        return
    earlier = {result.fold: result for result in read_folds(Path(stage.after)).values()}
    for fold in folds:
        if fold not in earlier or not is_trained(Path(stage.after), fold):
            raise InputError(
                f"--after={stage.after}: fold {fold} is not finished there, or its model {stage.model(fold)} is gone; "
                "run that cross-validation to its end first."
            )
        if (earlier[fold].folds, earlier[fold].plan) != (plan.folds, plan.digest):
            raise InputError(
                f"--after={stage.after}: holds out other photographs in its folds, so that its models may have seen "
                "those that are held out here; give the same --source, --folds, --patients and data.seed."
            )


def _read(path: Path) -> SecondStage:
    try:
        return SecondStage(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error}); name another --workdir.") from error


def _records(folder: Path) -> Path:
    return folder / "records" / "labelled"


def _describe(stage: SecondStage | None) -> str:
    if stage is None:
        return "without --after"
    given = {f"--{name}": value for name, value in dataclasses.asdict(stage).items() if value}
    return "with " + " ".join(f"{name}={value}" for name, value in given.items())
