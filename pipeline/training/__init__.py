"""Training: from records and a config to a workdir with a model folder."""

from pipeline.training.fit import fit
from pipeline.training.mean_of_models import average_weights
from pipeline.training.plan import Plan
from pipeline.training.random_batch import random_batch
from pipeline.training.run import TrainingRun, compile_model, prepare

__all__ = ["Plan", "TrainingRun", "average_weights", "compile_model", "fit", "prepare", "random_batch"]
