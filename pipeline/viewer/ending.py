"""The end of the page: asked for by a signal, or because segmenting failed."""

import time

SECONDS_BETWEEN_LOOKS = 0.2


class Ending:
    """Whether the page shall end. It has no lock, which a signal handler might find taken."""

    def __init__(self) -> None:
        self.is_asked = False

    def now(self) -> None:
        """Asks for the end."""
        self.is_asked = True

    def wait(self) -> None:
        """Waits until somebody asks for the end."""
        while not self.is_asked:
            time.sleep(SECONDS_BETWEEN_LOOKS)
