"""The callbacks of a training."""

from pipeline.training.callbacks.averages import AveragedWeights
from pipeline.training.callbacks.divergence import StopOnDivergence
from pipeline.training.callbacks.history import EpochLine, HistoryFiles, PaddedValidationLoss
from pipeline.training.callbacks.plateau import EarlyStopping, ReduceLROnPlateau
from pipeline.training.callbacks.preview_sheets import PreviewCase
from pipeline.training.callbacks.previews import Previews, choose_previews, preview_tiles
from pipeline.training.callbacks.saving import BestWeights, Checkpoints, Resumable, monitor_mode
from pipeline.training.callbacks.schedules import FrozenEncoder, LearningRate, Progress, TimeLimit
from pipeline.training.callbacks.tensorboard import TensorBoardWriter

__all__ = [
    "AveragedWeights",
    "BestWeights",
    "Checkpoints",
    "EarlyStopping",
    "EpochLine",
    "FrozenEncoder",
    "HistoryFiles",
    "LearningRate",
    "PaddedValidationLoss",
    "PreviewCase",
    "Previews",
    "Progress",
    "ReduceLROnPlateau",
    "Resumable",
    "StopOnDivergence",
    "TensorBoardWriter",
    "TimeLimit",
    "choose_previews",
    "monitor_mode",
    "preview_tiles",
]
