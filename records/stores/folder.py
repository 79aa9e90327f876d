"""Object stores: folders such as s3://BUCKET/FOLDER, fetched into a cache on this machine and published from it.

Commands work on folders of this machine; this module keeps the copy of a folder in step with the store, by any
filesystem that fsspec knows. Files are compared with what the store says of them (size, and ETag or time), so that only
what has changed is transferred. A file of the copy is replaced only by a complete one. What is published goes in the
order in which commands finish files: first pictures, arrays and shards, then the tables and indexes that name them, so
that whoever reads an index finds everything in it.
"""

import contextlib
import dataclasses
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import filelock

from configs import InputError
from records.files import complete_file
from records.locks import held, is_held
from records.parallel import Progress
from records.stores.filesystem import AT_ONCE, check_content, connect, reason_of, version_of

ADDRESS = re.compile(r"(?!https?:)[a-z][a-z0-9+.-]+://")  # what is behind http cannot be listed, let alone written
STATE, LOCK = ".stored.json", ".stored.lock"  # ends of the names of the files beside a copy
INDEXES = {".csv", ".html", ".json"}  # files that name others
TRIES = 4  # of a transfer, beside those of the filesystem itself
WAIT_SECONDS = 0.5  # before the second try, then twice as long each time


@dataclasses.dataclass(frozen=True)
class StoredFile:
    """What is known of a file that is the same in the store and in the copy.

    Attributes:
      size: bytes.
      version: what the store says of its content: ETag, digest or time.
      time: when the file of the copy was last changed, ns.
    """

    size: int
    version: str
    time: int


@dataclasses.dataclass(frozen=True)
class Moved:
    """How much was transferred: number of files, and bytes."""

    files: int
    size: int


def is_address(text: object) -> bool:
    """Returns whether a text is the address of a store, such as `s3://BUCKET/FOLDER`, and no path."""
    return isinstance(text, str) and ADDRESS.match(text) is not None


