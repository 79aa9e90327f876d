"""Addresses of object stores on the command line: commands get folders of this machine in their place."""

import contextlib
import os
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from configs import InputError
from records import no_progress
from records.stores import StoredFolder, is_address
from scripts.support.photographs import say

WRITTEN = ("output", "workdir")  # flags of folders that a command writes to
SYNC_SECONDS = 60.0  # between looks at what a command has written so far
GIGABYTE = 10**9

flags.DEFINE_string(
    "cache_dir", None, "Folder for copies of s3:// and other addresses; default: ~/.cache/fundus-tiles."
)
flags.DEFINE_float("cache_gb", 100.0, "Size of all copies, above which those not used for longest are removed, GB.")


@contextlib.contextmanager
def as_folders(
    arguments: Sequence[str], *, writes: Collection[str] = (), here: Collection[str] = ()
) -> Iterator[list[str]]:
    """Puts copies on this machine in the place of addresses, in flags and arguments, while the block runs.

    What the block writes is published while it runs, and at its end, however it ends.

    Args:
      arguments: the arguments after the flags.
      writes: names of the flags whose folders are written to, beside WRITTEN.
      here: names of the flags that must be paths of this machine.

    Yields:
      The arguments.

    Raises:
      InputError: nothing is at an address, its store fails, or there must be none.
    """
    with contextlib.ExitStack() as stack:
        for name in flags.FLAGS:
            flag = flags.FLAGS[name]
            if name in here:
                _refuse(name, flag.value)
            to_write = name in WRITTEN or name in writes
            if is_address(flag.value):
                flag.value = str(stack.enter_context(_copied(flag.value, to_write=to_write)))
            elif isinstance(flag.value, list) and any(map(is_address, flag.value)):
                flag.value = [_entered(stack, one, to_write=to_write) for one in flag.value]
        yield [_entered(stack, one, to_write=False) for one in arguments]


def _refuse(name: str, value: Any) -> None:
    for one in value if isinstance(value, list) else [value]:
        if is_address(one):
            raise InputError(f"--{name}={one}: expected a path here, and no address of a store.")


def _entered(stack: contextlib.ExitStack, text: str, *, to_write: bool) -> str:
    return str(stack.enter_context(_copied(text, to_write=to_write))) if is_address(text) else text


@contextlib.contextmanager
def _copied(address: str, *, to_write: bool) -> Iterator[Path]:
    """Yields the copy of an address, and publishes what is written to it."""
    stored = StoredFolder(address, _cache())
    with stored.in_use():
        moved = stored.fetch(to_write=to_write, most_bytes=round(flags.FLAGS.cache_gb * GIGABYTE), progress=_with_bar)
        if moved.files or not to_write:
            say(f"{address}: {moved.files} files fetched, {moved.size / 1e6:.1f} MB → {stored.copy}")
        if not to_write:
            yield stored.copy
            return
        with _publishing(stored):
            yield stored.copy


@contextlib.contextmanager
def _publishing(stored: StoredFolder) -> Iterator[None]:
    ended = threading.Event()

    def publish_now_and_then() -> None:
        while not ended.wait(SYNC_SECONDS):
            with contextlib.suppress(Exception):  # the last time says what is wrong
                stored.publish(progress=no_progress)

    thread = threading.Thread(target=publish_now_and_then, name="publishing", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        moved = stored.publish(progress=_with_bar)
        say(f"published: {stored.address} ({moved.files} files in the end, {moved.size / 1e6:.1f} MB)")


def _with_bar(transfers: Iterable[Any], total: int, what: str) -> Iterable[Any]:
    return tqdm(transfers, total=total, desc=what, unit=" files", disable=None if total else True)


def _cache() -> Path:
    if flags.FLAGS.cache_dir:
        return Path(flags.FLAGS.cache_dir)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fundus-tiles"
