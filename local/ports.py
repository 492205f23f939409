"""Ports on the loopback: the same ones as last time where they are free."""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Set as AbstractSet
from pathlib import Path

from local.errors import failure
from local.files import write_whole

HOST = "127.0.0.1"
# Below what Linux and macOS hand to outgoing connections: a client that keeps trying a port whose server is
# down could otherwise be given that very port as its own end, connect to itself, and keep the server out.
_RANGE = range(17_000, 30_000)
_TRIES = 200
# Parts that start side by side choose from one file.
_choosing = threading.Lock()


def is_free(port: int) -> bool:
    """Say whether a server could listen on the port now (connections that are still closing do not count)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def claim(file: Path, names: list[str]) -> dict[str, int]:
    """Give a free port to each name, last time's if it can be, and remember it; return all that are known."""
    with _choosing:
        known = remembered(file)
        for name in names:
            port = known.pop(name, None)
            known[name] = port if port and is_free(port) else free_port(set(known.values()))
        write_whole(file, json.dumps(known))
    return known


def remembered(file: Path) -> dict[str, int]:
    """Read the ports of last time; none where the file is missing or damaged."""
    try:
        return {str(name): int(port) for name, port in json.loads(file.read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def free_port(taken: AbstractSet[int] = frozenset()) -> int:
    """Give a port that a server could listen on now, none of those that are taken."""
    for _ in range(_TRIES):
        port = random.choice(_RANGE)  # noqa: S311 - nothing secret about it
        if port not in taken and is_free(port):
            return port
    span = f"{_RANGE.start} and {_RANGE.stop}"
    raise failure("stack", f"no free port found on {HOST} between {span}", "end what listens there")
