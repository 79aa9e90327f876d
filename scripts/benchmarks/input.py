"""The training stream relative to its bound: decoding the same tiles on all cores, and nothing else."""

import contextlib
import dataclasses
import itertools
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from configs import AugmentConfig, Config, TrainConfig
from pipeline.input import AUGMENTATIONS, RecordSet, make_sampler, open_records, training_batches
from pipeline.machine import usable_cores
from records import find_cases, locate_records
from records.shards import Split
from records.shards.record import LabelFormat, decode_image, decode_labels, decode_record
from scripts.benchmarks import feeders, input_wait
from scripts.benchmarks.measuring import Result, median_ratio, take_turns
from scripts.benchmarks.shard import shard_cases

REPEATS = 5
AUGMENTATION_REPEATS = 3  # for each augmentation alone
TILES = 256  # counted tiles of a variant in a turn
STARTING_TILES = 64  # uncounted tiles before those, while a stream starts
MAX_BYTES = 1e9  # of decoded tiles; of a larger set, only the first shards are used
EPOCHS = 6  # over which memory is measured
CORES = usable_cores()

ALL_AUGMENTATIONS = AugmentConfig(**dict.fromkeys(AUGMENTATIONS, 1.0))  # type: ignore[arg-type]

TITLE = """\
{count} training tiles of {tile}, whole, in batches of {batch_size}; {repeats} turns of {tiles} tiles, {cores} cores
bare decode: image and mask of the same tiles from their bytes in memory, one thread per core, and nothing else
uncached and cache …: the stream without augmentation; as configured: uncached, with the augmentation of the config
every augmentation: uncached, all {augmentations}, each always applied; from memory: the same with decoded tiles, and
augmented_tiles_per_second_per_core
with NAME: decoded tiles, only that augmentation, always applied; added ms: its time on one core per tile
fit: keras.Model.fit of a network that does nothing; peak MB: of a process of its own, over {epochs} epochs
memory_growth_mb: from the peak of epoch 2 to that of epoch {epochs}, uncached
input_wait_share: fraction of the time of training steps in which they wait in next(iterator), as configured
step_slowdown_share: 1 - (step with a batch in memory) / (step with the stream), which includes that wait and, where
  both share the cores, the work of the stream; both over {blocks} blocks of {steps} steps of {step_seconds:.2f} s
  ({cache})"""

SecondsPerTile = dict[str, list[float]]  # of each turn, by the name of the variant


class Memory(NamedTuple):
    """The memory of a process, megabytes: before it loads any tile, and its peak in each epoch."""

    before: float
    peaks: list[float]


def measure(config: Config, **folder: Path) -> Result:
    """Times the training stream of whole tiles, other ways to feed a network, and how long training steps wait.

    A stream is timed once it runs, and starts anew in each turn.

    Args:
      config: of the records, and of the network whose steps wait.
      **folder: `records`, an existing set, or `source`, photographs and masks to make one from.

    Raises:
      InputError: the records or photographs do not fit the config.
    """
    with tempfile.TemporaryDirectory() as scratch:
        records = folder.get("records") or _make_records(config, folder["source"], Path(scratch) / "records")
        wait = input_wait.measure_wait(config, records)
        one = _first_shards(open_records([records], config)[0], MAX_BYTES)
        train = dataclasses.replace(config.train, crop=None)
        streams = _time_streams(one, train, config.augment)
        augmented = _time_augmentations(_first_shards(one, 0), train)
        files = feeders.write_files(one, Path(scratch) / "files")
        fits, memory = _time_feeders(one, files, train)
    title = TITLE.format(
        count=len(files),
        tile=config.data.tile,
        batch_size=train.batch_size,
        repeats=REPEATS,
        tiles=TILES,
        cores=CORES,
        augmentations=len(AUGMENTATIONS),
        epochs=EPOCHS,
        blocks=input_wait.BLOCKS,
        **wait._asdict(),
    )
    columns = ["", "tiles/s", "a core", "of bare decode", "added ms", "peak MB"]
    rows = _rows(streams, augmented, fits, memory=memory)
    return Result(title, columns, rows, keys=_keys(streams, fits, memory, wait=wait))


def _make_records(config: Config, source: Path, folder: Path) -> Path:
    cases = find_cases(source, config.data.classes, colored=bool(config.data.colors))[1]
    shard_cases(cases, config.data, CORES, folder=folder)
    return folder


def _first_shards(one: RecordSet, max_bytes: float) -> RecordSet:
    """Returns the set with the first training shards, up to a size of their decoded tiles, but at least one tile."""
    index, train = one.index, one.index.splits["train"]
    sizes = list(itertools.accumulate(shard.records * index.data.tile**2 * 4 for shard in train.shards))
    shards = train.shards[: max(sum(size <= max_bytes for size in sizes), sizes.count(0) + 1)]
    tiles = sum(shard.records for shard in shards)
    ends = itertools.accumulate(index.cases[name].tiles for name in train.cases)
    cases = [name for name, end in zip(train.cases, ends, strict=True) if end <= tiles]
    splits = {**index.splits, "train": Split(cases, shards)}
    return dataclasses.replace(one, index=dataclasses.replace(index, splits=splits))


def _time_streams(one: RecordSet, train: TrainConfig, augment: AugmentConfig) -> SecondsPerTile:
    stream = partial(training_batches, [one], train)
    in_memory = training_batches([_first_shards(one, 0)], train, ALL_AUGMENTATIONS, cache="decoded")
    batches = {
        "bare decode": _bare_decode(one, train),
        **{name: stream(feeders.NO_AUGMENTATION, cache=cache) for name, cache in feeders.STREAMS.items()},
        "as configured": stream(augment),
        "every augmentation": stream(ALL_AUGMENTATIONS),
        "every augmentation, from memory": in_memory,
    }
    variants = {name: partial(_seconds_per_tile, dataset, train.batch_size) for name, dataset in batches.items()}
    return take_turns(variants, repeats=REPEATS)


