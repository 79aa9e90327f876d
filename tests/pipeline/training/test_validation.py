"""Whole photographs scored during a training: what is counted, when, for which cases and by which graph."""

import dataclasses
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn import metrics

from configs import DataConfig, FastConfig, InputError, ModelConfig
from models import build_loss, build_network, precision_policy
from pipeline.evaluation import photographs
from pipeline.evaluation.photographs import CaseMap, LoadedCase
from pipeline.hosts import Place, joined_hosts
from pipeline.inference import TiledSegmenter, load_segmenter, save_model
from pipeline.training.segmenter_process import case_of, plain
from pipeline.training.validation import (
    PhotographScores,
    PhotographValidation,
    count_photographs,
    kept_thresholds,
    score_photographs,
    scores_of,
    validation_cases,
)
from records import Case
from tests.pipeline.training.paired_source import sharded_from

CLASSES = ("HE", "MA")
BINS = 64
TINY_FAST = ModelConfig(network="fast", fast=FastConfig(widths=(8, 8)))
# Keras 3.15.1 warns of itself where it saves weights.
SAVING = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")


def darkness(loaded: LoadedCase) -> np.ndarray:
    """A probability map of two classes that knows a little about the lesions; its probabilities are middles of bins."""
    dark = 1 - loaded.photograph[..., 1] / 255
    return (np.floor(np.stack([dark, dark**2], axis=-1) * (BINS - 1)) + 0.5).astype(np.float32) / BINS


def by_darkness(loaded: LoadedCase) -> CaseMap:
    return CaseMap(darkness(loaded))


def scored_by(segment, cases, data: DataConfig, *, thresholds: tuple[float, ...], bins: int) -> PhotographScores:
    return scores_of(count_photographs(segment, cases, data, thresholds=thresholds, bins=bins), thresholds)


@pytest.fixture
def scored(records_set) -> PhotographScores:
    cases = [records_set.cases[name] for name in "DEFG"]
    return scored_by(by_darkness, cases, records_set.index.data, thresholds=(0.4, 0.6), bins=BINS)


@pytest.fixture
def pixels(records_set):
    """Probabilities and masks of the same photographs, all pixels in one row: `[N, 2]` each."""
    pictures = [records_set.pictures[name] for name in "DEFG"]
    maps = [darkness(picture).reshape(-1, 2) for picture in pictures]
    return np.concatenate(maps), np.concatenate([picture.masks.reshape(-1, 2) for picture in pictures])


def test_scores_are_those_of_all_pixels_of_all_photographs_by_scikit_learn(scored, pixels):
    probabilities, masks = pixels
    for key in ("aupr", "dice"):
        values = [scored.logs[f"val_photo_{key}_{name}"] for name in CLASSES]
        assert scored.logs[f"val_photo_{key}"] == pytest.approx(np.mean(values))
    for index, (name, threshold) in enumerate(zip(CLASSES, (0.4, 0.6), strict=True)):
        probability, mask = probabilities[:, index], masks[:, index]
        expected = metrics.average_precision_score(mask, probability)
        assert scored.logs[f"val_photo_aupr_{name}"] == pytest.approx(expected)
        assert scored.logs[f"val_photo_dice_{name}"] == pytest.approx(metrics.f1_score(mask, probability >= threshold))


def test_each_class_has_the_threshold_of_the_highest_dice_over_all_photographs(scored, pixels):
    probabilities, masks = pixels
    for index, threshold in enumerate(scored.thresholds):
        probability, mask = probabilities[:, index], masks[:, index]
        dices = [metrics.f1_score(mask, probability >= edge / BINS) for edge in range(1, BINS)]
        assert metrics.f1_score(mask, probability >= threshold) == max(dices)


def test_a_single_class_has_no_columns_of_its_own(records_set):
    data = dataclasses.replace(records_set.index.data, classes=("HE",))
    scored = scored_by(
        lambda loaded: CaseMap(darkness(loaded)[..., :1]), [records_set.cases["D"]], data, thresholds=(0.5,), bins=BINS
    )
    assert set(scored.logs) == {"val_photo_aupr", "val_photo_dice"}


