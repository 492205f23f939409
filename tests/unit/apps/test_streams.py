"""How many streams there may be, and which are kept."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from apps.chat.settings import ChatSettings
from apps.chat.streams import FullError, GoneError, Stream, Streams

MOST = 2


@pytest.fixture
async def streams() -> AsyncIterator[Streams]:
    streams = Streams(ChatSettings(streams=MOST))
    yield streams
    await streams.close()


async def done(stream: Stream) -> None:
    stream.end({"type": "done"})


async def endless(_stream: Stream) -> None:
    await asyncio.Event().wait()


async def test_those_under_way_are_counted_and_those_that_are_done_are_not(streams: Streams) -> None:
    for number in range(MOST):
        streams.open(f"done-{number}", "hello", None, done)
    await asyncio.sleep(0)  # they say their all
    for number in range(MOST):
        streams.open(f"busy-{number}", "hello", None, endless)
    with pytest.raises(FullError):
        streams.open("one-too-many", "hello", None, endless)


async def test_of_those_that_are_done_the_last_are_kept_for_who_comes_back(streams: Streams) -> None:
    for number in range(2 * MOST + 1):
        streams.open(f"done-{number}", "hello", None, done)
        await asyncio.sleep(0)
    assert len(streams) == 2 * MOST
    streams.open("done-1", "hello", 1, done)
    with pytest.raises(GoneError):
        streams.open("done-0", "hello", 1, done)
