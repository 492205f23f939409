"""Many answers streamed at once by one process of the chat service, beside one stream alone."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import psutil

from bench.apart import apart
from bench.figures import percentile
from bench.raw_http import Post, request_of
from bench.rig import Process, Rig, World, wait_for
from bench.size import Run, Samples, Size

ROUNDS: Final = 6
"""How often all are streamed; the first fills what the later ones use again."""

_CHAT: Final = ("apps.chat",)
_PATH: Final = "/chat/stream"
_QUESTION: Final = json.dumps({"message": "What is a dead letter?"}).encode()
_DONE: Final = b'"type":"done"'
_END: Final = b"0\r\n\r\n"
_GONE_SECONDS: Final = 60
_EXPORT_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Streamed:
    """Seconds of each stream: until its first words, and until its end."""

    first: list[float]
    whole: list[float]


@contextmanager
def streams(rig: Rig, size: Size) -> Iterator[Run]:
    """Measure how long streams take alone and together, and the memory after each round, in MB.

    A round begins when the traces of the one before are in MLflow, which takes fewer a second than are made.
    """

    def run(_known: Samples) -> dict[str, float]:
        rig.clean()
        world = rig.world()
        with world.processes(1, _CHAT, FEEDBACK_API_OPEN="true", FEEDBACK_API_RATE_ADDRESS="") as (chat,):
            host = f"127.0.0.1:{chat.port}"
            alone = apart(_stream, host, 1)
            rss, found = [_rss(chat)], []
            for number in range(1, ROUNDS + 1):
                found.append(apart(_stream, host, size.streams))
                _wait_for_traces(world, 1 + number * size.streams)
                rss.append(_rss(chat))
            wait_for(lambda: _connections(chat) == 0, seconds=_GONE_SECONDS, what="all clients are gone")
        last = found[-1]
        return {
            "streams_s": percentile(last.whole, 50),
            "stream_alone_s": alone.whole[0],
            "streams_first_words_p99_ms": percentile(last.first, 99) * 1000,
            "streams_rss_mb": rss[-1] / 1e6,
            "streams_rss_first_round_mb": rss[1] / 1e6,
            "streams_rss_start_mb": rss[0] / 1e6,
        }

    yield run


def _wait_for_traces(world: World, count: int) -> None:
    wait_for(lambda: world.traces() == count, seconds=_EXPORT_SECONDS, what=f"{count} traces")


def _rss(chat: Process) -> int:
    return int(psutil.Process(chat.process.pid).memory_info().rss)


def _connections(chat: Process) -> int:
    return sum(
        one.status == psutil.CONN_ESTABLISHED and one.laddr.port == chat.port
        for one in psutil.Process(chat.process.pid).net_connections("tcp")
    )


def _stream(host: str, count: int) -> Streamed:
    return asyncio.run(_all(host, count))


async def _all(host: str, count: int) -> Streamed:
    found = await asyncio.gather(*(_one(host) for _ in range(count)))
    return Streamed([first for first, _ in found], [whole for _, whole in found])


async def _one(host: str) -> tuple[float, float]:
    address = urlsplit(f"//{host}")
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    began = time.perf_counter()
    writer.write(request_of(host, Post(_PATH, _QUESTION)))
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head + await reader.read(1000))
    said = await reader.read(65_536)
    first = time.perf_counter() - began
    tail = said
    while not tail.endswith(_END):
        said = await reader.read(65_536)
        tail = (tail + said)[-1000:]
    whole = time.perf_counter() - began
    writer.close()
    if _DONE not in tail:
        raise RuntimeError(tail)
    return first, whole
