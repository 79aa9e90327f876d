"""Annotations of other tools and data sets, read by format and written as paired folders of photographs and masks."""

from records.annotations.annotated import AnnotatedSet
from records.annotations.importing import Imported, choose_classes, import_annotations
from records.annotations.recognize import FORMATS, read_annotations, recognized_formats, refuse_annotations

__all__ = [
    "FORMATS",
    "AnnotatedSet",
    "Imported",
    "choose_classes",
    "import_annotations",
    "read_annotations",
    "recognized_formats",
    "refuse_annotations",
]
