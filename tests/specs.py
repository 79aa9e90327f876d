"""Specs of segmenters for tests."""

from pipeline.inference import SegmenterSpec


def make_spec(**fields: object) -> SegmenterSpec:
    """Makes a segmenter's spec; by default one class and tiles of 16 pixels without overlap."""
    plain = {
        "classes": ("HE",),
        "scale": 1.0,
        "tile": 16,
        "overlap": 0.0,
        "window": "uniform",
        "tile_batch": 2,
        "thresholds": (0.5,) * len(fields.get("classes", "1")),
        "splits": {},
        "records_fingerprint": "0" * 16,
        "config_fingerprint": "1" * 16,
    }
    return SegmenterSpec(**{**plain, **fields})
