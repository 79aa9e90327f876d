"""How hosts that train together find each other, agree, and notice that one of them is gone.

The first host listens on its address, and all others connect to it. The connections stay open for the whole training
beside those of the backend, which begins to listen on the same port once all hosts are there. Messages are JSON with
their length before them: nothing that is received is run.
"""

import contextlib
import json
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Self

from configs import InputError
from pipeline.hosts.places import Place
from pipeline.interruption import StoppedError

WAIT_SECONDS = 60.0  # for the other hosts
RETRY_SECONDS = 0.5  # between attempts to reach the first host
GREETING_SECONDS = 10.0  # that a connection has to say who it is
# From when another host is lost until this process is ended, if it has not noticed by itself: it waits in the backend
# for what that host was to send. The backends themselves notice after minutes, TensorFlow at times not at all.
GRACE_SECONDS = 5.0
# A host without power says nothing: it is asked after 20 silent seconds, and given up after as many more.
KEEP_ALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}
SECONDS_TO_NOTICE = 1.0  # that another host is gone, after the backend has raised an error that may be due to it
LENGTH = 8  # bytes of the number before a message
MOST = 2**28  # bytes of a message; the counts of all classes take 400 kB
AGAIN = "What was saved is kept: start all hosts again with the same command to continue from the last checkpoint."


