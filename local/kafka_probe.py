"""One question to one Kafka node, in Kafka's own protocol: which brokers are alive?

Spoken by hand because a client library would bring an event loop, retries to other nodes, and noise in the
log for each attempt while the node is starting; here the answer must come from this node and at once.
"""

from __future__ import annotations

import socket
import struct

_METADATA, _VERSION, _CORRELATION, _NO_TOPICS = 3, 1, 7, 0
_NO_CLIENT_ID = -1
_TIMEOUT_SECONDS = 3.0


def brokers(address: str) -> set[int]:
    """Give the ids of the live brokers as the node at `host:port` sees them; raises OSError, struct.error."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=_TIMEOUT_SECONDS) as connection:
        body = struct.pack(">hhihi", _METADATA, _VERSION, _CORRELATION, _NO_CLIENT_ID, _NO_TOPICS)
        connection.sendall(struct.pack(">i", len(body)) + body)
        (size,) = struct.unpack(">i", _exactly(connection, 4))
        return _ids(_exactly(connection, size))


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        chunk = connection.recv(count - len(received))
        if not chunk:
            raise ConnectionResetError
        received += chunk
    return received


def _ids(answer: bytes) -> set[int]:
    """Read correlation id, then an array of (id int32, host string, port int32, rack nullable string)."""
    (count,) = struct.unpack_from(">i", answer, 4)
    place, found = 8, set()
    for _ in range(count):
        (node,) = struct.unpack_from(">i", answer, place)
        found.add(node)
        place = _after_string(answer, place + 4) + 4
        place = _after_string(answer, place)
    return found


def _after_string(answer: bytes, place: int) -> int:
    (length,) = struct.unpack_from(">h", answer, place)
    return int(place) + 2 + max(int(length), 0)