class StoredFolder:
    """A folder, or a single file, of an object store with its copy in a cache.

    Attributes:
      address: the address, without a slash at its end.
      copy: path of the copy.
    """

    def __init__(self, address: str, cache: Path):
        """Connects to the store.

        Args:
          address: such as `s3://BUCKET/FOLDER`.
          cache: folder of all copies.

        Raises:
          InputError: nothing is known of such addresses, or a package for them is missing.
        """
        self.address, self._cache = address.rstrip("/"), cache
        with self._explained():
            self._filesystem, self._root = connect(self.address)
        scheme, _, path = self.address.partition("://")
        self.copy = cache / scheme / Path(*(quote(part, safe=" ") for part in path.split("/") if part))
        self._state_file = self.copy.with_name(self.copy.name + STATE)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Keeps the copy from being removed while the block runs."""
        self.copy.parent.mkdir(parents=True, exist_ok=True)
        self._state_file.touch()
        with held(self._state_file):
            yield

    def fetch(self, *, to_write: bool, most_bytes: int, progress: Progress) -> Moved:
        """Brings the copy up to date.

        Args:
          to_write: whether a command will write to the copy. Then the store may hold nothing yet, and what an
            earlier run has left in the copy and not published stays; else the copy becomes what the store holds.
          most_bytes: size that all copies of the cache may have; others that are not in use are removed for it.
          progress: passes the transfers on, as `records.Progress`.

        Raises:
          InputError: nothing is there, it is larger than the cache may be, or the store fails.
        """
        with self._locked():
            state, there = self._read_state(), self._list()
            if not there and not to_write:
                raise InputError(f"{self.address}: nothing is there; check the address.")
            self._make_room(sum(size for size, _ in there.values()), most_bytes)
            wanted = [name for name, now in there.items() if not self._is_same(name, state, now)]
            for name in self._surplus(state, there, to_write=to_write):
                self._path(name).unlink(missing_ok=True)
                state.pop(name, None)
            transfers = self._transfer(self._fetch, wanted, there, progress=progress, what="fetching")
            self._note(transfers, state)
        return Moved(len(wanted), sum(there[name][0] for name in wanted))

    def publish(self, *, progress: Progress) -> Moved:
        """Writes to the store what has changed in the copy, files that name others last; hidden files stay here.

        Raises:
          InputError: the store fails. What is in the copy stays there.
        """
        with self._locked():
            state = self._read_state()
            # Indexes are listed first: what they name is there already, and is then listed, too.
            indexes = self._changed(state, lambda path: path.suffix in INDEXES)
            others = self._changed(state, lambda path: path.suffix not in INDEXES)
            below = {name: changed for name, changed in indexes.items() if "/" in name}
            uppermost = {name: changed for name, changed in indexes.items() if "/" not in name}
            for some, at_once in ((others, AT_ONCE), (below, AT_ONCE), (uppermost, 1)):
                names = sorted(some, key=lambda name: some[name])
                transfers = self._transfer(
                    self._send, names, some, progress=progress, what="publishing", at_once=at_once
                )
                self._note(transfers, state)
            gone = [name for name in state if not self._path(name).exists()]
            with self._explained():
                for name in gone:
                    with contextlib.suppress(FileNotFoundError):
                        self._filesystem.rm_file(self._remote(name))
                    del state[name]
            self._write_state(state)
        sent = {**others, **indexes}
        return Moved(len(sent), sum(state[name].size for name in sent if name in state))

    def _note(self, transfers: Iterator[tuple[str, StoredFile | None]], state: dict[str, StoredFile]) -> None:
        """Makes transfers, and writes what they have made the same, also if one of them fails."""
        try:
            for name, stored in transfers:
                if stored is not None:
                    state[name] = stored
        finally:
            self._write_state(state)

    def _list(self) -> dict[str, tuple[int, str]]:
        """Returns size and version of each file in the store, by its path below the address, "" for the address."""
        with self._explained():
            try:
                found = self._filesystem.find(self._root, detail=True, withdirs=False)
            except FileNotFoundError as error:
                if "bucket" in str(error).lower():
                    raise
                found = {}
        names = {path[len(self._root) :].strip("/"): info for path, info in found.items() if info["type"] == "file"}
        if odd := next((name for name in names if ".." in name.split("/")), None):
            raise InputError(f"{self.address}/{odd}: this name leads out of the folder; rename the file there.")
        if any(info.get("size") is None for info in names.values()):
            raise InputError(f"{self.address}: this store does not say how large files are; give a path instead.")
        return {name: (int(info["size"]), version_of(info)) for name, info in names.items() if not _is_hidden(name)}

    def _fetch(self, name: str, there: tuple[int, str]) -> StoredFile:
        size, version = there
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with complete_file(path) as temporary:
            self._filesystem.get_file(self._remote(name), str(temporary))
            check_content(temporary, size, version)
        return StoredFile(size, version, path.stat().st_mtime_ns)

    def _send(self, name: str, changed: int) -> StoredFile | None:
        """Writes a file to the store; returns None if it has changed since it was listed, and is left for later."""
        path = self._path(name)
        before = path.stat()
        if before.st_mtime_ns != changed:
            return None
        self._filesystem.put_file(str(path), self._remote(name))
        info = self._filesystem.info(self._remote(name))
        if path.stat().st_mtime_ns == changed:
            check_content(path, int(info["size"]), version_of(info))
        return StoredFile(before.st_size, version_of(info), changed)

    def _transfer(
        self,
        move: Callable[..., Any],
        names: list[str],
        of_each: Mapping[str, Any],
        *,
        progress: Progress,
        what: str,
        at_once: int = AT_ONCE,
    ) -> Iterator[tuple[str, Any]]:
        """Moves files, several at once; yields them in order."""

        def moved(name: str) -> tuple[str, Any]:
            return name, self._retried(lambda: move(name, of_each[name]), name)

        with ThreadPoolExecutor(at_once) as pool:
            try:
                yield from progress(pool.map(moved, names), len(names), what)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _retried(self, move: Callable[[], Any], name: str) -> Any:
        for attempt in range(TRIES):
            try:
                return move()
            except Exception as error:  # each filesystem has errors of its own
                if attempt == TRIES - 1 or isinstance(error, PermissionError):
                    raise InputError(f"{self.address}/{name}: {reason_of(error)}") from error
                time.sleep(WAIT_SECONDS * 2**attempt)
        raise AssertionError

    def _changed(self, state: dict[str, StoredFile], is_meant: Callable[[Path], bool]) -> dict[str, int]:
        """Returns the times of the files of the copy that differ from what was stored."""
        files = [self.copy] if self.copy.is_file() else self.copy.rglob("*")
        changed = {}
        for path in files:
            name = "" if path == self.copy else path.relative_to(self.copy).as_posix()
            if _is_hidden(name) or not is_meant(path) or not path.is_file():
                continue
            stat = path.stat()
            known = state.get(name)
            if known is None or (known.size, known.time) != (stat.st_size, stat.st_mtime_ns):
                changed[name] = stat.st_mtime_ns
        return changed

    def _is_same(self, name: str, state: dict[str, StoredFile], now: tuple[int, str]) -> bool:
        """Returns whether the store still holds what it held when the file was last fetched or published."""
        known = state.get(name)
        return known is not None and (known.size, known.version) == now and self._path(name).is_file()

    def _surplus(self, state: dict[str, StoredFile], there: dict[str, Any], *, to_write: bool) -> list[str]:
        """Returns the files of the copy that the store does not hold any more, or never did."""
        if to_write:
            return [name for name in state if name not in there]
        names = [path.relative_to(self.copy).as_posix() for path in self.copy.rglob("*") if path.is_file()]
        return [name for name in names if name not in there and not _is_hidden(name)]

    def _make_room(self, needed: int, most: int) -> None:
        """Removes copies that were not used for longest, until what is needed fits."""
        others = [path for path in self._cache.rglob(f"*{STATE}") if path != self._state_file]
        sizes = {path: sum(one.size for one in _read_state(path).values()) for path in others}
        free = most - sum(sizes.values())
        for path in sorted(others, key=lambda one: one.stat().st_mtime_ns):
            if needed <= free:
                return
            if not is_held(path):
                copy = path.with_name(path.name.removesuffix(STATE))
                shutil.rmtree(copy, ignore_errors=True)
                copy.unlink(missing_ok=True)
                path.unlink(missing_ok=True)
                free += sizes[path]
        if needed > free:
            room = max(free, 0) / 1e9
            raise InputError(
                f"{self.address}: holds {needed / 1e9:.1f} GB, and the cache {self._cache} has room for {room:.1f} GB "
                "beside what is in use; give a larger --cache_gb, or another --cache_dir."
            )

    def _path(self, name: str) -> Path:
        return self.copy / name if name else self.copy

    def _remote(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _read_state(self) -> dict[str, StoredFile]:
        return _read_state(self._state_file)

    def _write_state(self, state: dict[str, StoredFile]) -> None:
        # In place, as others hold the file; a state that is cut off only means that files are transferred again.
        content = json.dumps({name: dataclasses.astuple(one) for name, one in state.items()})
        self._state_file.write_text(content + "\n", encoding="utf-8")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keeps other processes from the copy while it is brought up to date; waits for them."""
        self.copy.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self.copy.with_name(self.copy.name + LOCK)):
            yield

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns errors of a filesystem into one line that names the address."""
        try:
            yield
        except InputError:
            raise
        except Exception as error:  # each filesystem has errors of its own
            raise InputError(f"{self.address}: {reason_of(error)}") from error


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/") if part)


def _read_state(path: Path) -> dict[str, StoredFile]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {name: StoredFile(*values) for name, values in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
