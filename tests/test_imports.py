"""A folder's modules are private: other folders import what its `__init__.py` re-exports."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("configs", "records", "models", "pipeline")  # scripts are commands, which use the room as they like
# Modules that other folders import by their own names, and why.
PUBLIC_MODULES = {
    "configs.loading",  # for presets and command lines
    "configs.suggestions",
    "records.images.field_circle",  # for `pipeline.inference.field_circle`, which takes the same steps in the graph
    # These import tensorflow, which takes seconds; a command that needs none of them starts at once.
    "pipeline.evaluation.calibration",
    "pipeline.evaluation.counted",
    "pipeline.evaluation.network_maps",
    "pipeline.evaluation.plan",
    "pipeline.evaluation.run",
    "pipeline.evaluation.tiles",
    "pipeline.planning.writing",
    "records.shards.building",
    "records.shards.record",
    "records.shards.sharding",
    "records.shards.verifying",
    "records.shards.writing",
}


def folders() -> set[str]:
    """Returns the dotted names of all folders of the product."""
    return {
        ".".join(path.parent.relative_to(ROOT).parts)
        for room in (*ROOMS, "scripts")
        for path in (ROOT / room).rglob("__init__.py")
    }


def exported(folder: str) -> set[str]:
    """Returns the names in `__all__` of a folder's `__init__.py`."""
    path = ROOT / folder.replace(".", "/") / "__init__.py"
    tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
    values = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"]
    return {name for value in values for name in ast.literal_eval(value)}


def imported_modules(path: Path, known: set[str]) -> Iterator[tuple[str, int]]:
    """Yields the modules of the product that a file imports from, with line numbers."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = (ROOT / (whole.replace(".", "/") + ".py")).exists() and alias.name not in exported(
                    node.module
                )
                yield (whole if node.module in known and is_module else node.module), node.lineno


def private_imports(path: Path, known: set[str]) -> list[str]:
    """Returns the imports of a file that reach into another folder, a line each."""
    own = ".".join(path.parent.relative_to(ROOT).parts)
    found = []
    for module, line in imported_modules(path, known):
        folder = module.rpartition(".")[0]
        if module.split(".")[0] not in ROOMS or module in known or module in PUBLIC_MODULES:
            continue
        if folder not in ROOMS and folder != own and not own.startswith(folder + "."):
            found.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    return found


def test_commands_that_read_results_alone_need_no_tensorflow():
    code = "import sys, pipeline.evaluation, records, scripts.support.camera; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("room", [*ROOMS, "scripts"])
def test_no_folder_reaches_into_the_modules_of_another(room):
    known = folders()
    found = [one for path in sorted((ROOT / room).rglob("*.py")) for one in private_imports(path, known)]
    assert not found, "\n".join(found)
