"""The one exception for what a user can mend."""


class InputError(ValueError):
    """A file, folder, flag or field that the user can mend.

    Its message is one line: it names the thing, says what was expected and what to do. Commands print that line
    without a traceback and exit with 2. Any other exception is a defect of this software and keeps its traceback.
    """
