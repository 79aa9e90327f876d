"""The frame of all commands: flags become a checked config, and a user's mistake becomes one line and an exit code.

Exit codes: 0 done; 1 some cases failed, each is named; 2 wrong usage or input; 130 interrupted.
"""

import functools
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import config_flags

from configs import Config, InputError, loading
from configs.schema import field_names, new_name, optional_fields
from configs.suggestions import did_you_mean
from pipeline.machine import available_cores, usable_cores
from records import disk_error
from scripts.support import output, stderr_filter
from scripts.support.addresses import as_folders
from scripts.support.children import die_with_parent
from scripts.support.warnings import warnings_of_photographs

NONE = re.compile(r"--?config\.([^=]+)=(?:none|None)")
DONE, SOME_FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130


def define_config(*, required: bool = True) -> None:
    """Defines --config and, through it, --config.SECTION.FIELD for every field of the schema."""
    config_flags.DEFINE_config_file(
        "config", None, "Preset (configs/NAME.py) or config.json of an earlier run.", lock_config=False
    )
    if required:
        flags.mark_flag_as_required("config")


def config() -> Config:
    """Returns the config with the command line's overrides, checked as a whole."""
    mutable = flags.FLAGS.config
    for argument in sys.argv[1:]:
        if _sets_none(argument):
            *sections, name = NONE.fullmatch(argument)[1].split(".")  # type: ignore[index]
            setattr(functools.reduce(getattr, sections, mutable), name, None)
    return loading.freeze(mutable)


def run(
    main: Callable[[list[str]], int],
    *,
    arguments: str | None = None,
    optional: bool = False,
    writes: Collection[str] = (),
    here: Callable[[], Collection[str]] = tuple,
) -> None:
    """Parses the flags, runs `main` and exits with its exit code.

    Args:
      main: function of the positional arguments that returns the exit code.
      arguments: description of the positional arguments; None: the command takes none.
      optional: whether they may be left out.
      writes: names of further flags whose folders are written to, beside --output and --workdir.
      here: returns the names of flags that must be paths of this machine, and no addresses of stores.
    """

    def guarded(argv: list[str]) -> int:
        logging.getLogger("tensorflow").setLevel(logging.WARNING)  # strategies log every reduction
        logging.getLogger("matplotlib").setLevel(logging.ERROR)  # a font that it lacks, a home without its folder
        if not flags.FLAGS["verbosity"].present:
            absl_logging.set_verbosity(absl_logging.WARNING)  # saving a model logs its signatures
        die_with_parent()
        _limit_threads()
        stderr_filter.install()
        try:
            if argv[1:] and arguments is None:
                raise InputError(f"unexpected argument {argv[1]!r}; write flags as --name=value, see --help.")
            if not argv[1:] and arguments is not None and not optional:
                raise InputError(f"expected {arguments} after the flags.")
            with warnings_of_photographs(), as_folders(argv[1:], writes=writes, here=here()) as given:
                return main(given)
        except InputError as error:
            return _say(str(error), WRONG)
        except KeyboardInterrupt:
            return _say("interrupted.", INTERRUPTED)
        except Exception as error:
            if (found := disk_error(error)) is None:
                raise
            _say(f"{found.reason}; {found.remedy}.", WRONG)
            # At exit, h5py and TensorFlow crash when they close files that they could not write.
            sys.stdout.flush()
            os._exit(WRONG)

    output.accept_every_character()
    if {"--help", "-help", "-h", "--helpshort"} & set(sys.argv[1:]):
        _print_help()
        sys.exit(DONE)
    app.run(guarded, argv=sys.argv, flags_parser=_parse_flags)


def _limit_threads() -> None:
    """Lets TensorFlow compute on as many cores as the process may use; it knows of `taskset`, but of no other limit."""
    if usable_cores() < available_cores():
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ.setdefault(name, str(usable_cores()))


def _parse_flags(argv: list[str]) -> list[str]:
    try:
        _refuse_unknown_fields(argv)
        # Numeric flags do not parse "none"; `config` sets those fields.
        positional = flags.FLAGS([argument for argument in _with_loader(argv) if not _sets_none(argument)])
        _refuse_repeated(argv)
        return positional
    except InputError as error:
        sys.exit(_say(str(error), WRONG))
    except flags.Error as error:
        missing = re.match(r"flag --(\w+)=None: ", str(error))
        sys.exit(_say(f"--{missing[1]} is required; see --help." if missing else str(error), WRONG))


def _refuse_repeated(argv: list[str]) -> None:
    """Refuses flags of one value that are given more than once, as the last one would win in silence."""
    to_none = Counter("config." + NONE.fullmatch(argument)[1] for argument in argv if _sets_none(argument))  # type: ignore[index]
    for name in flags.FLAGS:
        flag = flags.FLAGS[name]
        times = flag.present + to_none[name]
        if times > 1 and not isinstance(flag, flags.MultiFlag):
            several = isinstance(flag.parser, flags.BaseListParser)
            hint = f"; give it once, with commas: --{name}=A,B." if several else "; give it once."
            raise InputError(f"--{name} is given {times} times{hint}")


def _sets_none(argument: str) -> bool:
    match = NONE.fullmatch(argument)
    return match is not None and match[1] in optional_fields()


def _print_help() -> None:
    print((sys.modules["__main__"].__doc__ or "").strip())
    print(flags.FLAGS.main_module_help())
    if "config" in flags.FLAGS:
        print("  --config: Preset (configs/NAME.py) or config.json of an earlier run.")
        print("  --config.SECTION.FIELD: any field of configs/schema, such as --config.train.epochs=5.")


def _refuse_unknown_fields(argv: list[str]) -> None:
    known = field_names()
    for argument in argv[1:]:
        override = re.match(r"--?(?:no)?config\.([^=]+)", argument)
        if override and override[1] not in known:
            if new := new_name(override[1]):
                raise InputError(f"--config.{override[1]} is now called --config.{new}.")
            hint = did_you_mean(override[1], known) or f" The sections are {', '.join(_sections())}."
            raise InputError(f"--config.{override[1]}: no such field.{hint}")


def _with_loader(argv: list[str]) -> list[str]:
    """Checks PATH of --config=PATH and rewrites the flag to --config=LOADER:PATH (see `configs.loading`)."""
    rewritten = []
    takes_value = False
    for argument in argv:
        path = argument if takes_value else _config_path(argument)
        takes_value = path is None and argument in ("--config", "-config")
        if path is None:
            rewritten.append(argument)
        else:
            loading.load_config(path)
            rewritten.append(("--config=" if argument != path else "") + f"{loading.__file__}:{path}")
    return rewritten


def _config_path(argument: str) -> str | None:
    match = re.match(r"--?config=(.*)", argument)
    return match[1] if match else None


def _sections() -> list[str]:
    return list(dict.fromkeys(name.split(".")[0] for name in field_names()))


def _say(line: str, code: int) -> int:
    print(f"error: {line}", file=sys.stderr)
    return code