def _bare_decode(one: RecordSet, train: TrainConfig) -> tf.data.Dataset:
    """Returns endless batches of one number per decoded tile; the tiles are those of the stream, in its order."""
    data = one.index.data
    tiles = [
        decode_record(record)
        for shard, _ in locate_records(one.index, "train", one.folder)
        for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator()
    ]
    sampler = make_sampler([one], train)
    numbers = tf.data.Dataset.range(STARTING_TILES + TILES).map(lambda k: sampler.target(k).tile)
    shown = [tiles[number] for number in numbers.as_numpy_iterator()]
    encoded = {"image": [tile.image for tile in shown], "mask": [tile.mask for tile in shown]}

    def decode(example: dict[str, tf.Tensor]) -> tf.Tensor:
        image = decode_image(example, tile=data.tile, codec=data.codec)
        bits = decode_labels(example, tile=data.tile, form=LabelFormat(len(data.classes), data.soft_labels))
        return image[0, 0, 0] + bits[0, 0, 0]

    endless = tf.data.Dataset.from_tensor_slices(encoded).repeat()
    return endless.map(decode, num_parallel_calls=CORES).batch(train.batch_size)


def _time_augmentations(one: RecordSet, train: TrainConfig) -> SecondsPerTile:
    """Times "cache decoded" without augmentation, and with each alone; one stream at a time is in memory."""

    def seconds(augment: AugmentConfig) -> float:
        return _seconds_per_tile(training_batches([one], train, augment, cache="decoded"), train.batch_size)

    variants = {"cache decoded": partial(seconds, feeders.NO_AUGMENTATION)}
    for name in AUGMENTATIONS:
        always: dict[str, Any] = {name: 1.0}
        variants[name] = partial(seconds, dataclasses.replace(feeders.NO_AUGMENTATION, **always))
    return take_turns(variants, repeats=AUGMENTATION_REPEATS)


def _seconds_per_tile(batches: tf.data.Dataset, batch_size: int) -> float:
    iterator = iter(batches)
    for _ in range(-(-STARTING_TILES // batch_size)):
        next(iterator)
    count = -(-TILES // batch_size)
    began = time.perf_counter()
    for _ in range(count):
        next(iterator)
    return (time.perf_counter() - began) / (count * batch_size)


def _time_feeders(
    one: RecordSet, files: list[feeders.TileFiles], train: TrainConfig
) -> tuple[SecondsPerTile, dict[str, Memory]]:
    steps = len(files) // train.batch_size
    uncounted = min(-(-STARTING_TILES // train.batch_size), steps // 2)
    counted_tiles = (steps - uncounted) * train.batch_size
    with contextlib.ExitStack() as stack:
        processes = {
            name: stack.enter_context(feeders.Feeder(name, one, files, train=train)) for name in feeders.FEEDERS
        }
        # Before the turns, which leave memory allocated in the processes.
        memory = {name: Memory(feeder.before, feeder.peaks_of_epochs(EPOCHS)) for name, feeder in processes.items()}
        variants = {name: partial(feeder.seconds_of_epoch, uncounted) for name, feeder in processes.items()}
        seconds = take_turns(variants, repeats=REPEATS)
    return {name: [one / counted_tiles for one in turns] for name, turns in seconds.items()}, memory


def _rows(
    streams: SecondsPerTile, augmented: SecondsPerTile, fits: SecondsPerTile, *, memory: dict[str, Memory]
) -> list[list[str]]:
    def row(name: str, seconds: list[float], base: list[float] | None = None, *, peak: str = "") -> list[str]:
        rate = 1 / statistics.median(seconds)
        of_bound = "" if base else f"{median_ratio(streams['bare decode'], seconds):.3f}"
        added = [1e3 * CORES * (one - other) for one, other in zip(seconds, base or seconds, strict=True)]
        added_ms = f"{statistics.median(added):.2f}" if base else ""
        return [name, f"{rate:.1f}", f"{rate / CORES:.1f}", of_bound, added_ms, peak]

    rows = [row(name, seconds) for name, seconds in streams.items()]
    rows += [row(f"with {name}", augmented[name], augmented["cache decoded"]) for name in AUGMENTATIONS]
    for name, taken in memory.items():
        rows.append(row(f"fit, {name}", fits[name], peak=f"{max(taken.peaks):.0f}"))
    return rows


def _keys(
    streams: SecondsPerTile, fits: SecondsPerTile, memory: dict[str, Memory], *, wait: input_wait.Wait
) -> dict[str, object]:
    bare, uncached = streams["bare decode"], streams["uncached"]
    augmented = streams["every augmentation, from memory"]
    return {
        "share_of_decode": median_ratio(bare, uncached),
        "augmented_tiles_per_second_per_core": 1 / statistics.median(augmented) / CORES,
        "input_wait_share": wait.blocked,
        "step_slowdown_share": wait.slowdown,
        "uncached_tiles_per_second": 1 / statistics.median(uncached),
        "uncached_over_pydataset": median_ratio(fits["PyDataset and OpenCV"], fits["uncached"]),
        "uncached_over_numpy": median_ratio(fits["NumPy arrays"], fits["uncached"]),
        "memory_growth_mb": memory["uncached"].peaks[-1] - memory["uncached"].peaks[1],
        "peak_memory_mb": {name: round(max(taken.peaks)) for name, taken in memory.items()},
        "tensorflow_memory_mb": round(memory["uncached"].before),
    }
