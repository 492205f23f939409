"""Posting by the way that MLflow's client took: the same requests, and the same errors."""

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking.request_auth.abstract_request_auth_provider import RequestAuthProvider
from mlflow.tracking.request_auth.registry import _request_auth_provider_registry
from requests import PreparedRequest
from requests.auth import AuthBase
from support.tracking import tracked_at

from pipeline.adapters import mlflow_post
from pipeline.adapters.mlflow_client import configure_mlflow, error_code, finding, send
from pipeline.adapters.mlflow_post import Posts

PATH = "/api/3.0/mlflow/traces/tr-1/assessments"
BODY = b'{"assessment": {}}'
LOST = (0, b"")
"""The connection ends without an answer."""


@dataclass
class Asked:
    """One request as the server saw it; ``who`` is the address of the connection."""

    path: str
    headers: dict[str, str]
    body: bytes
    who: tuple[str, int]


@dataclass
class Server:
    """Answers what a test says, and keeps what it was asked."""

    url: str = ""
    answer: tuple[int, bytes] = (200, b"{}")
    asked: list[Asked] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.asked.append(Asked(self.path, dict(self.headers), body, self.client_address))
            status, answer = made.answer
            if (status, answer) == LOST:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    configure_mlflow(concurrency=2)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        made.url = f"http://127.0.0.1:{http.server_address[1]}"
        try:
            yield made
        finally:
            http.shutdown()
            thread.join()


@pytest.fixture
def made_by_the_client(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the requests that MLflow's client was asked to send."""
    paths: list[str] = []

    def counted(method: str, path: str, body: bytes) -> object:
        paths.append(path)
        return send(method, path, body)

    monkeypatch.setattr(mlflow_post, "send", counted)
    return paths


def refusal_of(posts: Posts) -> tuple[str, str]:
    with pytest.raises(MlflowException) as caught:
        posts(PATH, BODY)
    return finding(caught.value), error_code(caught.value)


def test_a_kept_way_sends_what_the_client_sends(
    server: Server, made_by_the_client: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "a-token")
    monkeypatch.setenv("MLFLOW_WORKSPACE", "team-a")
    server.answer = 200, b'{"assessment": {"assessment_id": "a-1"}}'
    posts = Posts()
    with tracked_at(f"{server.url}/behind/a/prefix/"):
        answers = [posts(PATH, BODY), posts(PATH.replace("tr-1", "tr-2"), b'{"longer": true, "by": 1}')]
    assert answers == [server.answer[1]] * 2
    assert len(made_by_the_client) == 1
    first, second = server.asked
    assert first.headers["Authorization"] == "Bearer a-token"
    assert (first.path, first.body) == (f"/behind/a/prefix{PATH}", BODY)
    assert second.path == f"/behind/a/prefix{PATH}".replace("tr-1", "tr-2")
    assert second.body == b'{"longer": true, "by": 1}'
    assert first.headers.pop("Content-Length") == str(len(BODY))
    assert second.headers.pop("Content-Length") == str(len(second.body))
    assert second.headers == first.headers
    assert second.who == first.who


@pytest.mark.parametrize(
    "answer",
    [
        (404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such trace"}'),
        (400, b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "a wrong value"}'),
        (400, b'{"error_code": "BAD_REQUEST", "message": "read-only"}'),
        (401, b'{"error_code": "UNAUTHENTICATED", "message": "who?"}'),
        (403, b'{"message": "Forbidden"}'),
        (404, b"<html>Not Found</html>"),
        (413, b"<html>413 Request Entity Too Large</html>"),
        (429, b"slower"),
        (500, b'{"error_code": "INTERNAL_ERROR", "message": "it failed"}'),
        (502, b"<html>Bad Gateway</html>"),
        (503, b'{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "later"}'),
        (302, b"elsewhere"),
        LOST,
    ],
)
def test_a_refusal_is_what_the_client_makes_of_it(
    server: Server, answer: tuple[int, bytes], made_by_the_client: list[str]
) -> None:
    with tracked_at(server.url):
        posts = Posts()
        posts(PATH, BODY)
        server.answer = answer
        by_the_way = refusal_of(posts)
        assert len(made_by_the_client) == 1
        by_the_client = refusal_of(posts)
        assert len(made_by_the_client) == 2
    assert by_the_way == by_the_client


@pytest.mark.parametrize(("answer", "given"), [(b"", b"{}"), (b"<html>Please", b"<html>Please")])
def test_an_answer_that_is_not_json_is_what_the_client_makes_of_it(
    server: Server, answer: bytes, given: bytes, made_by_the_client: list[str]
) -> None:
    with tracked_at(server.url):
        posts = Posts()
        posts(PATH, BODY)
        server.answer = 200, answer
        assert posts(PATH, BODY) == given
        assert len(made_by_the_client) == 1
        assert Posts()(PATH, BODY) == given


@pytest.mark.parametrize("after", ["a refusal", "ten seconds"])
def test_a_new_token_counts(server: Server, monkeypatch: pytest.MonkeyPatch, after: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "old")
    with tracked_at(server.url):
        posts = Posts()
        posts(PATH, BODY)
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "new")
        if after == "a refusal":
            server.answer = 401, b'{"error_code": "UNAUTHENTICATED", "message": "who?"}'
            refusal_of(posts)
            server.answer = 200, b"{}"
        else:
            later = time.monotonic() + 11
            monkeypatch.setattr(time, "monotonic", lambda: later)
        posts(PATH, BODY)
    assert server.asked[0].headers["Authorization"] == "Bearer old"
    assert server.asked[-1].headers["Authorization"] == "Bearer new"


class _Signature(AuthBase):
    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        assert isinstance(request.body, bytes)
        request.headers["X-Signature"] = hashlib.sha256(request.body).hexdigest()
        return request


class _Signing(RequestAuthProvider):
    def get_name(self) -> str:
        return "signing-for-a-test"

    def get_auth(self) -> AuthBase:
        return _Signature()


def test_where_each_request_is_signed_the_client_sends_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "signing-for-a-test")
    monkeypatch.setattr(_request_auth_provider_registry, "_registry", [_Signing()])
    with tracked_at(server.url):
        posts = Posts()
        for body in (b'{"a": 1}', b'{"b": 2}'):
            posts(PATH, body)
    for asked in server.asked:
        assert asked.headers["X-Signature"] == hashlib.sha256(asked.body).hexdigest()


def test_a_proxy_on_the_way_is_asked_each_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with tracked_at("http://mlflow.example"):
        posts = Posts()
        for _ in range(2):
            posts(PATH, BODY)
    assert [asked.path for asked in server.asked] == [f"http://mlflow.example{PATH}"] * 2


def test_no_secret_is_shown(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "a-token")
    with tracked_at(server.url):
        posts = Posts()
        posts(PATH, BODY)
        assert server.asked[0].headers["Authorization"] == "Bearer a-token"
    assert "a-token" not in repr(posts._way)
