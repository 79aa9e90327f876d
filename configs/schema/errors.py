"""The exception for mistakes that the user can correct."""


class InputError(ValueError):
    """An error in a file, folder, flag or config field that the user can correct.

    Its message is one line that names the thing, what was expected and what to do. Commands print that line without a
    traceback and exit with code 2. Any other exception is a defect of this software and keeps its traceback.
    """
