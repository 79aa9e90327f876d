"""The usual first try, to hold a network against: a threshold on colour."""

import numpy as np

from records import field_of_view


def color_threshold_map(photograph: np.ndarray, classes: int) -> np.ndarray:
    """Maps uint8 RGB `[H, W, 3]` to "probabilities" float32 `[H, W, C]`: how dark a pixel is in green.

    Haemorrhages, like vessels, are darkest in green, which their haemoglobin absorbs. Outside the field of view the
    map is zero. Every class gets the same map.
    """
    darkness = (1 - photograph[..., 1].astype(np.float32) / 255) * field_of_view(photograph)
    return np.repeat(darkness[..., None], classes, axis=-1)
