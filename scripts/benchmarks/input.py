"""The training stream against its bound: decoding the same tiles on all cores, and nothing else."""

import contextlib
import dataclasses
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from configs import AugmentConfig, Config, TrainConfig
from pipeline.input.reading import RecordSet, open_records
from pipeline.input.sampling import make_sampler
from pipeline.input.stream import training_batches
from pipeline.inspection.elements import AUGMENTATIONS
from pipeline.training import prepare
from records import find_cases, locate_records
from records.shards import Split
from records.shards.record import decode_record, decode_tile
from scripts.benchmarks import ways
from scripts.benchmarks.measuring import Result, median_ratio, take_turns
from scripts.benchmarks.shard import shard_cases

REPEATS = 5
AUGMENTATION_REPEATS = 3  # of each augmentation alone
TILES = 256  # of a side and turn, that are counted
STARTING_TILES = 64  # before those, while a stream gets going
MOST_BYTES = 1e9  # of the decoded tiles; of a larger set, the first shards are taken
EPOCHS = 6  # over which memory is watched
BLOCKS = 3  # of training steps, for each of two sides
BLOCK_SECONDS = 8.0  # that a block takes about
BLOCK_STEPS = (2, 16)  # that it has at least and at most
CORES = os.cpu_count() or 1

FULL = AugmentConfig(**dict.fromkeys(AUGMENTATIONS, 1.0))  # type: ignore[arg-type]

TITLE = """\
{count} training tiles of {tile}, whole, in batches of {batch_size}; {repeats} turns of {tiles} tiles, {cores} cores
bare decode: image and mask of the same tiles from their bytes in memory, a thread a core, and nothing else
uncached and cache …: the stream without augmentation; as configured: uncached, with that of the config
every augmentation: uncached, all {augmentations}, always; from memory: the same with decoded tiles, and
augmented_tiles_per_second_per_core
with NAME: decoded tiles, that augmentation alone, always; added ms: what it takes of a core, for each tile
fit: keras.Model.fit of a network that does nothing; peak MB: of a process with nothing else, over {epochs} epochs
memory_growth_mb: from the peak of epoch 2 to that of epoch {epochs}, uncached
input_wait_share: share of the time of training steps in which they are blocked in next(iterator), as configured
step_slowdown_share: 1 - (step with a batch that lies ready) / (step with the stream), which holds that wait and, where
  they share the cores, the work of the stream; both over {blocks} blocks of {steps} steps of {step_seconds:.2f} s
  ({cache})"""

SecondsATile = dict[str, list[float]]  # of each turn, by what was timed


class Wait(NamedTuple):
    """How training steps wait; the shares are medians over blocks.

    Attributes:
      blocked: share of their time in which they wait for a batch.
      slowdown: share of their time that a batch which lies ready would save.
      steps: of a block.
      step_seconds: of a step with a batch that lies ready.
      cache: where the tiles were.
    """

    blocked: float
    slowdown: float
    steps: int
    step_seconds: float
    cache: str


class Memory(NamedTuple):
    """What a process takes, megabytes: before it knows of any tile, and at its peak in each epoch."""

    before: float
    peaks: list[float]


