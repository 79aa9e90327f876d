"""Which windows show which photograph, so that the second one of a photograph is told."""

import threading

SECONDS = 10.0  # for which a window counts that does not ask any more


class Windows:
    """The windows that asked lately, and what each shows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: dict[str, tuple[int | None, float]] = {}

    def note(self, window: str, shown: int | None, *, now: float) -> int:
        """Notes what a window shows, and returns how many others show the same photograph.

        Args:
          window: name that the window has given itself.
          shown: number of the photograph; None: it shows none.
          now: time, seconds.
        """
        with self._lock:
            self._shown = {one: kept for one, kept in self._shown.items() if now - kept[1] < SECONDS}
            self._shown[window[:64]] = (shown, now)
            if shown is None:
                return 0
            return sum(other == shown for one, (other, _) in self._shown.items() if one != window[:64])
