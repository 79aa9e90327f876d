"""The commands that come after a cross-validation."""

import shlex

from pipeline.reporting.next_steps import next_steps
from scripts.support import members


def test_the_pattern_of_the_folds_models_finds_them_whatever_their_folder_is_called(tmp_path):
    workdir = tmp_path / "study [2]*"
    models = [workdir / f"fold_{fold}" / "run" / "model" for fold in range(2)]
    assert next_steps(workdir) == []
    for model in models:
        model.mkdir(parents=True)
        (model / "segmenter.json").touch()
    ensemble, _ = next_steps(workdir)
    pattern = shlex.split(ensemble)[3].removeprefix("--models=")
    assert members.folders([pattern], flag="--models") == models