def measure(config: Config, **folder: Path) -> Result:
    """Times the training stream of whole tiles beside other ways to a network, and how long training steps wait for it.

    Streams are timed once they run, and begin anew in each turn.

    Args:
      config: of the records, and of the network whose steps wait.
      **folder: `records`, a set that is there, or `source`, photographs and masks of which one is made.

    Raises:
      InputError: records or photographs that do not fit the config.
    """
    with tempfile.TemporaryDirectory() as scratch:
        records = folder.get("records") or _make_records(config, folder["source"], Path(scratch) / "records")
        wait = measure_wait(config, records)
        one = _first_shards(open_records([records], config)[0], MOST_BYTES)
        train = dataclasses.replace(config.train, crop=None)
        streams = _time_streams(one, train, config.augment)
        augmented = _time_augmentations(_first_shards(one, 0), train)
        files = ways.write_files(one, Path(scratch) / "files")
        fits, memory = _feed_in_all_ways(one, files, train)
    title = TITLE.format(
        count=len(files),
        tile=config.data.tile,
        batch_size=train.batch_size,
        repeats=REPEATS,
        tiles=TILES,
        cores=CORES,
        augmentations=len(AUGMENTATIONS),
        epochs=EPOCHS,
        blocks=BLOCKS,
        **wait._asdict(),
    )
    bare, uncached, full = (streams[name] for name in ("bare decode", "uncached", "every augmentation, from memory"))
    return Result(
        title=title,
        columns=["", "tiles/s", "a core", "of bare decode", "added ms", "peak MB"],
        rows=_rows(streams, augmented, fits, memory=memory),
        keys={
            "share_of_decode": median_ratio(bare, uncached),
            "augmented_tiles_per_second_per_core": 1 / statistics.median(full) / CORES,
            "input_wait_share": wait.blocked,
            "step_slowdown_share": wait.slowdown,
            "uncached_tiles_per_second": 1 / statistics.median(uncached),
            "uncached_over_pydataset": median_ratio(fits["PyDataset and OpenCV"], fits["uncached"]),
            "uncached_over_numpy": median_ratio(fits["NumPy arrays"], fits["uncached"]),
            "memory_growth_mb": memory["uncached"].peaks[-1] - memory["uncached"].peaks[1],
            "peak_memory_mb": {name: round(max(taken.peaks)) for name, taken in memory.items()},
            "tensorflow_memory_mb": round(memory["uncached"].before),
        },
    )


def _make_records(config: Config, source: Path, folder: Path) -> Path:
    cases = find_cases(source, config.data.classes, colored=bool(config.data.colors))[1]
    shard_cases(cases, config.data, CORES, folder=folder)
    return folder


def measure_wait(config: Config, records: Path) -> Wait:
    """Trains with the stream and with one batch in turn, as the config says."""
    run = prepare(config, [records], Path())  # which writes nothing
    batch = next(iter(run.training))
    shares: list[float] = []

    def train(batches: Iterable[Any], steps: int) -> tuple[float, float]:
        """Returns the seconds of the steps, but for the first, in which a stream starts, and of waiting in them."""
        iterator = iter(batches)
        run.model.train_on_batch(*next(iterator))
        waited, began = 0.0, time.perf_counter()
        for _ in range(steps):
            asked = time.perf_counter()
            image, mask = next(iterator)
            waited += time.perf_counter() - asked
            run.model.train_on_batch(image, mask)
        return time.perf_counter() - began, waited

    def with_stream() -> float:
        seconds, waited = train(run.training, steps)
        shares.append(waited / seconds)
        return seconds

    ready = itertools.repeat(batch)
    least, most = BLOCK_STEPS
    steps = min(max(round(BLOCK_SECONDS / train(ready, 1)[0]), least), most)
    seconds = take_turns({"ready": lambda: train(ready, steps)[0], "stream": with_stream}, repeats=BLOCKS)
    return Wait(
        blocked=statistics.median(shares[1:]),  # the first was the warm-up
        slowdown=1 - median_ratio(seconds["ready"], seconds["stream"]),
        steps=steps,
        step_seconds=statistics.median(seconds["ready"]) / steps,
        cache=run.plan.messages[1],
    )


def _first_shards(one: RecordSet, most_bytes: float) -> RecordSet:
    """Returns the set with the first training shards that take at most so many bytes decoded, but at least a tile."""
    index, train = one.index, one.index.splits["train"]
    sizes = list(itertools.accumulate(shard.records * index.data.tile**2 * 4 for shard in train.shards))
    shards = train.shards[: max(sum(size <= most_bytes for size in sizes), sizes.count(0) + 1)]
    tiles = sum(shard.records for shard in shards)
    ends = itertools.accumulate(index.cases[name].tiles for name in train.cases)
    cases = [name for name, end in zip(train.cases, ends, strict=True) if end <= tiles]
    splits = {**index.splits, "train": Split(cases, shards)}
    return RecordSet(one.folder, dataclasses.replace(index, splits=splits))


