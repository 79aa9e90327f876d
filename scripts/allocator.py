"""glibc's allocator, set for large tensors before the process begins: a training step takes about half the time.

As it comes, glibc hands the memory of every large tensor back to the kernel when it is freed, and the kernel zeroes
the pages of the next one. Set as here it keeps them, in huge pages. The settings are read when a process starts, and a
command therefore starts itself anew with them; exit code, process id and Ctrl-C stay the same.
"""

import os
import platform
import sys
from importlib import metadata

SETTINGS = {
    "MALLOC_MMAP_MAX_": "0",  # no mapping of its own for a large block, which would go back when it is freed
    "MALLOC_TRIM_THRESHOLD_": str(16 * 2**30),  # bytes free at the top from which they would go back
    "MALLOC_TOP_PAD_": str(256 * 2**20),  # bytes to fetch at once
    "MALLOC_ARENA_MAX": "1",  # what one thread frees, another may take
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # transparent huge pages, where the system offers them
}


def restart_with_settings() -> None:
    """Starts this process anew with `SETTINGS`, where they pay; returns where they do not, or are there already.

    They pay where TensorFlow computes in this process's memory: its CPU build, on Linux with glibc. Whoever sets any of
    the variables, or puts another allocator in glibc's place (LD_PRELOAD), is left to it.
    """
    ours = sys.platform == "linux" and platform.libc_ver()[0] == "glibc" and _is_cpu_build()
    if not ours or set(SETTINGS) & set(os.environ) or "malloc" in os.environ.get("LD_PRELOAD", ""):
        return
    print("memory: glibc's allocator set for large tensors (scripts/allocator.py)", flush=True)
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **SETTINGS})  # noqa: S606


def _is_cpu_build() -> bool:
    try:
        metadata.version("tensorflow-cpu")
    except metadata.PackageNotFoundError:
        return False
    return True
