"""The fastest HTTP client that there is any use in: prepared bytes over kept connections, nothing parsed."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from bench.apart import apart

_OK: Final = b"HTTP/1.1 2"
_LENGTH: Final = b"content-length:"


@dataclass(frozen=True, slots=True)
class Post:
    """One request: its path, its JSON, and more headers than it needs."""

    path: str
    body: bytes
    headers: str = ""


@dataclass(frozen=True, slots=True)
class Posted:
    """How long all of them took, the answers' bodies, and the seconds that each took."""

    seconds: float
    answers: list[bytes]
    each: list[float]


def post_all(url: str, posts: Sequence[Post], at_once: int) -> Posted:
    """Send all, so many at once, from a process of its own.

    Raises:
        RuntimeError: when an answer is an error.

    """
    return apart(_post_all, url, posts, at_once)


def _post_all(url: str, posts: Sequence[Post], at_once: int) -> Posted:
    host = urlsplit(url).netloc
    return asyncio.run(_send(host, [request_of(host, post) for post in posts], at_once))


def request_of(host: str, post: Post) -> bytes:
    """Give a request's bytes."""
    head = (
        f"POST {post.path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"{post.headers}Content-Length: {len(post.body)}\r\n\r\n"
    )
    return head.encode() + post.body


async def _send(host: str, requests: Sequence[bytes], at_once: int) -> Posted:
    name, port = host.split(":")
    answers: list[bytes] = []
    each: list[float] = []
    left = iter(requests)
    connections = [await asyncio.open_connection(name, int(port), limit=2**20) for _ in range(at_once)]
    began = time.perf_counter()
    await asyncio.gather(*(_work(reader, writer, left, answers, each) for reader, writer in connections))
    seconds = time.perf_counter() - began
    for _, writer in connections:
        writer.close()
    return Posted(seconds, answers, each)


async def _work(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    left: Iterator[bytes],
    answers: list[bytes],
    each: list[float],
) -> None:
    for request in left:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(length_of(head))
        if not head.startswith(_OK):
            raise RuntimeError((head + body)[:1000])
        each.append(time.perf_counter() - began)
        answers.append(body)


def length_of(head: bytes) -> int:
    """Give the length of the body that an answer's head announces."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(_LENGTH):
            return int(line.removeprefix(_LENGTH))
    msg = f"no length: {head!r}"
    raise RuntimeError(msg)
