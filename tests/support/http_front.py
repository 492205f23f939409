"""A web server before MLflow, as gateways are: it wants a token, speaks TLS, refuses, loses answers."""

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import httpx

from local.ports import HOST

_LEFT_OUT = {"connection", "content-length", "content-encoding", "date", "server", "transfer-encoding"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request; the names of its headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


Decision = int | Literal["lose the answer"] | None
"""An answer of the front's own, an answer of MLflow's that nobody gets, or None: pass it on."""


def pass_on(_asked: Asked) -> None:
    """Pass everything on."""


@dataclass
class Front:
    """What stands before MLflow; tests give it another ``decide`` at any time."""

    behind: str
    prefix: str
    client: httpx.Client
    url: str = ""
    decide: Callable[[Asked], Decision] = pass_on
    asked: list[Asked] = field(default_factory=list)

    def requests(self, word: str) -> list[Asked]:
        """Give the requests so far whose method and path contain a word."""
        return [asked for asked in self.asked if word in f"{asked.method} {asked.path}"]

    def answer(self, asked: Asked) -> tuple[int, Mapping[str, str], bytes] | None:
        """Give the answer to a request, None to hang up."""
        self.asked.append(asked)
        decision = self.decide(asked)
        if isinstance(decision, int):
            return decision, {}, b"<html>not MLflow</html>"
        if not asked.path.startswith(self.prefix):
            return 404, {}, b""
        url = self.behind + asked.path.removeprefix(self.prefix)
        try:
            response = self.client.request(asked.method, url, headers=asked.headers, content=asked.body)
        except httpx.TransportError:
            return 502, {}, b""
        if decision is not None:
            return None
        headers = {name: value for name, value in response.headers.items() if name not in _LEFT_OUT}
        return response.status_code, headers, response.content


@contextmanager
def http_front(
    behind: str, *, prefix: str = "", certificate: Path | None = None, key: Path | None = None
) -> Iterator[Front]:
    """Stand before a server, over TLS where a certificate is given."""
    with httpx.Client(timeout=60, trust_env=False) as client:
        front = Front(behind, prefix, client)
        with _Server((HOST, 0), _handler(front)) as server:
            if certificate is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(certificate, key)
                server.socket = context.wrap_socket(server.socket, server_side=True)
            scheme = "http" if certificate is None else "https"
            front.url = f"{scheme}://{HOST}:{server.server_address[1]}{prefix}"
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield front
            finally:
                server.shutdown()
                thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that trust another authority go away in the middle."""


def _handler(front: Front) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65_537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items() if name.lower() != "host"}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            answer = front.answer(Asked(self.command, self.path, headers, body))
            if answer is None:
                self.close_connection = True
                return
            status, said, content = answer
            self.send_response(status)
            for name, value in said.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    return Handler
