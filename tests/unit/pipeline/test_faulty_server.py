"""What the sink makes of a server that fails, told apart by whether the server is healthy otherwise."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from support.samples import SECRET, a_draft, a_version
from support.tracking import tracked_at

from pipeline.adapters.mlflow_client import PROBE, MlflowThreads, configure_mlflow
from pipeline.adapters.mlflow_rest import MlflowRestSink
from pipeline.log import write_of
from pipeline.outcomes import Away, Dead, SinkOutcome, Withdrawn

Answer = tuple[int, bytes]


def said(status: int, code: str) -> Answer:
    return status, json.dumps({"error_code": code, "message": f"it failed at {SECRET}"}).encode()


FAILED = said(500, "INTERNAL_ERROR")
READ_ONLY = said(400, "BAD_REQUEST")
MISSING = said(404, "RESOURCE_DOES_NOT_EXIST")
HEALTHY: Answer = (200, b"{}")
TOO_LARGE: Answer = (413, b"<html>413 Request Entity Too Large</html>")


@dataclass
class Server:
    """Answers as a test says, by method and path, and keeps what it was asked."""

    answer: Callable[[str, bytes], Answer] = lambda _method, _body: HEALTHY
    writes_others: bool = True
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def probe(self, body: bytes) -> Answer:
        """Set and delete the tag that is only written to see whether anything is."""
        assert PROBE.encode() in body
        return HEALTHY if self.writes_others else FAILED


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path.endswith("/tags"):
                status, body = made.probe(body)
            else:
                made.asked.append(self.command)
                status, body = made.answer(self.command, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            with suppress(OSError):  # who asked has given up
                self.end_headers()
                self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - names that http.server looks for

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    configure_mlflow(concurrency=2)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        made.url = f"http://127.0.0.1:{http.server_address[1]}"
        with tracked_at(made.url):
            yield made
        http.shutdown()
        thread.join()


async def put(op: str = "log", *, written: bool = False, **fields: Any) -> SinkOutcome:
    version = a_version(op=op, **fields)
    write = write_of(a_draft(version, written=version.event_id if written else None), "tr-1")
    threads = MlflowThreads(2)
    try:
        (outcome,) = await MlflowRestSink(threads).log([write], until=time.monotonic() + 60)
    finally:
        threads.close()
    return outcome


@pytest.mark.parametrize(("op", "written"), [("log", False), ("log", True), ("withdraw", True)])
async def test_what_fails_each_time_at_a_healthy_server_is_rejected(
    server: Server, op: str, *, written: bool
) -> None:
    """Be it the write, the look or the withdrawal: it would hold up its neighbours for ever."""
    server.answer = lambda _method, _body: FAILED
    outcome = await put(op, written=written)
    assert isinstance(outcome, Dead)
    assert outcome.reason == "rejected"
    assert "INTERNAL_ERROR" in outcome.detail
    assert SECRET not in outcome.detail


@pytest.mark.parametrize(("op", "written"), [("log", False), ("log", True), ("withdraw", True)])
@pytest.mark.parametrize("answer", ["FAILED", "READ_ONLY"])
async def test_what_fails_at_a_server_that_writes_nothing_else_is_waited_for(
    server: Server, op: str, answer: str, *, written: bool
) -> None:
    """A standby answers all reads, and makes of its database's error a 400."""
    server.answer = lambda _method, _body: FAILED if answer == "FAILED" else READ_ONLY
    server.writes_others = False
    outcome = await put(op, written=written)
    assert isinstance(outcome, Away)
    assert SECRET not in outcome.detail


async def test_a_create_that_fails_is_looked_for_before_it_is_sent_again(server: Server) -> None:
    answers = {"POST": [FAILED, TOO_LARGE], "GET": [MISSING]}
    server.answer = lambda method, _body: answers[method].pop(0)
    assert isinstance(await put(), Dead)
    assert server.asked == ["POST", "GET", "POST"]


async def test_a_withdrawal_that_fails_once_is_done_again_and_is_not_certain(server: Server) -> None:
    answers = [FAILED, HEALTHY]
    server.answer = lambda _method, _body: answers.pop(0)
    outcome = await put("withdraw", written=True)
    assert isinstance(outcome, Withdrawn)
    assert not outcome.is_certain
    assert server.asked == ["DELETE", "DELETE"]


@pytest.mark.parametrize("op", ["log", "withdraw"])
async def test_what_a_proxy_finds_too_large_is_rejected_at_once(server: Server, op: str) -> None:
    server.answer = lambda _method, _body: TOO_LARGE
    outcome = await put(op)
    assert isinstance(outcome, Dead)
    assert outcome.reason == "rejected"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "text"), [(403, '{"message": "Forbidden"}'), (404, '{"detail": "Not Found"}')]
)
@pytest.mark.parametrize("op", ["log", "withdraw"])
async def test_a_gateway_s_own_json_is_not_mlflow_s(server: Server, status: int, text: str, op: str) -> None:
    server.answer = lambda _method, _body: (status, text.encode())
    assert isinstance(await put(op), Away)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_busy_or_absent_server_behind_a_proxy_is_waited_for(server: Server, status: int) -> None:
    server.answer = lambda _method, _body: (status, b"<html>later</html>")
    assert isinstance(await put(), Away)


async def test_a_server_that_never_answers_is_given_up_in_time(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    gone = threading.Event()

    def hang(_method: str, _body: bytes) -> Answer:
        gone.wait(20)
        return HEALTHY

    server.answer = hang
    start = time.monotonic()
    outcome = await put()
    gone.set()
    assert isinstance(outcome, Away)
    # A bound, not a measurement: four tries of a second each and the waits between, not minutes.
    assert time.monotonic() - start < 15
