"""Writes a plan as a preset: a Python file whose comments say the reason of each value."""

import dataclasses
import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from configs import Config
from pipeline.planning.choice import Choice, Choices

WIDTH = 120  # of lines, as everywhere in this project
INDENT = "    "

Tree = dict[str, "Choice | Tree"]


def preset_text(choices: Choices, head: Sequence[str]) -> str:
    """Returns the text of a preset.

    Args:
      choices: the chosen fields by their dotted names; all others keep their defaults.
      head: the lines of its docstring, the first of which is a sentence that fits into a line.
    """
    tree: Tree = {}
    for name, choice in choices.items():
        *sections, field = name.split(".")
        section = tree
        for one in sections:
            section = section.setdefault(one, {})  # type: ignore[assignment]
        section[field] = choice
    lines, classes = _call("Config", tree, Config, depth=1)
    first, *others = (line.replace("\\", "\\\\").replace('"""', "'''") for line in head)
    docstring = "\n".join([f'"""{first}', *(["", *others] if others else [])])
    return (
        f'{docstring}\n"""\n\n'
        f"from configs import (\n{''.join(f'{INDENT}{name},{chr(10)}' for name in sorted(classes))})\n\n\n"
        f'def get_config() -> Config:\n{INDENT}"""Returns the planned config."""\n'
        f"{INDENT}return {''.join(lines).lstrip()}"
    )


def _call(name: str, tree: Tree, schema: type, *, depth: int) -> tuple[list[str], set[str]]:
    """Returns the lines of a call with keyword arguments, and the names of the classes that it uses."""
    types: Mapping[str, Any] = {field.name: field.type for field in dataclasses.fields(schema)}
    indent, lines, classes = INDENT * (depth + 1), [f"{INDENT * depth}{name}(\n"], {name}
    for field, entry in tree.items():
        if isinstance(entry, Choice):
            lines += [f"{indent}# {line}\n" for line in textwrap.wrap(entry.reason, WIDTH - len(indent) - 2)]
            lines.append(f"{indent}{field}={_literal(entry.value)},\n")
        else:
            section = types[field]
            inner, further = _call(section.__name__, entry, section, depth=depth + 1)
            lines += [f"{indent}{field}={inner[0].lstrip()}", *inner[1:-1], f"{indent}),\n"]
            classes |= further
    return [*lines, f"{INDENT * depth})\n"], classes


def _literal(value: Any) -> str:
    """Returns a value as the formatter writes it: with double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' if len(value) == 1 else ''})"
    return repr(value)
