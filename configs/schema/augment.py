"""The section `augment` of the config: random changes of the training tiles."""

import dataclasses

from configs.schema.checks import check


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """The random changes of a training tile.

    The field named after an augmentation is its probability, 0 to 1; the fields whose names start with it set its
    strength. Unless stated otherwise, the strength is drawn uniformly up to the given value, and in both directions
    where there are two. The augmentations up to `pincushion` move image and mask together (see
    `pipeline.input.augmentation`), the others change the image alone (see `pipeline.input.photometric`).

    Attributes:
      horizontal_flip: probability of swapping left and right.
      vertical_flip: probability of swapping top and bottom.
      quarter_turn: probability of a rotation by 90, 180 or 270 degrees, each equally likely.
      rotation: probability of a rotation about the centre.
      rotation_degrees: largest angle, 0 to 180 degrees.
      scale: probability of zooming in or out about the centre.
      scale_factor: largest factor, 1 to 2; drawn from 1 / `scale_factor` to `scale_factor`, uniform in its logarithm.
      shear: probability of shifting rows or columns in proportion to their distance from the centre.
      shear_slope: largest shift, pixels per pixel of distance, 0 to 1.
      translation: probability of a shift along both axes by whole pixels.
      translation_fraction: largest shift, fraction of the tile's side, 0 to 0.5.
      elastic: probability of displacing each pixel by blurred noise (elastic deformation).
      elastic_alpha: factor of the noise, 0 to 1e6. As in the earlier system, which also blurred across the colour
        channels, the root mean square displacement is alpha / (sqrt(8) pi sigma^2) pixels: 2.3 for 1300 and 8.
      elastic_sigma: standard deviation of the blur, 4 to 256 pixels.
      distortion: probability of displacing each pixel along the gradient of blurred noise.
      distortion_fraction: largest displacement, fraction of the tile's side, 0 to 0.1.
      distortion_sigma: standard deviation of the blur, 4 to 256 pixels.
      barrel: probability of magnifying a disc around a centre: the offset from the centre is multiplied by
        sin(pi r / 2R) ** `barrel_amount`.
      barrel_amount: exponent, 0 to 1.
      barrel_radius: radius R of the disc, fraction of the tile's side, 0.05 to 1.
      barrel_offset: the centre is the tile's centre or one of the four points at this distance from it along both
        axes, fraction of the tile's side, 0 to 0.5.
      pincushion: probability of shrinking a disc around a centre: `barrel` with a negative exponent.
      pincushion_amount: absolute value of the exponent, 0 to 0.9.
      pincushion_radius: as `barrel_radius`.
      pincushion_offset: as `barrel_offset`.
      brightness: probability of multiplying all channels by one factor.
      brightness_fraction: largest relative change, 0 to 0.9.
      contrast: probability of multiplying the distance from the tile's mean colour.
      contrast_fraction: largest relative change, 0 to 0.9.
      saturation: probability of multiplying the distance from grey.
      saturation_fraction: largest relative change, 0 to 1.
      hue: probability of rotating the colours about the grey axis.
      hue_degrees: largest angle, 0 to 180 degrees.
      temperature: probability of multiplying red and blue in opposite directions.
      temperature_fraction: largest relative change, 0 to 0.9.
      color: probability of multiplying each channel by a factor of its own.
      color_fraction: largest relative change, 0 to 0.9.
      brightening: probability of alpha * image + beta, as in the earlier system; both grow together from 1 and 0.
      brightening_alpha: largest alpha, 1 to 4.
      brightening_beta: largest beta, 0 to 255 grey levels.
      illumination: probability of multiplying by a smooth random field.
      illumination_fraction: largest relative change of the field, 0 to 0.9.
      haze: probability of mixing with grey, which scattered light adds, as of a cataract or a lens that is not clean.
      haze_fraction: largest fraction of grey, 0 to 0.9.
      haze_level: darkest grey, 0 to 255 grey levels; drawn from it to 255.
      vignette: probability of darkening with the distance from a centre, as towards the rim of a photograph. The light
        falls as a Gaussian, whose standard deviation is half the radius.
      vignette_fraction: largest fraction of the light that is lost far from the centre, 0 to 0.9; at the rim, 86 % of
        it is.
      vignette_radius: distance of the rim from the centre, fraction of the image's side, 0.5 to 8. The centre lies up
        to as far from the image's own, in any direction.
      noise: probability of adding noise to each pixel and channel, as a sensor does.
      noise_sigma: largest standard deviation, 0 to 64 grey levels.
      gamma: probability of raising the image, scaled to 0..1, to a power.
      gamma_exponent: largest exponent, 1 to 4; drawn from 1 / `gamma_exponent` to `gamma_exponent`, uniform in its
        logarithm.
      blur: probability of a Gaussian blur.
      blur_sigma: largest standard deviation, 0 to 4 pixels.
      sharpening: probability of filtering with a 3x3 kernel of -k around 1 + 8k, as in the earlier system.
      sharpening_k: largest k, 0 to 4.
      jpeg: probability of compressing the image as JPEG.
      jpeg_quality: lowest quality, 1 to 100; drawn from it to 100.
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
    haze: float = 0.0
    haze_fraction: float = 0.4
    haze_level: float = 128.0
    vignette: float = 0.0
    vignette_fraction: float = 0.6
    vignette_radius: float = 1.5
    noise: float = 0.0
    noise_sigma: float = 6.0
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
    "pincushion_amount": (0, 0.9),  # 1 would tear the image apart at the centre
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
    "haze_fraction": (0, 0.9),
    "haze_level": (0, 255),
    "vignette_fraction": (0, 0.9),
    "vignette_radius": (0.5, 8),
    "noise_sigma": (0, 64),
    "gamma_exponent": (1, 4),
    "blur_sigma": (0, 4),
    "sharpening_k": (0, 4),
    "jpeg_quality": (1, 100),
}
