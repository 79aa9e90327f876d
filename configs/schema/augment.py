"""The section `augment`: what training draws for each tile."""

import dataclasses

from configs.schema.checks import check


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """What training draws for each tile.

    A name by itself is the probability that the tile gets it; the fields that begin with that name say how far it
    goes. Unless it says otherwise, its strength is drawn uniformly up to what is given, in both directions where
    there are two. The first eleven move image and mask alike (see `pipeline.input.augmentation`), the others change the
    image alone (see `pipeline.input.photometric`).

    Attributes:
      horizontal_flip: exchanges left and right.
      vertical_flip: exchanges top and bottom.
      quarter_turn: turns by 90, 180 or 270 degrees, each equally likely.
      rotation: turns about the middle, by up to `rotation_degrees`.
      scale: enlarges or shrinks about the middle, by factors from 1 / `scale_factor` to `scale_factor`, uniform in
        their logarithm.
      shear: shifts rows or columns in proportion to their distance from the middle, `shear_slope` pixels a pixel.
      translation: shifts along both axes, by whole pixels up to `translation_fraction` of the tile's side.
      elastic: displaces each pixel by `elastic_alpha` times noise blurred with `elastic_sigma` pixels. As in the
        earlier system, whose blur went across the colour channels too, that is alpha / (sqrt(8) pi sigma^2) pixels
        root mean square: 2.3 for 1300 and 8.
      distortion: displaces along the slopes of noise blurred with `distortion_sigma` pixels, by up to
        `distortion_fraction` of the tile's side.
      barrel: enlarges what lies within `barrel_radius`, a share of the side, of a centre: the offset from it is
        multiplied by sin(pi r / 2R) ** `barrel_amount`. The centre is the tile's middle or one of the four points
        that are `barrel_offset` of the side away from it on both axes.
      pincushion: as `barrel`, with a negative exponent: shrinks.
      brightness: multiplies all channels alike; `brightness_fraction` is the relative change.
      contrast: multiplies the distance from the tile's mean colour; `contrast_fraction` is the relative change.
      saturation: multiplies the distance from grey; `saturation_fraction` is the relative change.
      hue: turns the colours about the grey axis, by up to `hue_degrees`.
      temperature: multiplies red and blue in opposite directions; `temperature_fraction` is the relative change.
      color: multiplies each channel by itself; `color_fraction` is the relative change.
      brightening: of the earlier system: alpha * image + beta, from 1 and 0 to `brightening_alpha` and
        `brightening_beta` levels.
      illumination: multiplies by a smooth field; `illumination_fraction` is its largest relative change.
      gamma: raises the image, as shares of 255, to a power from 1 / `gamma_exponent` to `gamma_exponent`, uniform in
        its logarithm.
      blur: a Gaussian of up to `blur_sigma` pixels.
      sharpening: of the earlier system: a 3x3 kernel of -k around 1 + 8k, k up to `sharpening_k`.
      jpeg: writes and reads the image as JPEG of a quality from `jpeg_quality` to 100.
    """

    horizontal_flip: float = 0.5
    vertical_flip: float = 0.5
    quarter_turn: float = 0.75
    rotation: float = 0.0
    rotation_degrees: float = 15.0
    scale: float = 0.0
    scale_factor: float = 1.25
    shear: float = 0.0
    shear_slope: float = 0.1
    translation: float = 0.0
    translation_fraction: float = 0.1
    elastic: float = 0.0
    elastic_alpha: float = 1300.0
    elastic_sigma: float = 8.0
    distortion: float = 0.0
    distortion_fraction: float = 0.02
    distortion_sigma: float = 40.0
    barrel: float = 0.0
    barrel_amount: float = 0.3
    barrel_radius: float = 0.3
    barrel_offset: float = 0.2
    pincushion: float = 0.0
    pincushion_amount: float = 0.3
    pincushion_radius: float = 0.3
    pincushion_offset: float = 0.2
    brightness: float = 0.0
    brightness_fraction: float = 0.2
    contrast: float = 0.0
    contrast_fraction: float = 0.2
    saturation: float = 0.0
    saturation_fraction: float = 0.2
    hue: float = 0.0
    hue_degrees: float = 10.0
    temperature: float = 0.0
    temperature_fraction: float = 0.1
    color: float = 0.0
    color_fraction: float = 0.1
    brightening: float = 0.0
    brightening_alpha: float = 1.2
    brightening_beta: float = 10.0
    illumination: float = 0.0
    illumination_fraction: float = 0.3
    gamma: float = 0.0
    gamma_exponent: float = 1.3
    blur: float = 0.0
    blur_sigma: float = 1.0
    sharpening: float = 0.0
    sharpening_k: float = 1.0
    jpeg: float = 0.0
    jpeg_quality: int = 60

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in _AUGMENT_RANGES:
                low, high = _AUGMENT_RANGES[field.name]
                check(low <= value <= high, f"augment.{field.name}", value, allowed=f"{low} to {high}")
            else:
                check(0 <= value <= 1, f"augment.{field.name}", value, allowed="a probability, 0 to 1")


# Every other field of AugmentConfig is a probability.
_AUGMENT_RANGES = {
    "rotation_degrees": (0, 180),
    "scale_factor": (1, 2),
    "shear_slope": (0, 1),
    "translation_fraction": (0, 0.5),
    "elastic_alpha": (0, 1e6),
    "elastic_sigma": (4, 256),  # the noise is drawn every 4 pixels
    "distortion_fraction": (0, 0.1),
    "distortion_sigma": (4, 256),
    "barrel_amount": (0, 1),
    "barrel_radius": (0.05, 1),
    "barrel_offset": (0, 0.5),
    "pincushion_amount": (0, 0.9),  # 1 would tear the centre
    "pincushion_radius": (0.05, 1),
    "pincushion_offset": (0, 0.5),
    "brightness_fraction": (0, 0.9),
    "contrast_fraction": (0, 0.9),
    "saturation_fraction": (0, 1),
    "hue_degrees": (0, 180),
    "temperature_fraction": (0, 0.9),
    "color_fraction": (0, 0.9),
    "brightening_alpha": (1, 4),
    "brightening_beta": (0, 255),
    "illumination_fraction": (0, 0.9),
    "gamma_exponent": (1, 4),
    "blur_sigma": (0, 4),
    "sharpening_k": (0, 4),
    "jpeg_quality": (1, 100),
}
