"""As many requests at once as was asked for, and some that are prepared meanwhile."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from pipeline.adapters.mlflow_client import MlflowThreads


@pytest.fixture
def threads() -> Iterator[MlflowThreads]:
    threads = MlflowThreads(2)
    yield threads
    threads.close()


async def test_no_more_are_sent_at_once_than_asked_for_while_more_are_prepared(
    threads: MlflowThreads,
) -> None:
    prepared, sent, most = threading.Semaphore(0), 0, 0
    all_prepared, lock = threading.Event(), threading.Lock()

    def send() -> None:
        nonlocal sent, most
        with lock:
            sent += 1
            most = max(most, sent)
        assert all_prepared.wait(20)
        with lock:
            sent -= 1

    def prepare_and_send() -> None:
        prepared.release()
        with threads.turn:
            send()

    running = asyncio.gather(
        *(threads.run(send) for _ in range(2)),
        *(threads.run_early(prepare_and_send) for _ in range(3)),
        *(threads.run(send) for _ in range(3)),
    )
    for _ in range(3):  # with both turns taken
        assert await asyncio.to_thread(prepared.acquire, timeout=20)
    all_prepared.set()
    await running
    assert most == 2
