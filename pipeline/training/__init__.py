"""Training: from records and a config to a workdir with a model folder."""

from pipeline.training.fit import fit
from pipeline.training.mean_of_models import average_weights
from pipeline.training.plan import Plan
from pipeline.training.run import TrainingRun, prepare

__all__ = ["Plan", "TrainingRun", "average_weights", "fit", "prepare"]
