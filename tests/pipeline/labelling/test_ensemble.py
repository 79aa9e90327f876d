"""Models that label together: their maps are averaged, each at its own scale, and what they have seen is united."""

import numpy as np
import pytest

from configs import InputError
from pipeline.inference import SegmenterSpec, save_model
from pipeline.labelling.ensemble import load_ensemble
from records import UNKNOWN_CAMERA

CPU = ["/device:CPU:0"]


@pytest.fixture(scope="module")
def other_folder(network, spec, tmp_path_factory):
    """A model of the same network, but at another scale, with other names for its classes and other photographs."""
    folder = tmp_path_factory.mktemp("models") / "other"
    made: SegmenterSpec = spec(
        classes=("MA", "EX"),
        tile=32,
        scale=0.5,
        splits={"train": ["X"], "validation": ["D"]},
        seen_before=("A",),
        calibrated_on=("Z",),
        max_pixels=10_000,
    )
    save_model(folder, network, made)
    return folder


@pytest.fixture(scope="module")
def load():
    """Loads models that label together."""

    def load(*folders, classes=None):
        return load_ensemble(folders, CPU, classes=classes, camera=UNKNOWN_CAMERA, max_pixels=None, say=print)

    return load


@pytest.fixture(scope="module")
def both(load, model_folder, other_folder):
    return load(model_folder, other_folder)


@pytest.mark.slow
def test_maps_are_those_of_the_models_averaged(both, fundus):
    measured = both.measure(fundus(60, 75, seed=1).photograph)
    [(name, _, future)] = both.segment_all([("A", measured)])
    segmented = future.result()
    first, second = (one.map.whole() for one in segmented.by_model)
    assert (first.shape, second.shape) == ((60, 75, 2), (60, 75, 2))
    assert [one.scale.factor for one in segmented.by_model] == [0.8, 0.5]
    expected = np.stack([first[..., 0], (first[..., 1] + second[..., 0]) / 2, second[..., 1]], axis=-1)
    np.testing.assert_allclose(np.concatenate([strip for _, strip in both.strips(segmented)]), expected, atol=1e-6)
    assert (name, segmented.seconds) == ("A", sum(one.seconds for one in segmented.by_model))


def test_what_the_models_have_seen_and_were_chosen_on_is_united(both):
    assert both.labelled_by.models == tuple(model.fingerprint for model in both.models)
    assert len(set(both.labelled_by.models)) == 2
    assert set(both.labelled_by.seen.names) == {"A", "B", "X"}
    assert both.labelled_by.chosen_on.names == ("D", "Z")
    assert (both.classes, both.max_pixels) == (("HE", "MA", "EX"), 10_000)


def test_models_that_do_not_fit_are_refused(load, model_folder, other_folder, tmp_path):
    with pytest.raises(InputError, match="names a model twice"):
        load(model_folder, model_folder)
    with pytest.raises(InputError, match="--classes=OD: the models have the classes HE, MA, EX"):
        load(model_folder, other_folder, classes=["OD"])
    with pytest.raises(InputError, match=r"other: has none of the classes HE; leave it out"):
        load(model_folder, other_folder, classes=["HE"])
    with pytest.raises(InputError, match="contains no network"):
        load(tmp_path)
