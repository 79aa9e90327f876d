"""Labels made by models: a folder of photographs becomes a source with masks that a person can correct."""

from pipeline.labelling.ensemble import Ensemble, load_ensemble
from pipeline.labelling.entries import Entry
from pipeline.labelling.folder import LabelSettings, PseudolabelFolder
from pipeline.labelling.labels import parse_confidence
from pipeline.labelling.pieces import labelling

__all__ = ["Ensemble", "Entry", "LabelSettings", "PseudolabelFolder", "labelling", "load_ensemble", "parse_confidence"]
