"""What hosts that train together tell each other, and how they notice that one of them is gone.

All others are connected to the first host, for the whole training and beside the connections of the backend.
"""

import contextlib
import os
import queue
import socket
import sys
import threading
import time
from typing import Any, Self

from configs import InputError
from pipeline.hosts.messages import keep_alive, receive, send

# From when another host is lost until this process is ended, if it has not noticed by itself: it waits in the backend
# for what that host was to send. The backends themselves notice after minutes, TensorFlow at times not at all.
GRACE_SECONDS = 5.0
SECONDS_TO_NOTICE = 1.0  # that another host is gone, after the backend has raised an error that may be due to it
AGAIN = "What was saved is kept: start all hosts again with the same command to continue from the last checkpoint."


class Hosts:
    """The hosts of a training, all of which call the same methods in the same order.

    Attributes:
      index: number of this host, from 0.
      addresses: HOST:PORT of all hosts.
      seconds: what the first host's clock showed at the last exchange, equal on all hosts.
    """

    def __init__(self, index: int, connections: dict[int, socket.socket], addresses: list[str]):
        """Takes over the connections of hosts that have found each other; `meeting.joined_hosts` does so.

        Args:
          index: number of this host.
          connections: to the first host, or on the first host to all others, by their numbers.
          addresses: HOST:PORT of all hosts.
        """
        self.index, self.addresses = index, tuple(addresses)
        self.seconds = 0.0
        self._connections = connections
        self._received: dict[int, queue.SimpleQueue] = {number: queue.SimpleQueue() for number in connections}
        self._why = ""  # what happened to another host
        self._ended = threading.Event()  # this host needs the others no longer
        self._sending = threading.Lock()
        for number, connection in connections.items():
            keep_alive(connection)
            threading.Thread(target=self._receive, args=(number,), daemon=True).start()

    @property
    def first(self) -> bool:
        """Whether this is the host that writes files."""
        return self.index == 0

    @property
    def count(self) -> int:
        """Number of hosts."""
        return len(self.addresses)

    def gather(self, value: Any, *, last: bool = False) -> list[Any]:
        """Returns the values of all hosts in their order, each as JSON returns it. Waits for all of them.

        Args:
          value: that of this host.
          last: whether this is the last exchange, after which hosts may leave.

        Raises:
          InputError: a host is gone.
        """
        if self.first:
            values = [value, *(self._take(number) for number in sorted(self._connections))]
            if last:
                self._ended.set()  # some leave before the others have the answer
            answer: dict[str, Any] = {"values": values, "seconds": time.monotonic()}
            self._tell(answer)
        else:
            self._tell(value)
            answer = self._take(0)
        self.seconds = answer["seconds"]
        return answer["values"]

    def check_equal(self, values: dict[str, Any]) -> None:
        """Compares what must be the same on all hosts.

        Args:
          values: what it is, by its name for the user.

        Raises:
          InputError: names the first host that differs, and in what.
        """
        everywhere = self.gather(values)
        for number, theirs in enumerate(everywhere):
            differing = [name for name, value in theirs.items() if value != everywhere[0][name]]
            if differing:
                raise InputError(
                    f"{self.name(number)} differs from {self.name(0)} in: {', '.join(differing)}. All hosts need the "
                    "same command, records and software, and see one --workdir."
                )

    def name(self, number: int) -> str:
        """Returns a host's name for the user."""
        return f"host {number} ({self.addresses[number]})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind, error, trace) -> None:
        try:
            if error is None:
                self.gather(None, last=True)  # no host leaves before all have what they need
            else:
                self._end_by(error)
        finally:
            self._ended.set()
            for connection in self._connections.values():
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()

    def _end_by(self, error: BaseException) -> None:
        """Says why this host ends, and that another is gone where the backend noticed it by an error of its own."""
        if not isinstance(error, InputError):
            time.sleep(SECONDS_TO_NOTICE)
        self._ended.set()
        self._say_gone(self._why or f"{self.name(self.index)} ended with an error: {error}")
        if self._why and not isinstance(error, InputError):
            raise InputError(self._why) from error

    def _tell(self, value: Any) -> None:
        for number, connection in self._connections.items():
            try:
                with self._sending:
                    send(connection, value)
            except OSError as error:
                raise self._lost(number) from error

    def _say_gone(self, why: str) -> None:
        for connection in self._connections.values():
            with contextlib.suppress(OSError), self._sending:
                send(connection, {"gone": why})

    def _take(self, number: int) -> Any:
        message = self._received[number].get()
        if message is None:
            raise self._lost(number)
        return message[0]

    def _lost(self, number: int) -> InputError:
        return InputError(self._why or self._reason(number))

    def _reason(self, number: int) -> str:
        return f"{self.name(number)} is gone: it was stopped or killed, or cannot be reached any more. {AGAIN}"

    def _receive(self, number: int) -> None:
        """Runs in a thread: hands on what a host says, and ends this process if that host is gone."""
        reason = self._reason(number)
        try:
            while True:
                value = receive(self._connections[number])
                if isinstance(value, dict) and "gone" in value:
                    reason = value["gone"]
                    break
                self._received[number].put((value,))
        except (OSError, ValueError):
            pass
        if not self._why and not self._ended.is_set():
            self._why = reason
            if self.first:
                self._say_gone(reason)  # the others are connected to this host alone
        self._received[number].put(None)
        if not self._ended.wait(GRACE_SECONDS):
            print(f"error: {self._why}", file=sys.stderr, flush=True)
            os._exit(1)
