"""How a section of the config refuses a value: the field, what was given, what is allowed."""

from configs.schema.errors import InputError


def check(ok: bool, field: str, received: object, *, allowed: str) -> None:
    """Raises `InputError` unless `ok`."""
    if not ok:
        raise InputError(f"{field} must be {allowed}; received {received!r}.")


def check_choice(field: str, received: object, choices: tuple[str, ...]) -> None:
    """Raises `InputError` unless `received` is one of the choices."""
    check(received in choices, field, received, allowed=f"one of {', '.join(choices)}")
