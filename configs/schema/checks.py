"""Checks of config fields, whose messages name the field, the allowed values and the received one."""

from configs.schema.errors import InputError


def check(ok: bool, field: str, received: object, *, allowed: str) -> None:
    """Raises an InputError unless `ok`.

    Args:
      ok: whether the value is allowed.
      field: dotted name of the field, such as "train.epochs".
      received: its value.
      allowed: the allowed values, which complete the sentence "FIELD must be …".
    """
    if not ok:
        raise InputError(f"{field} must be {allowed}; received {received!r}.")


def check_choice(field: str, received: object, choices: tuple[str, ...]) -> None:
    """Raises an InputError unless `received` is one of the choices."""
    check(received in choices, field, received, allowed=f"one of {', '.join(choices)}")


def check_rate(field: str, received: float) -> None:
    """Raises `InputError` unless `received` is a rate, such as that of dropout: at least 0 and below 1."""
    check(0 <= received < 1, field, received, allowed="at least 0 and below 1")