def test_a_class_without_lesion_pixels_counts_for_nothing_and_keeps_its_threshold(records_set):
    bare = dataclasses.replace(records_set.cases["D"], masks={**records_set.cases["D"].masks, "MA": None})
    scored = scored_by(by_darkness, [bare], records_set.index.data, thresholds=(0.4, 0.6), bins=BINS)
    assert set(scored.logs) == {f"val_photo_{key}{name}" for key in ("aupr", "dice") for name in ("", "_HE")}
    assert scored.logs["val_photo_aupr"] == scored.logs["val_photo_aupr_HE"]
    assert scored.thresholds[0] != 0.4
    assert scored.thresholds[1] == 0.6


def test_a_class_that_no_validation_photograph_knows_is_named_and_keeps_its_threshold(records_set):
    bare = {name: {**records_set.cases[name].masks, "MA": None} for name in "DE"}
    cases = [dataclasses.replace(records_set.cases[name], masks=bare[name], unknown=frozenset({"MA"})) for name in "DE"]
    scored = scored_by(by_darkness, cases, records_set.index.data, thresholds=(0.4, 0.6), bins=BINS)
    assert scored.thresholds[0] != 0.4 and scored.thresholds[1] == 0.6
    assert set(scored.logs) == {f"val_photo_{key}{name}" for key in ("aupr", "dice") for name in ("", "_HE")}
    kept = {"HE": 0.4, "MA": 0.3}
    assert kept_thresholds(cases, kept) == [
        "warning: MA (0.3): labelled in none of the 2 validation photographs, so the threshold in brackets stays"
    ]
    assert kept_thresholds([*cases, records_set.cases["F"]], kept) == kept_thresholds([], kept) == []


def test_at_most_one_photograph_is_read_ahead(records_set, monkeypatch):
    begun, segmented = [], []
    read = photographs.load_case

    def noted(case: Case, *arguments: object) -> LoadedCase:
        begun.append(case.name)
        return read(case, *arguments)

    def segment(loaded: LoadedCase) -> CaseMap:
        segmented.append(loaded.photograph.shape)
        assert len(begun) <= len(segmented) + 1
        return by_darkness(loaded)

    monkeypatch.setattr(photographs, "load_case", noted)
    cases = [records_set.cases[name] for name in "DEFG"]
    scored_by(segment, cases, records_set.index.data, thresholds=(0.5, 0.5), bins=BINS)
    assert begun == ["D", "E", "F", "G"]
    assert segmented == [records_set.pictures[name].photograph.shape for name in "DEFG"]


def test_a_photograph_that_cannot_be_read_and_a_probability_map_with_nan_are_named(records_set, tmp_path):
    data = records_set.index.data
    gone = dataclasses.replace(records_set.cases["E"], photograph=tmp_path / "gone.png")
    with pytest.raises(InputError, match=r"gone\.png"):
        scored_by(by_darkness, [records_set.cases["D"], gone], data, thresholds=(0.5, 0.5), bins=BINS)
    with pytest.raises(InputError, match="case D: .*NaN"):
        scored_by(
            lambda loaded: CaseMap(darkness(loaded) * np.float32("nan")),
            [records_set.cases["D"], records_set.cases["E"]],
            data,
            thresholds=(0.5, 0.5),
            bins=BINS,
        )


class StopAfter(keras.callbacks.Callback):
    def __init__(self, epoch: int):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch + 1 == self.epoch


class ByDarkness:
    """A segmenter that counts by darkness."""

    def __init__(self, data: DataConfig):
        self.data = data

    def count(self, cases):
        return count_photographs(by_darkness, cases, self.data, thresholds=(0.4, 0.6), bins=BINS)


@pytest.mark.parametrize("number", [2, 3])
def test_hosts_among_which_photographs_are_dealt_all_have_the_scores_of_one(records_set, scored, number):
    segmenter, cases = ByDarkness(records_set.index.data), [records_set.cases[name] for name in "DEFG"]
    if number == 3:
        cases = cases[:2]  # the third host has nothing to count
        scored = score_photographs(segmenter, cases, (0.4, 0.6))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        first = f"127.0.0.1:{listener.getsockname()[1]}"

    def on(index: int) -> PhotographScores:
        place = Place(index, (first, *(f"127.0.0.1:{one}" for one in range(1, number))))
        with joined_hosts(place, wait=20) as hosts:
            return score_photographs(segmenter, cases, (0.4, 0.6), hosts=hosts)

    with ThreadPoolExecutor(number) as pool:
        assert list(pool.map(on, range(number))) == [scored] * number


class Seen(keras.callbacks.Callback):
    """What a later callback finds in the logs: the score, by epoch."""

    def __init__(self):
        super().__init__()
        self.scores: dict[int, float] = {}

    def on_epoch_end(self, epoch, logs=None):
        if "val_photo_aupr" in logs:
            self.scores[epoch + 1] = logs["val_photo_aupr"]


