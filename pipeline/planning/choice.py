"""A value of a config field with the reason for it."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Choice:
    """What a rule decided.

    Attributes:
      value: value of the field.
      reason: one or more sentences with the measurement or the page that it rests on.
    """

    value: Any
    reason: str


Choices = Mapping[str, Choice]  # by the dotted name of the field, such as "train.crop"
