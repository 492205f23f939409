import pytest

from bench.raw_http import Post, length_of, request_of


def test_a_request_is_whole() -> None:
    assert request_of("127.0.0.1:5000", Post("/a", b'{"x": 1}')) == (
        b"POST /a HTTP/1.1\r\nHost: 127.0.0.1:5000\r\nContent-Type: application/json\r\n"
        b'Content-Length: 8\r\n\r\n{"x": 1}'
    )


def test_the_length_is_found_however_it_is_written() -> None:
    assert length_of(b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 42\r\n\r\n") == 42
    assert length_of(b"HTTP/1.1 200 OK\r\ncontent-length:7\r\n\r\n") == 7


def test_an_answer_without_a_length_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no length"):
        length_of(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
