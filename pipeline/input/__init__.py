"""The input pipeline, from shards to batches: reading, sampling, cropping and augmentation."""

from pipeline.input.augmentation import AUGMENTATIONS, augment
from pipeline.input.cropping import Crop
from pipeline.input.draws import watched
from pipeline.input.host_share import WHOLE, HostShare
from pipeline.input.pasting import NO_DONOR
from pipeline.input.reading import (
    Cache,
    RecordSet,
    StoredTile,
    TileReader,
    choose_cache,
    naming_damaged_shards,
    open_records,
)
from pipeline.input.sampling import ANYWHERE, MISTAKEN, Target, make_sampler
from pipeline.input.spread import spread_batches
from pipeline.input.stream import tiles_of_split, training_batches, training_elements, validation_batches

__all__ = [
    "ANYWHERE",
    "AUGMENTATIONS",
    "MISTAKEN",
    "NO_DONOR",
    "WHOLE",
    "Cache",
    "Crop",
    "HostShare",
    "RecordSet",
    "StoredTile",
    "Target",
    "TileReader",
    "augment",
    "choose_cache",
    "make_sampler",
    "naming_damaged_shards",
    "open_records",
    "spread_batches",
    "tiles_of_split",
    "training_batches",
    "training_elements",
    "validation_batches",
    "watched",
]