def _time_streams(one: RecordSet, train: TrainConfig, augment: AugmentConfig) -> SecondsATile:
    stream = partial(training_batches, [one], train)
    batches = {
        "bare decode": _bare_decode(one, train),
        **{name: stream(ways.UNTOUCHED, cache=cache) for name, cache in ways.STREAMS.items()},
        "as configured": stream(augment),
        "every augmentation": stream(FULL),
        "every augmentation, from memory": training_batches([_first_shards(one, 0)], train, FULL, cache="decoded"),
    }
    sides = {name: partial(_seconds_a_tile, dataset, train.batch_size) for name, dataset in batches.items()}
    return take_turns(sides, repeats=REPEATS)


def _bare_decode(one: RecordSet, train: TrainConfig) -> tf.data.Dataset:
    """Returns endless batches of one number a tile that was decoded, in the order in which the stream shows them."""
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
        image, bits = decode_tile(example, tile=data.tile, codec=data.codec)
        return image[0, 0, 0] + bits[0, 0, 0]

    endless = tf.data.Dataset.from_tensor_slices(encoded).repeat()
    return endless.map(decode, num_parallel_calls=CORES).batch(train.batch_size)


def _time_augmentations(one: RecordSet, train: TrainConfig) -> SecondsATile:
    """Times each augmentation alone, and "cache decoded" without any; only one of them is in memory at a time."""

    def side(augment: AugmentConfig) -> float:
        return _seconds_a_tile(training_batches([one], train, augment, cache="decoded"), train.batch_size)

    sides = {"cache decoded": partial(side, ways.UNTOUCHED)}
    for name in AUGMENTATIONS:
        always: dict[str, Any] = {name: 1.0}
        sides[name] = partial(side, dataclasses.replace(ways.UNTOUCHED, **always))
    return take_turns(sides, repeats=AUGMENTATION_REPEATS)


def _seconds_a_tile(batches: tf.data.Dataset, batch_size: int) -> float:
    iterator = iter(batches)
    for _ in range(-(-STARTING_TILES // batch_size)):
        next(iterator)
    count = -(-TILES // batch_size)
    began = time.perf_counter()
    for _ in range(count):
        next(iterator)
    return (time.perf_counter() - began) / (count * batch_size)


def _feed_in_all_ways(
    one: RecordSet, files: list[ways.TileFile], train: TrainConfig
) -> tuple[SecondsATile, dict[str, Memory]]:
    steps = len(files) // train.batch_size
    uncounted = min(-(-STARTING_TILES // train.batch_size), steps // 2)
    counted_tiles = (steps - uncounted) * train.batch_size
    with contextlib.ExitStack() as stack:
        processes = {name: stack.enter_context(ways.Way(name, one, files, train=train)) for name in ways.WAYS}
        # Before the turns, each of which leaves something behind in the processes.
        memory = {name: Memory(way.before, way.peaks_of_epochs(EPOCHS)) for name, way in processes.items()}
        sides = {name: partial(way.seconds_of_epoch, uncounted) for name, way in processes.items()}
        seconds = take_turns(sides, repeats=REPEATS)
    return {name: [one / counted_tiles for one in turns] for name, turns in seconds.items()}, memory


def _rows(
    streams: SecondsATile, augmented: SecondsATile, fits: SecondsATile, *, memory: dict[str, Memory]
) -> list[list[str]]:
    def row(name: str, seconds: list[float], base: list[float] | None = None, *, peak: str = "") -> list[str]:
        rate = 1 / statistics.median(seconds)
        share = "" if base else f"{median_ratio(streams['bare decode'], seconds):.3f}"
        added = [1e3 * CORES * (one - other) for one, other in zip(seconds, base or seconds, strict=True)]
        return [
            name,
            f"{rate:.1f}",
            f"{rate / CORES:.1f}",
            share,
            f"{statistics.median(added):.2f}" if base else "",
            peak,
        ]

    rows = [row(name, seconds) for name, seconds in streams.items()]
    rows += [row(f"with {name}", augmented[name], augmented["cache decoded"]) for name in AUGMENTATIONS]
    for name, taken in memory.items():
        rows.append(row(f"fit, {name}", fits[name], peak=f"{max(taken.peaks):.0f}"))
    return rows
