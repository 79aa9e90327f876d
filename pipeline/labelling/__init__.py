"""Labels made by models: a folder of photographs becomes a source with masks that a person can correct."""

from pipeline.labelling.ensemble import Ensemble, load_ensemble
from pipeline.labelling.folder import LabelSettings, PseudolabelFolder
from pipeline.labelling.labels import parse_confidence
from pipeline.labelling.review import uncertainty

__all__ = ["Ensemble", "LabelSettings", "PseudolabelFolder", "load_ensemble", "parse_confidence", "uncertainty"]
