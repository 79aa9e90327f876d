"""What fsspec's filesystems differ in: their options, what they say of a file's content, and their errors."""

import hashlib
import re
from pathlib import Path
from typing import Any

AT_ONCE = 16  # transfers
MD5 = re.compile(r'"?([0-9a-f]{32})"?')  # an ETag that is the digest of the content: not that of a file sent in parts


class WrongContentError(Exception):
    """A file that arrived has another size or digest than the store says."""


def connect(address: str) -> tuple[Any, str]:
    """Returns the filesystem of an address, and the path in it.

    Raises:
      ImportError, ValueError: a package for such addresses is missing, or none is known.
    """
    import fsspec

    scheme = address.partition("://")[0]
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if scheme in ("s3", "s3a"):
        options["config_kwargs"] = {
            "connect_timeout": 10,
            "read_timeout": 60,
            "max_pool_connections": AT_ONCE,
            "retries": {"mode": "standard", "max_attempts": 3},
        }
    filesystem, root = fsspec.core.url_to_fs(address, **options)
    return filesystem, root.rstrip("/")


def version_of(info: dict[str, Any]) -> str:
    """Returns what a store says of a file's content."""
    for key in ("ETag", "etag", "md5Hash", "content_md5", "LastModified", "last_modified", "mtime", "created"):
        if info.get(key) is not None:
            return str(info[key])
    return ""


def check_content(path: Path, size: int, version: str) -> None:
    """Raises a WrongContentError if a file has not the size, or the digest if the version is one, that a store says."""
    if path.stat().st_size != size:
        raise WrongContentError(f"arrived with {path.stat().st_size} bytes, where the store says {size}")
    digest = MD5.fullmatch(version)
    if digest is None:
        return
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != digest[1]:
        raise WrongContentError("arrived with another content than the store's digest says")


def reason_of(error: BaseException) -> str:
    """Returns what a filesystem says, on one line, and what to do about it."""
    line = " ".join(str(error).split())[:300] or type(error).__name__
    if isinstance(error, ImportError):
        return f"{line}. For s3:// install the extra: pip install -e .[stores]"
    if isinstance(error, PermissionError) or "credential" in line.lower() or "expired" in line.lower():
        return f"access is refused ({line}); renew the credentials and run the same command again"
    if isinstance(error, FileNotFoundError):
        return f"is not there ({line}); check the address"
    return f"{line}; what is here stays in the cache, and the same command goes on from there"
