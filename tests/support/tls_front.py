"""TLS before a Postgres whose build has none, in Postgres' own way of asking for it."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

from local.ports import HOST

_SSL_REQUEST = bytes.fromhex("0000000804d2162f")
_CHUNK = 65_536


@contextmanager
def tls_front(behind: int, certificate: Path, key: Path) -> Iterator[int]:
    """Listen on a port that answers an SSLRequest and hands what it decrypts to the port behind; give it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                _serve(self.request, context, behind)

    with _Server((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that trust another authority go away in the middle."""


def _serve(plain: socket.socket, context: ssl.SSLContext, behind: int) -> None:
    if plain.recv(len(_SSL_REQUEST), socket.MSG_WAITALL) != _SSL_REQUEST:
        return
    plain.sendall(b"S")
    with (
        context.wrap_socket(plain, server_side=True) as client,
        socket.create_connection((HOST, behind)) as server,
    ):
        back = threading.Thread(target=_pump, args=(server, client), daemon=True)
        back.start()
        _pump(client, server)
        back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
