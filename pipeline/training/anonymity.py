"""What an anonymous training writes of its config and environment: no path, no name of a photograph."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from configs import Config
from pipeline.input import RecordSet
from records import anonymous, salt_of


def training_salt(sets: Sequence[RecordSet]) -> str:
    """Returns the salt of a training, the same when it is continued: it follows from the files of the records."""
    return salt_of(case.digest for one in sets for case in one.index.cases.values())


def anonymous_config(config: Config, salt: str) -> Config:
    """Returns a config without previews, which show photographs, and without paths of other models."""
    train = config.train
    initial_model, teacher = (anonymous(path, salt) for path in (train.initial_model, train.teacher))
    train = dataclasses.replace(train, initial_model=initial_model, teacher=teacher, previews=0, preview_cases=())
    return dataclasses.replace(config, train=train)


def anonymous_environment(about: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the content of `environment.json` without paths: flags lose their values, folders their names."""
    flags = [argument.partition("=")[0] for argument in about["command"] if argument.startswith("-")]
    return {**about, "command": flags, "records": ["anonymous"] * len(about["records"])}
