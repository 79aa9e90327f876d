"""What every network does to a photograph first: colour space, gamma, sharpening."""

import keras

from configs import PreprocessConfig


def preprocess(image: keras.KerasTensor, options: PreprocessConfig) -> keras.KerasTensor:
    """Being written."""
    if options != PreprocessConfig():
        raise NotImplementedError
    return image
