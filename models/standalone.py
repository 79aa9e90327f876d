"""The code of a network's layers as one file that needs none of this software.

Keras writes into a `.keras` file which classes it needs, but not their code. `standalone_code` collects it from the
modules that define them: of each module only what the classes use, and what that uses in turn.
"""

import ast
import functools
import inspect
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import keras

from models import loader
from models.saving import PACKAGE

OWN = ("configs", "models")  # packages whose code is copied; what comes from others is imported
HEAD = '''\
"""Loads the Keras network beside this file. Needs keras 3 on TensorFlow or JAX, and nothing of fundus-tiles.

    import load                    # registers the layers, so that keras.models.load_model("network.keras") works
    network = load.load_network()  # the network beside this file

python load.py computes one tile and prints what goes in and what comes out.

Written by fundus-tiles, from the code of its layers, with Keras {keras}.
"""
'''
TAIL = """

if __name__ == "__main__":
    main()
"""


def standalone_code(file: Path) -> str:
    """Returns the content of `load.py` beside a `.keras` file: it registers the file's classes and loads the network.

    Args:
      file: a network that Keras saved.
    """
    with zipfile.ZipFile(file) as archive:
        names = sorted(set(_registered_names(json.loads(archive.read("config.json")))))
    collected = _Collected()
    for one in map(keras.saving.get_registered_object, names):
        collected.add(one.__module__, one.__name__)
    collected.add(loader.__name__, "main")
    return HEAD.format(keras=keras.__version__) + collected.code() + TAIL


def _registered_names(config: object) -> Iterator[str]:
    """Yields the names under which Keras finds the classes of this software that a config mentions."""
    if isinstance(config, dict):
        if str(config.get("registered_name")).startswith(f"{PACKAGE}>"):
            yield config["registered_name"]
        config = list(config.values())
    for one in config if isinstance(config, list) else ():
        yield from _registered_names(one)


class _Collected:
    """Definitions in an order in which each follows what it uses, and the imports that they need."""

    def __init__(self) -> None:
        self._imports: dict[str, set[str]] = {}  # "import" or "from MODULE import": names
        self._definitions: dict[str, str] = {}
        self._origins: dict[str, str] = {}

    def add(self, module: str, name: str) -> None:
        """Adds what a module calls by a name, and before it what that uses; an imported name is traced to its origin.

        Raises:
          ValueError: two modules define different things of this name.
        """
        source, statements = _parsed(module)
        statement = statements[name]
        if isinstance(statement, ast.ImportFrom) and _is_own(statement.module or ""):
            self.add(str(statement.module), name)
            return
        if isinstance(statement, ast.Import | ast.ImportFrom):
            start = "import" if isinstance(statement, ast.Import) else f"from {statement.module} import"
            (alias,) = (one for one in statement.names if _bound_by(one) == name)
            self._imports.setdefault(start, set()).add(ast.unparse(alias))
            return
        if name in self._definitions:
            if self._origins[name] != module:
                raise ValueError(f"{name} is defined in {self._origins[name]} and in {module}; rename one of them.")
            return
        self._definitions[name] = ""  # it is being added: recursion ends here
        self._origins[name] = module
        for used in ast.walk(statement):
            if isinstance(used, ast.Name) and used.id in statements and used.id not in _bound(statement):
                self.add(module, used.id)
        del self._definitions[name]  # it follows what it uses
        self._definitions[name] = _segment(source, statement)

    def code(self) -> str:
        """Returns the imports and the definitions; a statement that binds several names is written once."""
        direct = [f"import {name}" for name in sorted(self._imports.get("import", ()))]
        others = [f"{start} {', '.join(sorted(self._imports[start]))}" for start in sorted(self._imports)]
        ordered = [*direct, *(one for one in others if one.startswith("from"))]
        standard = [one for one in ordered if one.split()[1].partition(".")[0] in sys.stdlib_module_names]
        lines = ["", *standard, "", *(one for one in ordered if one not in standard)]
        follows_constant = False
        for segment in dict.fromkeys(self._definitions.values()):
            is_constant = not segment.startswith(("def ", "class ", "@"))
            lines += [""] * (0 if is_constant and follows_constant else 2) + [segment]
            follows_constant = is_constant
        return "\n".join(lines) + "\n"


def _is_own(module: str) -> bool:
    return module.partition(".")[0] in OWN


@functools.cache
def _parsed(module: str) -> tuple[str, dict[str, ast.stmt]]:
    """Returns the text of a module, and its statements by the names that they bind."""
    source = inspect.getsource(sys.modules[module])
    return source, {bound: one for one in ast.parse(source).body for bound in _bound(one)}


def _bound(statement: ast.stmt) -> list[str]:
    """Returns the names that a statement of a module binds."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [_bound_by(alias) for alias in statement.names]
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return [one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]
    return []


def _bound_by(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _segment(source: str, statement: ast.stmt) -> str:
    """Returns the text of a statement with its decorators and the comment lines directly above it."""
    lines = source.splitlines()
    first = min([statement.lineno, *(one.lineno for one in getattr(statement, "decorator_list", []))]) - 1
    while lines[first - 1].startswith("#"):
        first -= 1
    return "\n".join(lines[first : statement.end_lineno])
