"""Flags of one value are given once, in every command; flags that may be repeated are not refused."""

import pytest
from absl import flags

from configs import InputError
from scripts.support import command


@pytest.fixture
def parse(monkeypatch):
    """Parses arguments with flags of each kind; returns the flags."""

    def parsing(*arguments: str) -> flags.FlagValues:
        values = flags.FlagValues()
        flags.DEFINE_string("model", None, "", flag_values=values)
        flags.DEFINE_bool("strict", False, "", flag_values=values)
        flags.DEFINE_integer("workers", 1, "", flag_values=values)
        flags.DEFINE_list("classes", None, "", flag_values=values)
        flags.DEFINE_multi_string("records", [], "", flag_values=values)
        monkeypatch.setattr(command.flags, "FLAGS", values)
        argv = ["command", *arguments]
        values(argv)
        command._refuse_repeated(argv)
        return values

    return parsing


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model=A", "--model=B"), "--model is given 2 times; give it once."),
        (("--model=A", "--model", "A"), "--model is given 2 times; give it once."),
        (("-model=A", "--model=B", "--model=C"), "--model is given 3 times; give it once."),
        (("--strict", "--nostrict"), "--strict is given 2 times; give it once."),
        (("--workers=1", "--workers=1"), "--workers is given 2 times; give it once."),
        (("--classes=HE", "--classes=MA"), "--classes is given 2 times; give it once, with commas: --classes=A,B."),
    ],
)
def test_a_flag_of_one_value_given_again_is_refused(parse, arguments, message):
    with pytest.raises(InputError) as refused:
        parse(*arguments)
    assert str(refused.value) == message


def test_each_flag_once_and_repeatable_flags_more_often_are_accepted(parse):
    values = parse("--model=A", "--strict", "--workers=2", "--classes=HE,MA", "--records=a", "--records=b")
    assert (values.model, values.classes, values.records) == ("A", ["HE", "MA"], ["a", "b"])


@pytest.mark.parametrize("second", ["--config.train.steps_per_epoch=5", "--config.train.steps_per_epoch=none"])
def test_a_field_of_the_config_is_given_once(run, second):
    done = run(
        "train", "--config=configs/demo.py", "--records=r", "--workdir=w", "--config.train.steps_per_epoch=none", second
    )
    assert done.returncode == 2
    assert "error: --config.train.steps_per_epoch is given 2 times; give it once." in done.stderr
