"""Messages between hosts: JSON with its length before it, so that nothing that is received is run."""

import json
import socket
from typing import Any

# A host without power says nothing: it is asked after 20 silent seconds, and given up after as many more.
KEEP_ALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}
LENGTH = 8  # bytes of the number before a message
MOST = 2**28  # bytes of a message; the counts of all classes take 400 kB


def keep_alive(connection: socket.socket) -> None:
    """Lets the system notice when the other host has no power any more, and send small messages at once."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE.items():
        if hasattr(socket, name):  # other systems than Linux lack some
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def send(connection: socket.socket, value: Any) -> None:
    """Sends a value that JSON can hold."""
    content = json.dumps(value).encode()
    connection.sendall(len(content).to_bytes(LENGTH, "big") + content)


def receive(connection: socket.socket) -> Any:
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
