"""Many streams at once on one process: all of them to their end, in memory that does not grow."""

import asyncio
import logging
import re
import time

import httpx
from support.apps import spoken
from support.waiting import wait_until

log = logging.getLogger(__name__)

STREAMS = 500
ASK = {"message": "What is a dead letter?"}
_MEGABYTE = 1024 * 1024


async def metric(chat: httpx.AsyncClient, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", (await chat.get("/metrics/")).text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


async def test_five_hundred_streams_at_once_and_again(chat: httpx.AsyncClient) -> None:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=chat.base_url, timeout=60, limits=limits) as many:

        async def one() -> str:
            async with many.stream("POST", "/chat/stream", json=ASK) as response:
                return str((await spoken(response))[-1][1]["type"])

        used = []
        for _ in range(2):
            start = time.perf_counter()
            assert await asyncio.gather(*(one() for _ in range(STREAMS))) == ["done"] * STREAMS
            used.append((await metric(chat, "process_resident_memory_bytes")) / _MEGABYTE)
            log.warning("%d streams in %.1f s, %.0f MB", STREAMS, time.perf_counter() - start, used[-1])
    # The traces that MLflow has not taken yet are among it.
    assert used[1] - used[0] < 30, "what one round leaves is used by the next"

    async def are_gone() -> bool:
        return await metric(chat, "feedback_chat_streams") == 0

    await wait_until(are_gone, seconds=15, what="nothing is left behind")
