"""The networks that a plan may choose."""

AUTO = "auto"  # by the photographs
# swin_unet is not among them: its stride of 256 fits few of the crops that are planned.
PLANNED = (
    AUTO,
    "attention_unet",
    "deeplabv3plus",
    "efficient_unet",
    "fast",
    "lite_unet",
    "multires_unet",
    "unet",
    "unet3plus",
)
