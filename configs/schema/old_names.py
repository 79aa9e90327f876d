"""Renamed and new fields: by these tables configs of earlier versions are read, and fingerprints do not change."""

# Current dotted name of a field: its name, without the section, in version 0.1.
OLD_NAMES = {
    "augment.translation_fraction": "translation_share",
    "augment.distortion_fraction": "distortion_share",
    "augment.brightness_fraction": "brightness_share",
    "augment.contrast_fraction": "contrast_share",
    "augment.saturation_fraction": "saturation_share",
    "augment.temperature_fraction": "temperature_share",
    "augment.color_fraction": "color_share",
    "augment.illumination_fraction": "illumination_share",
    "train.warmup_fraction": "warmup_share",
    "train.decay_fraction": "decay_share",
    "train.lesion_pixel_fraction": "lesion_pixel_share",
    "train.lesion_fraction": "lesion_share",
    "train.empty_fraction": "empty_share",
    "train.class_sampling": "class_shares",
}

# Values with which a field that version 0.1 did not have changes nothing.
WITHOUT_EFFECT: dict[str, object] = {
    "augment.haze": 0.0,
    "augment.haze_fraction": 0.4,
    "augment.haze_level": 128.0,
    "augment.vignette": 0.0,
    "augment.vignette_fraction": 0.6,
    "augment.vignette_radius": 1.5,
    "augment.noise": 0.0,
    "augment.noise_sigma": 6.0,
    "data.field_diameter": None,
    "data.field_degrees": 50.0,
    "data.healthy_tiles": None,
    "data.soft_labels": False,
    "model.lite_unet": {
        "weights": "none",
        "finest": 4,
        "widths": (64, 96, 128),
        "standardize": False,
        "standardize_sigma": 64.0,
        "levels": False,
        "contrast": False,
        "contrast_sigma": 10.0,
        "dropout": 0.0,
        "prior": 0.5,
    },
    "model.lite_unet.standardize": False,
    "model.lite_unet.standardize_sigma": 64.0,
    "model.lite_unet.levels": False,
    "train.healthy_fraction": None,
    "train.hard_negative_fraction": 0.0,
    "train.paste_fraction": 0.0,
    "train.paste_classes": (),
    "train.teacher": "",
    "train.teacher_weight": 0.5,
    "train.teacher_temperature": 1.0,
}


def new_name(dotted: str) -> str | None:
    """Returns the current dotted name of a renamed field, or None if `dotted` is not an old name."""
    return _NEW_NAMES.get(dotted)


def as_before(section: str, values: dict[str, object]) -> dict[str, object]:
    """Returns the fields of a section as version 0.1 had them, without newer ones that have no effect."""
    return {
        OLD_NAMES.get(f"{section}.{name}", name): as_before(f"{section}.{name}", value)
        if isinstance(value, dict)
        else value
        for name, value in values.items()
        if WITHOUT_EFFECT.get(f"{section}.{name}", ...) != value
    }


_NEW_NAMES = {f"{new.split('.')[0]}.{old}": new for new, old in OLD_NAMES.items()}
