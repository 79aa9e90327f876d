"""Suggestions for misspelled names."""

import pytest

from configs.suggestions import did_you_mean


@pytest.mark.parametrize(
    ("name", "known", "suggestion"),
    [
        ("unett", ["fast", "unet", "swin_unet"], " Did you mean 'unet'?"),
        ("train.epoch", ["train.epochs", "train.seed"], " Did you mean 'train.epochs'?"),
        ("unet", ("swin_unet", "unet"), " Did you mean 'unet'?"),
        ("unett", {"unet": 1, "fast": 2}, " Did you mean 'unet'?"),
        ("zzz", ["fast", "unet"], ""),
        ("unet", [], ""),
    ],
)
def test_the_most_similar_name_is_suggested_or_none(name, known, suggestion):
    assert did_you_mean(name, known) == suggestion
