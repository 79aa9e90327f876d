"""How hosts that train together find each other.

The first host listens on its address, and all others connect to it; once all are there, the backend begins to listen on
the same port.
"""

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

from configs import InputError
from pipeline.hosts.channel import Hosts
from pipeline.hosts.messages import receive, send
from pipeline.hosts.places import Place

WAIT_SECONDS = 60.0  # for the other hosts
RETRY_SECONDS = 0.5  # between attempts to reach the first host
GREETING_SECONDS = 10.0  # that a connection has to say who it is


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
        try:
            answer = _answer(connection, place, wait)
        except InputError:
            connection.close()
            raise
        return Hosts(place.index, {0: connection}, answer["addresses"])
    connections, addresses = _await_others(place, end, wait)
    for connection in connections.values():
        send(connection, {"addresses": addresses})
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
    """Says who this host is, and returns the first host's answer once all are there."""
    connection.settimeout(wait + GREETING_SECONDS)
    try:
        send(connection, {"host": place.index, "address": place.addresses[place.index]})
        answer = receive(connection)
        connection.settimeout(None)
    except (OSError, ValueError) as error:
        raise InputError(
            f"host 0 ({place.addresses[0]}) answered, but then no longer; is that the address of this training?"
        ) from error
    if "gone" in answer:
        raise InputError(answer["gone"])
    return answer


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
                send(connection, {"gone": f"host 0 expects no host {number}, or has one already."})
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
            send(connection, {"gone": reason})
        connection.close()
    raise InputError(reason)


def _greeting(connection: socket.socket) -> tuple[int, str]:
    """Returns the number and the address of the host that connected; -1 if it is none."""
    connection.settimeout(GREETING_SECONDS)
    try:
        greeting = receive(connection)
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
