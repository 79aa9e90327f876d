"""Requests to stop a training of several hosts: what one is asked, all do after the same step."""

import contextlib
from collections.abc import Iterator

from pipeline.hosts.channel import Hosts
from pipeline.interruption import StoppedError, StopRequest


class AgreedStop:
    """A `pipeline.interruption.StopRequest` of all hosts; all ask for the `error` at the same moments."""

    def __init__(self, request: StopRequest, hosts: Hosts):
        self._request, self._hosts = request, hosts

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listens on this host while the block runs."""
        with self._request.listening():
            yield

    def error(self) -> StoppedError | None:
        """Returns the error to raise once all work is saved, or None if no host was asked to stop."""
        own = self._request.error()
        asked = self._hosts.gather(None if own is None else [str(own), own.code])
        for number, one in enumerate(asked):
            if one is not None:
                return StoppedError(f"{one[0]} on {self._hosts.name(number)}", one[1])
        return None
