"""How many streams there may be, and which are kept."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from apps.chat.asked import Asked
from apps.chat.settings import ChatSettings
from apps.chat.streams import FullError, GoneError, Stream, Streams

MOST = 2


@pytest.fixture
async def streams() -> AsyncIterator[Streams]:
    streams = Streams(ChatSettings(streams=MOST))
    yield streams
    await streams.close()


def asked(request_id: str, *, message: str = "hello", user: str | None = None) -> Asked:
    return Asked(
        message=message,
        client_request_id=request_id,
        session_id="s",
        user_id=user or "anonymous-1",
        is_signed_in=user is not None,
    )


async def done(stream: Stream) -> None:
    stream.end({"type": "done"})


async def endless(_stream: Stream) -> None:
    await asyncio.Event().wait()


async def test_those_under_way_are_counted_and_those_that_are_done_are_not(streams: Streams) -> None:
    for number in range(MOST):
        streams.open(asked(f"done-{number}"), None, done)
    await asyncio.sleep(0)  # they say their all
    for number in range(MOST):
        streams.open(asked(f"busy-{number}"), None, endless)
    with pytest.raises(FullError):
        streams.open(asked("one-too-many"), None, endless)


async def test_of_those_that_are_done_the_last_are_kept_for_who_comes_back(streams: Streams) -> None:
    for number in range(2 * MOST + 1):
        streams.open(asked(f"done-{number}"), None, done)
        await asyncio.sleep(0)
    assert len(streams) == 2 * MOST
    streams.open(asked("done-1"), 1, done)
    with pytest.raises(GoneError):
        streams.open(asked("done-0"), 1, done)


@pytest.mark.parametrize(
    "other", [asked("r", user="ben"), asked("r"), asked("r", user="anna", message="hello!")]
)
async def test_only_who_asked_goes_on_with_a_stream(streams: Streams, other: Asked) -> None:
    streams.open(asked("r", user="anna"), None, done)
    await asyncio.sleep(0)
    streams.open(asked("r", user="anna"), 1, done)
    with pytest.raises(GoneError):
        streams.open(other, 1, done)
