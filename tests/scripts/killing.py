"""Runs `scripts.shard` repeatedly and kills it at random moments; after a finished set it starts another one.

Every second kill comes soon after a further shard was finished, whose moment depends on the machine and its load.

    python killing.py SOURCE RECORDS KILLS LONGEST_SECONDS SEED

Every run is forked from one process that has imported TensorFlow but not used it, so that the interesting part begins
after hundreds of milliseconds instead of seconds. Prints JSON: what was found after each kill.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from records.shards import building, writing  # noqa: F401 (import TensorFlow once for all runs)
from scripts import shard
from scripts.support import command

ARGUMENTS = ("--config=configs/demo.py", "--config.data.photographs_per_shard=1")


def start(source: str, records: str) -> int:
    """Forks a run of the command; returns its process id."""
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.argv = ["shard", *ARGUMENTS, f"--source={source}", f"--records={records}"]
        try:
            command.run(shard.main)
        except SystemExit as end:
            os._exit(int(end.code or 0))
        os._exit(99)
    return pid


def finished(folder: Path) -> list[Path]:
    """Returns the shards of a set that is being built of which it is noted that they are finished."""
    return [note.with_suffix("") for note in (folder / building.BUILDING).glob("*.json")]


def wait_for_another(folder: Path, pid: int) -> None:
    """Waits until a further shard is finished, or the run has ended."""
    before = len(finished(folder))
    while len(finished(folder)) <= before and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.002)


def main(source: str, records: str, kills: int, longest: float, seed: int) -> None:
    draw = random.Random(seed)
    sets, seen = ["0"], []
    while len(seen) < kills:
        folder = Path(records) / sets[-1]
        pid = start(source, str(folder))
        if len(seen) % 2:
            wait_for_another(folder, pid)
        time.sleep(draw.uniform(0, longest / 20 if len(seen) % 2 else longest))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):  # it ended before the kill
            assert os.waitstatus_to_exitcode(status) == 0, "a run failed"
            sets.append(str(len(sets)))
            continue
        inodes = {path.name: path.stat().st_ino for path in finished(folder) if path.exists()}
        seen.append({"set": sets[-1], "finished": inodes})
    began = time.monotonic()
    _, status = os.waitpid(start(source, str(Path(records) / sets[-1])), 0)
    seconds = time.monotonic() - began
    print(json.dumps({"exit": os.waitstatus_to_exitcode(status), "seconds": seconds, "sets": sets, "seen": seen}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
