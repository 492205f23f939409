"""Requests as a whole: what the server says of itself, sizes, encodings and errors in MLflow's own form."""

import gzip
import json
from collections.abc import Callable

import httpx
import pytest
import zstandard
from support.bulk import Bulk, TraceOf, an_item

MEGABYTES = 1024 * 1024


def body(*items: object) -> bytes:
    return json.dumps({"items": items}).encode()


def test_it_says_what_it_can_do(bulk: Bulk) -> None:
    said = bulk.ask().raise_for_status().json()
    assert said.pop("backend") in {"postgresql", "sqlite"}
    assert said == {
        "protocol": 1,
        "mlflow": "3.17.2",
        "max_items": 5000,
        "max_bytes": 32 * MEGABYTES,
        "encodings": ["gzip", "zstd"],
    }


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("zstd", zstandard.compress),
        ("identity", bytes),
    ],
)
def test_a_compressed_request(
    bulk: Bulk, new_trace: TraceOf, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    item = an_item(new_trace())
    answer = bulk.ask("/assessments", content=compress(body(item)), headers={"Content-Encoding": encoding})
    assert answer.raise_for_status().json() == {"outcomes": [{"status": "logged"}]}


def test_nothing_to_do(bulk: Bulk) -> None:
    assert bulk.write() == []


def test_five_thousand_are_taken_and_one_more_is_not(bulk: Bulk, new_trace: TraceOf) -> None:
    trace_id = new_trace()
    items = [an_item(trace_id) for _ in range(5001)]
    answer = bulk.ask("/assessments", content=body(*items))
    assert answer.status_code == 413
    assert answer.json() == {
        "error_code": "REQUEST_LIMIT_EXCEEDED",
        "message": "5001 items; the limit is 5000",
    }
    assert set(bulk.statuses(*items[:5000])) == {"logged"}


@pytest.mark.parametrize("path", ["/assessments", "/resolve"])
@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"", {}, 400, "MALFORMED_REQUEST"),
        (b"{", {}, 400, "MALFORMED_REQUEST"),
        (b"[]", {}, 400, "MALFORMED_REQUEST"),
        (b'{"items": {}, "client_request_ids": 3}', {}, 400, "MALFORMED_REQUEST"),
        (b"\xff\xfe", {}, 400, "MALFORMED_REQUEST"),
        (b"no gzip", {"Content-Encoding": "gzip"}, 400, "MALFORMED_REQUEST"),
        (gzip.compress(b"{}")[:-6], {"Content-Encoding": "gzip"}, 400, "MALFORMED_REQUEST"),
        (b"no zstd", {"Content-Encoding": "zstd"}, 400, "MALFORMED_REQUEST"),
        (b"{}", {"Content-Encoding": "br"}, 415, "INVALID_PARAMETER_VALUE"),
        (b" " * (32 * MEGABYTES + 1), {}, 413, "REQUEST_LIMIT_EXCEEDED"),
        (
            gzip.compress(b" " * (33 * MEGABYTES)),
            {"Content-Encoding": "gzip"},
            413,
            "REQUEST_LIMIT_EXCEEDED",
        ),
        (
            zstandard.compress(b" " * (33 * MEGABYTES)),
            {"Content-Encoding": "zstd"},
            413,
            "REQUEST_LIMIT_EXCEEDED",
        ),
    ],
    ids=[
        "empty", "broken", "a list", "wrong types", "no UTF-8", "no gzip", "half a gzip", "no zstd", "brotli",
        "large", "a gzip bomb", "a zstd bomb",
    ],
)  # fmt: skip
def test_a_bad_request_is_answered_in_mlflow_s_form(  # noqa: PLR0913, PLR0917 - parameters of a test
    bulk: Bulk, path: str, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = bulk.ask(path, content=content, headers=headers)
    assert answer.status_code == status, answer.text
    said = answer.json()
    assert said["error_code"] == code
    assert said["message"]


def test_mlflow_s_own_pages_and_endpoints_are_as_they_were(bulk: Bulk) -> None:
    assert httpx.get(f"{bulk.url}/health").text == "OK"
    assert "<html" in httpx.get(bulk.url).text
    assert httpx.get(f"{bulk.url}/api/3.0/mlflow/feedback-batches").status_code == 404
