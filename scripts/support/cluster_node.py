"""What runs on the nodes of a cluster: says where it is, and calls a function with one piece after another.

Ray sends this module to the nodes by its content, so that it can run where the workspace is missing or another one, and
say so. It imports the standard library only; the rest is imported with the function.
"""

import dataclasses
import hashlib
import importlib.metadata
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOMS = ("configs", "records", "models", "pipeline", "scripts")
# What files are decoded, computed and encoded by: other versions may write other bytes.
PACKAGES = ("keras", "numpy", "opencv-python-headless", "pillow", "scipy", "ray")
PASSED_ON = ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL")  # variables of the environment that the nodes get


@dataclasses.dataclass(frozen=True)
class Home:
    """Where a command runs, as all its nodes must find it.

    Attributes:
      root: folder of the workspace.
      current: the current folder, which relative paths start from.
      python: version of Python.
      workspace: digest of the workspace's source code.
      packages: versions of the packages that results depend on.
      paths: files and folders that are read.
      environment: values of the variables in `PASSED_ON`.
    """

    root: str
    current: str
    python: str
    workspace: str
    packages: Mapping[str, str]
    paths: tuple[str, ...]
    environment: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Token:
    """A file in the folder that pieces are written to, by which a node knows that it is the same folder."""

    path: str
    content: str


@dataclasses.dataclass(frozen=True)
class Done:
    """The end of a call.

    Attributes:
      result: what it returned; None if it raised.
      error: what it raised; None if it returned.
      warnings: what was warned of since the last call.
      seconds: time that it took.
    """

    result: Any
    error: Exception | None
    warnings: tuple[Warning, ...]
    seconds: float


def home_of(root: Path, paths: tuple[str, ...]) -> Home:
    """Returns where this process runs; `paths` are what it reads."""
    return Home(
        root=str(root),
        current=str(Path.cwd()),
        python=platform.python_version(),
        workspace=_digest(root),
        packages={name: _version(name) for name in PACKAGES},
        paths=paths,
        environment={name: os.environ[name] for name in PASSED_ON if name in os.environ},
    )


class NodeProcess:
    """A process of a node; Ray makes an actor of this class."""

    def __init__(self, home: Home, *, cores: int):
        self._home = home
        self._warnings: list[Warning] = []
        self._function: Callable[[Any], Any] | None = None
        self._problem = _problem(home)
        if self._problem is None:
            os.chdir(home.current)
            sys.path.insert(0, home.root)
            os.environ.update(home.environment)
            for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
                os.environ[name] = str(cores)
            warnings.showwarning = self._note

    def where(self) -> tuple[str, str | None]:
        """Returns the name of the node, and why this process cannot work for the command, or None if it can."""
        import ray

        return f"{platform.node()}/{ray.get_runtime_context().get_node_id()[:6]}", self._problem

    def prepare(self, make: Callable[[], Callable[[Any], Any]], token: Token | None) -> Done:
        """Makes the function that `call` calls, after a look for the folder that it will write to."""
        if token is not None and _content(token.path) != token.content:
            folder = Path(token.path).parent
            reason = f"{folder}: is another folder there, or none; pieces are written to a folder that all nodes share."
            return self._done(time.perf_counter(), error=_input_error(reason))

        def prepare() -> None:
            self._function = make()

        return self._called(prepare)

    def call(self, piece: Any) -> Done:
        """Calls the function with a piece."""
        assert self._function is not None
        function = self._function
        return self._called(lambda: function(piece))

    def _called(self, function: Callable[[], Any]) -> Done:
        began = time.perf_counter()
        try:
            return self._done(began, result=function())
        except Exception as error:  # noqa: BLE001 (the command raises it)
            return self._done(began, error=error)

    def _done(self, began: float, *, result: Any = None, error: Exception | None = None) -> Done:
        warned, self._warnings = tuple(self._warnings), []
        return Done(result, error, warned, time.perf_counter() - began)

    def _note(self, message: Warning | str, category: type[Warning], *where: Any, **further: Any) -> None:
        self._warnings.append(message if isinstance(message, Warning) else category(message))


def _problem(home: Home) -> str | None:
    if (found := platform.python_version()) != home.python:
        return f"has Python {found}, but the command runs on {home.python}"
    if not Path(home.root).is_dir():
        return f"has no folder {home.root}, where the workspace is for the command; share it, or copy it to this path"
    if _digest(Path(home.root)) != home.workspace:
        return f"has another version of the workspace in {home.root}; bring all nodes to the same one"
    for name, version in home.packages.items():
        if (found := _version(name)) != version:
            return f"has {name} {found}, but the command runs with {version}; install the same lock file"
    for path in (home.current, *home.paths):
        if not Path(home.current, path).exists():
            return f"does not see {path}; nodes read and write by the same paths, so share that folder"
    return None


def _digest(root: Path) -> str:
    """Returns the sha256 of the source code of a workspace."""
    digest = hashlib.sha256()
    for file in sorted(file for room in ROOMS for file in (root / room).rglob("*.py")):
        digest.update(f"{file.relative_to(root)} ".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _content(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return None


def _input_error(reason: str) -> Exception:
    from configs import InputError

    return InputError(reason)