@pytest.mark.parametrize(
    ("every", "first", "stop", "late", "expected"),
    [
        (1, 0, None, None, [1, 2, 3, 4, 5]),
        (2, 0, None, None, [2, 4, 5]),
        (5, 0, None, None, [5]),
        (9, 0, None, None, [5]),
        (2, 0, 3, None, [2, 3]),  # another callback ends the training
        (3, 2, None, None, [3, 5]),  # a resumed training continues to count
        (4, 0, None, 3, [3]),  # its time is up
    ],
)
def test_photographs_are_scored_every_so_many_epochs_and_after_the_last(every, first, stop, late, expected):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    calls = []

    def score() -> PhotographScores:
        calls.append(None)
        return PhotographScores({"val_photo_aupr": len(calls) / 10}, (0.5,))

    seen = Seen()
    before = [StopAfter(stop)] if stop else []
    after = [StopAfter(late)] if late else []
    epochs = iter(range(first + 1, 6))  # asked once in each
    validation = PhotographValidation(score, every, epochs=5, time_is_up=lambda: next(epochs) == late)
    model.fit(
        np.ones((4, 1)),
        np.ones((4, 1)),
        epochs=5,
        initial_epoch=first,
        callbacks=[*before, validation, *after, seen],
        verbose=0,
    )
    assert seen.scores == {epoch: (place + 1) / 10 for place, epoch in enumerate(expected)}
    assert len(calls) == len(expected)


@pytest.fixture(scope="module")
def sharded(fundus, shard, tmp_path_factory):
    """A source in paired folders, two of whose four photographs are for validation, and its records."""
    base = tmp_path_factory.mktemp("sharded")
    return base / "source", sharded_from(base, fundus, shard, {"A": "train", "V1": "valid", "V2": "valid"})


def copied(source: Path, target: Path) -> Path:
    for file in source.rglob("*.png"):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    return target


def test_the_validation_cases_are_found_in_the_source(sharded):
    source, records = sharded
    cases = validation_cases([source], [records])
    assert [(case.name, case.split) for case in cases] == [("V1", "validation"), ("V2", "validation")]
    assert cases[0].photograph == source / "valid" / "images" / "V1.png"
    assert cases[0].masks == {name: source / "valid" / "masks" / name / "V1.png" for name in CLASSES}
    assert cases[1].masks["MA"] is None


def test_several_sets_of_records_have_their_cases_in_several_sources(sharded, fundus, shard, tmp_path):
    source, records = sharded
    other = sharded_from(tmp_path, fundus, shard, {"A": "train", "B": "train", "C": "train", "V1": "valid"})
    cases = validation_cases([tmp_path / "source", source], [records, other])
    assert [(case.name, case.photograph.is_relative_to(source)) for case in cases] == [
        ("V1", True),
        ("V2", True),
        ("V1", False),  # the same name, another photograph
    ]


def test_photographs_missing_in_the_source_are_counted_and_named(sharded, tmp_path):
    source, records = sharded
    copy = copied(source, tmp_path / "source")
    for file in ("images/V1.png", "masks/HE/V1.png", "masks/MA/V1.png"):
        (copy / "valid" / file).unlink()
    with pytest.raises(
        InputError, match=rf"^--source={copy}: 1 of the records' 2 validation photographs are .*\(V1\)\. Name"
    ):
        validation_cases([copy], [records])


@pytest.mark.parametrize("file", ["images/V1.png", "masks/HE/V1.png", "masks/MA/V2.png"])
def test_a_photograph_or_mask_that_is_another_file_than_was_sharded_is_not_taken(sharded, tmp_path, file):
    source, records = sharded
    copy = copied(source, tmp_path / "source")
    (copy / "valid" / file).write_bytes((copy / "train" / "masks" / "HE" / "A.png").read_bytes())
    with pytest.raises(InputError, match=rf"1 of .* missing or changed since they were sharded \({Path(file).stem}\)"):
        validation_cases([copy], [records])


def test_of_many_missing_photographs_the_first_few_are_named(fundus, shard, sharded, tmp_path):
    records = sharded_from(tmp_path, fundus, shard, {f"W{number}": "valid" for number in range(5)})
    with pytest.raises(InputError, match=r"5 of the records' 5 .* \(W0, W1, W2, …\)[^\n]*$"):
        validation_cases([sharded[0]], [records])


