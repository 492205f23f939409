"""Answers that are not MLflow's, and assessments that its client cannot express, end no process."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.samples import a_draft, a_version
from support.tracking import tracked_at

from pipeline.adapters.mlflow_client import MlflowThreads, configure_mlflow
from pipeline.adapters.mlflow_rest import MlflowRestSink
from pipeline.adapters.mlflow_traces import MlflowTraces
from pipeline.log import write_of
from pipeline.outcomes import Away, Dead, DependencyAwayError


class _Proxy(BaseHTTPRequestHandler):
    """Answers everything with a page and 200, as a proxy's login does."""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        page = b"<html>Please sign in</html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - names that http.server looks for

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def proxy() -> Iterator[str]:
    configure_mlflow(concurrency=2)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Proxy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        with tracked_at(url):
            yield url
        server.shutdown()
        thread.join()


@pytest.fixture
def threads() -> Iterator[MlflowThreads]:
    threads = MlflowThreads(2)
    yield threads
    threads.close()


@pytest.mark.usefixtures("proxy")
@pytest.mark.parametrize("op", ["log", "withdraw"])
@pytest.mark.parametrize("written", [False, True])
async def test_a_page_instead_of_an_answer_is_waited_for(
    threads: MlflowThreads, op: str, *, written: bool
) -> None:
    version = a_version(op=op)
    write = write_of(a_draft(version, written=version.event_id if written else None), "tr-1")
    (outcome,) = await MlflowRestSink(threads).log([write], until=time.monotonic() + 60)
    assert isinstance(outcome, Away)
    assert outcome.dependency == "mlflow"


@pytest.mark.usefixtures("proxy")
async def test_a_page_instead_of_traces_is_waited_for(threads: MlflowThreads) -> None:
    with pytest.raises(DependencyAwayError):
        await MlflowTraces(["0"], threads).search(["req-1"], since=None)


@pytest.mark.usefixtures("proxy")
async def test_what_the_client_cannot_express_is_dead_and_not_sent(threads: MlflowThreads) -> None:
    write = write_of(a_draft(a_version(value={1, 2})), "tr-1")
    (outcome,) = await MlflowRestSink(threads).log([write], until=time.monotonic() + 60)
    assert isinstance(outcome, Dead)
    assert outcome.reason == "rejected"
