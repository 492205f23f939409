"""What is kept of a stream, and who waits for whom."""

import asyncio
from contextlib import suppress

import pytest

from apps.chat.streams import Buffer, GoneError, Stream


def buffer(kept: int = 10_000, ahead: int = 1000) -> Buffer:
    return Buffer(kept=kept, ahead=ahead)


def test_events_are_numbered_from_one() -> None:
    made = buffer()
    made.add({"a": 1})
    assert made.after(0) == [b'data: {"a":1}\nid: 1\n\n']


def test_one_goes_on_after_any_event_that_is_kept() -> None:
    made = buffer()
    for number in range(3):
        made.add(number)
    assert len(made.after(2)) == 1
    assert len(made.after(0)) == 3, "also once they were read"
    assert made.after(3) == []


@pytest.mark.parametrize("number", [-1, 4])
def test_nobody_goes_on_after_an_event_that_never_was(number: int) -> None:
    made = buffer()
    for event in range(3):
        made.add(event)
    with pytest.raises(GoneError):
        made.after(number)


def test_what_was_read_is_kept_up_to_its_limit_and_what_was_not_is_never_lost() -> None:
    made = buffer(kept=100)
    for number in range(50):
        made.add(number)
    assert len(made.after(0)) == 50
    made.add("x")
    with pytest.raises(GoneError):
        made.after(0)
    assert len(made.after(50)) == 1


def test_it_is_full_until_somebody_reads() -> None:
    made = buffer(ahead=40)
    made.add("x" * 40)
    assert made.is_full
    made.after(0)
    assert not made.is_full


async def test_tokens_that_come_fast_go_together() -> None:
    stream = Stream(buffer(), group_seconds=0.01)
    for token in "abcdef":
        await stream.token(token)
    stream.end({"type": "done"})
    said = b"".join([part async for part in stream.read(0, keep_alive=1)])
    assert said.count(b"data:") == 3
    assert b'"a"' in said
    assert b'"bcdef"' in said


async def test_the_last_token_does_not_wait_for_another() -> None:
    stream = Stream(buffer(), group_seconds=0.01)
    await stream.token("a")
    await stream.token("b")
    reading = stream.read(1, keep_alive=5)
    assert b'"b"' in await anext(reading)
    await reading.aclose()  # type: ignore[attr-defined]  # it is a generator


async def test_the_writer_waits_for_the_reader() -> None:
    stream = Stream(buffer(ahead=50), group_seconds=0)
    written: list[int] = []

    async def write() -> None:
        for number in range(20):
            await stream.token(f"{number}")
            written.append(number)
        stream.end("end")

    writing = asyncio.create_task(write())
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(written) < 5
    said = b"".join([part async for part in stream.read(0, keep_alive=1)])
    assert said.count(b"data:") == 21
    await writing


async def test_a_quiet_stream_is_kept_alive_and_the_newest_reader_takes_over() -> None:
    stream = Stream(buffer(), group_seconds=0)
    first, second = stream.read(0, keep_alive=0.001), stream.read(0, keep_alive=0.001)
    assert await anext(first) == b": keep-alive\n\n"
    assert await anext(second) == b": keep-alive\n\n"
    with suppress(StopAsyncIteration):
        await anext(first)
        pytest.fail("the first reader goes on")
    stream.end("end")
    assert b'"end"' in await anext(second)