def test_records_without_validation_photographs_are_refused(sharded, fundus, shard, tmp_path):
    records = sharded_from(tmp_path, fundus, shard, {"A": "train"})
    with pytest.raises(InputError, match=r"these records have none; shard with data\.validation_fraction above 0"):
        validation_cases([tmp_path / "source"], [records])


def test_validation_photographs_without_any_lesion_are_refused(fundus, shard, tmp_path):
    records = sharded_from(tmp_path, fundus, shard, {"A": "train", "V": "valid"}, lesions=False)
    with pytest.raises(InputError, match="none of the 1 validation photographs of these records has a lesion to score"):
        validation_cases([tmp_path / "source"], [records])


def worn(network: keras.Model) -> keras.Model:
    """Gives a network weights as if it had been trained: its normalisations have something to fold."""
    rng = np.random.default_rng(3)
    network.set_weights(
        [rng.normal(1, 0.2, weight.shape) if weight.ndim == 1 else weight for weight in network.get_weights()]
    )
    return network


@pytest.mark.slow
@SAVING
@pytest.mark.parametrize(("precision", "most"), [("float32", 5e-6), ("mixed_bfloat16", 0.06)])
def test_the_live_networks_map_is_that_of_its_model_folder(precision, most, fundus, spec, tmp_path):
    keras.utils.set_random_seed(2)
    with precision_policy(precision):
        network = worn(build_network(TINY_FAST, classes=2))
    geometry = spec(classes=CLASSES, tile=32, scale=0.8, overlap=0.25, window="hann", tile_batch=3)
    save_model(tmp_path / "model", network, geometry)
    photograph = fundus(90, 131, seed=5).photograph
    live, loaded = TiledSegmenter(network, geometry), load_segmenter(tmp_path / "model")
    assert len(loaded.network.layers) < len(network.layers)  # folded
    difference = np.abs(live.segment(photograph).numpy() - loaded.segment(photograph).numpy())
    assert np.ptp(live.segment(photograph)) > 0.05
    assert difference.max() <= most


@pytest.mark.slow
def test_the_graph_follows_the_weights_from_epoch_to_epoch_in_one_trace(records_set, spec):
    keras.utils.set_random_seed(2)
    network = build_network(TINY_FAST, classes=2)
    network.compile(keras.optimizers.SGD(0.1), build_loss("bce_dice"), jit_compile=False)
    segmenter = TiledSegmenter(network, spec(classes=CLASSES, tile=32, overlap=0.25, window="hann"))
    cases = [records_set.cases[name] for name in "DE"]  # of two sizes

    def score_of(segment) -> PhotographScores:
        return scored_by(
            lambda loaded: CaseMap(segment(loaded.photograph).numpy()),
            cases,
            records_set.index.data,
            thresholds=(0.5, 0.5),
            bins=BINS,
        )

    fresh = build_network(TINY_FAST, classes=2)
    of_fresh = TiledSegmenter(fresh, segmenter.spec)
    found, expected = [], []

    class Compare(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            fresh.set_weights(network.get_weights())
            found.append(logs["val_photo_aupr"])
            expected.append(score_of(of_fresh.segment).logs["val_photo_aupr"])

    rng = np.random.default_rng(0)
    network.fit(
        rng.uniform(0, 255, (4, 32, 32, 3)),
        rng.integers(0, 2, (4, 32, 32, 2)).astype(np.float32),
        batch_size=2,
        epochs=3,
        callbacks=[
            PhotographValidation(lambda: score_of(segmenter.segment), 1, epochs=3, time_is_up=lambda: False),
            Compare(),
        ],
        verbose=0,
    )
    assert found == expected
    assert len(set(found)) == 3
    assert segmenter.segment.experimental_get_tracing_count() == 1


def test_a_case_reaches_the_process_that_scores_it_as_it_is():
    first, second = Path("a.png"), Path("b.png")
    full = Case(
        "eye",
        Path("eye.jpg"),
        {"HE": first, "EX": None},
        "validation",
        "p1",
        further_masks={"HE": (second,)},
        unknown=frozenset({"EX"}),
        absent=frozenset({"MA"}),
        ignored={"HE": (first, second)},
        hard_negatives=Path("eye.csv"),
    )
    for case in (full, Case("eye", Path("eye.jpg"), {"HE": None}, "validation")):
        assert case_of(json.loads(json.dumps(dataclasses.asdict(case), default=plain))) == case
