"""Which requests are taken for writes, and what a gateway says instead of MLflow."""

import pytest

from chaos.proxy import Reply
from chaos.writes import HELD, HIDDEN, TOO_LARGE, WRITES

PLUGIN = b"/api/3.0/mlflow/feedback-batch"
ONE = b"/api/3.0/mlflow/traces/tr-1/assessments"


@pytest.mark.parametrize(
    ("line", "kind", "is_held", "is_hidden"),
    [
        (b"POST " + PLUGIN + b"/assessments HTTP/1.1", "bulk", True, True),
        (b"POST " + PLUGIN + b"/resolve HTTP/1.1", None, False, True),
        (b"GET " + PLUGIN + b" HTTP/1.1", None, False, True),
        (b"POST " + ONE + b" HTTP/1.1", "single", False, False),
        (b"PATCH " + ONE + b"/a-1 HTTP/1.1", "single", True, False),
        (b"DELETE " + ONE + b"/a-1 HTTP/1.1", "single", False, False),
        (b"GET " + ONE + b"/a-1 HTTP/1.1", None, False, False),
        (b"POST /api/3.0/mlflow/traces/search HTTP/1.1", None, False, False),
        (b'{"value": "POST ' + PLUGIN + b"/assessments HTTP/1.1", None, False, False),
    ],
)
def test_a_request_is_known_by_how_it_begins(
    line: bytes, kind: str | None, *, is_held: bool, is_hidden: bool
) -> None:
    assert [name for name, match in WRITES.items() if match.match(line)] == ([kind] if kind else [])
    assert (HELD.search(line) is not None) == is_held
    assert (HIDDEN.match.match(line) is not None) == is_hidden
    assert (TOO_LARGE.match.match(line) is not None) == (kind == "bulk")


@pytest.mark.parametrize(("reply", "status"), [(HIDDEN, b"404"), (TOO_LARGE, b"413")])
def test_a_gateway_answers_with_a_page_of_its_length(reply: Reply, status: bytes) -> None:
    head, _, page = reply.answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert f"Content-Length: {len(page)}".encode() in head