class Hosts:
    """The hosts of a training, all of which call the same methods in the same order.

    Attributes:
      index: number of this host, from 0.
      addresses: HOST:PORT of all hosts.
      seconds: what the first host's clock showed at the last exchange, equal on all hosts.
    """

    def __init__(self, index: int, connections: dict[int, socket.socket], addresses: list[str]):
        """Takes over the connections of hosts that have found each other; `joined_hosts` does so.

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
            _keep_alive(connection)
            threading.Thread(target=self._receive, args=(number,), daemon=True).start()

    @property
    def first(self) -> bool:
        """Whether this is the host that writes files."""
        return self.index == 0

    @property
    def count(self) -> int:
        """Number of hosts."""
        return len(self.addresses)

    def gather(self, value: Any) -> list[Any]:
        """Returns the values of all hosts in their order, each as JSON returns it. Waits for all of them.

        Raises:
          InputError: a host is gone.
        """
        if self.first:
            values = [value, *(self._take(number) for number in sorted(self._connections))]
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
                self.gather(None)  # no host leaves before all have what they need
            elif isinstance(error, StoppedError):
                with contextlib.suppress(InputError):
                    self.gather(None)
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
                    _send(connection, value)
            except OSError as error:
                raise self._lost(number) from error

    def _say_gone(self, why: str) -> None:
        for connection in self._connections.values():
            with contextlib.suppress(OSError), self._sending:
                _send(connection, {"gone": why})

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
                value = _recv(self._connections[number])
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


@contextlib.contextmanager
def joined_hosts(place: Place | None, *, wait: float = WAIT_SECONDS) -> Iterator[Hosts | None]:
    """Yields the hosts once all of them are there; None where this process trains alone.

    Args:
      place: this process among them.
      wait: how long to wait for the others, seconds.

    Raises:
      InputError: names the hosts that did not come, or an address on which this one cannot listen.
    """
    if place is None:
        yield None
        return
    with _met(place, wait) as hosts:
        yield hosts


def _met(place: Place, wait: float) -> Hosts:
    end = time.monotonic() + wait
    if place.index:
        connection = _reach_first(place, end, wait)
        _send(connection, {"host": place.index, "address": place.addresses[place.index]})
        answer = _answer(connection, place, wait)
        if "gone" in answer:
            raise InputError(answer["gone"])
        return Hosts(place.index, {0: connection}, answer["addresses"])
    connections, addresses = _await_others(place, end, wait)
    for connection in connections.values():
        _send(connection, {"addresses": addresses})
    return Hosts(0, connections, addresses)


def _reach_first(place: Place, end: float, wait: float) -> socket.socket:
    """Connects to the first host."""
    name, _, port = place.addresses[0].rpartition(":")
    while True:
        try:
            connection = socket.create_connection((name.strip("[]"), int(port)), timeout=GREETING_SECONDS)
            connection.settimeout(None)
            return connection
        except OSError as error:
            if time.monotonic() > end:
                raise InputError(
                    f"host 0 ({place.addresses[0]}) did not come within {wait:g} s ({error.strerror or error}); start "
                    "all hosts together, and check that this one reaches that address."
                ) from error
        time.sleep(RETRY_SECONDS)


def _answer(connection: socket.socket, place: Place, wait: float) -> dict[str, Any]:
    connection.settimeout(wait + GREETING_SECONDS)
    try:
        return _recv(connection)
    except (OSError, ValueError) as error:
        raise InputError(
            f"host 0 ({place.addresses[0]}) answered, but then no longer; is that the address of this training?"
        ) from error
    finally:
        connection.settimeout(None)


def _await_others(place: Place, end: float, wait: float) -> tuple[dict[int, socket.socket], list[str]]:
    """Listens until all other hosts have connected, and returns their connections and all addresses."""
    addresses = list(place.addresses)
    connections: dict[int, socket.socket] = {}
    with _listening(place.addresses[0]) as listener:
        while len(connections) < len(addresses) - 1 and time.monotonic() < end:
            listener.settimeout(max(end - time.monotonic(), 0.01))
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                break
            number, address = _greeting(connection)
            if 0 < number < len(addresses) and number not in connections:
                connections[number], addresses[number] = connection, address
                continue
            with contextlib.suppress(OSError):
                _send(connection, {"gone": f"host 0 expects no host {number}, or has one already."})
            connection.close()
    missing = [number for number in range(1, len(addresses)) if number not in connections]
    if not missing:
        return connections, addresses
    named = ", ".join(f"host {one} ({addresses[one]})" if addresses[one] else f"host {one}" for one in missing)
    reason = (
        f"{named} of {len(addresses)} did not come within {wait:g} s; start all hosts together, and check that they "
        f"reach {addresses[0]}."
    )
    for connection in connections.values():
        with contextlib.suppress(OSError):
            _send(connection, {"gone": reason})
        connection.close()
    raise InputError(reason)


def _greeting(connection: socket.socket) -> tuple[int, str]:
    """Returns the number and the address of the host that connected; -1 if it is none."""
    connection.settimeout(GREETING_SECONDS)
    try:
        greeting = _recv(connection)
        number, address = int(greeting["host"]), str(greeting["address"])
    except (OSError, ValueError, KeyError, TypeError):
        return -1, ""
    connection.settimeout(None)
    return number, address


def _listening(address: str) -> socket.socket:
    """Returns a socket that listens on a port, from which the backend can take the port over."""
    port = int(address.rpartition(":")[2])
    try:
        return socket.create_server(("", port))
    except OSError as error:
        raise InputError(
            f"host 0 cannot listen on port {port} ({error.strerror}); choose another one in TF_CONFIG."
        ) from error


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE.items():
        if hasattr(socket, name):  # other systems than Linux lack some
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _send(connection: socket.socket, value: Any) -> None:
    content = json.dumps(value).encode()
    connection.sendall(len(content).to_bytes(LENGTH, "big") + content)


def _recv(connection: socket.socket) -> Any:
    """Returns the next message.

    Raises:
      OSError: the connection ended.
      ValueError: this is no message.
    """
    length = int.from_bytes(_exactly(connection, LENGTH), "big")
    if length > MOST:
        raise ValueError(f"a message of {length} bytes")
    return json.loads(_exactly(connection, length))


def _exactly(connection: socket.socket, length: int) -> bytes:
    content = bytearray()
    while len(content) < length:
        more = connection.recv(min(length - len(content), 2**20))
        if not more:
            raise ConnectionError("the connection ended")
        content += more
    return bytes(content)
