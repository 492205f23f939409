"""Streams of answers that outlive a connection: what was said is kept for a client that comes back.

The model is never far ahead of who reads, what is kept is bounded, and a stream that nobody reads ends.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from fastapi.sse import format_sse_event
from pydantic_core import to_json
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from apps.chat.asked import Asked
from apps.chat.settings import ChatSettings

KEEP_ALIVE: Final = b": keep-alive\n\n"
HEADERS: Final = {"Cache-Control": "no-cache", "Connection": "keep-alive", "X-Accel-Buffering": "no"}


class GoneError(Exception):
    """What a client wants to go on from is not kept any more."""


@dataclass(frozen=True, slots=True)
class _Event:
    number: int
    data: bytes


class Buffer:
    """The events of one answer, numbered from 1: the newest of them, and how far they were read.

    Args:
        kept: bytes of what was read that are kept.
        ahead: bytes that may be unread before the writer should wait.

    """

    def __init__(self, *, kept: int, ahead: int) -> None:
        self._kept = kept
        self._ahead = ahead
        self._events: deque[_Event] = deque()
        self._bytes = 0
        self._unread = 0
        self.last = 0
        self.read = 0

    @property
    def is_full(self) -> bool:
        """Tell whether the writer should wait for the reader."""
        return self._unread >= self._ahead

    def add(self, document: object) -> None:
        """Add an event."""
        self.last += 1
        data = format_sse_event(data_str=to_json(document).decode(), id=str(self.last))
        self._events.append(_Event(self.last, data))
        self._bytes += len(data)
        self._unread += len(data)
        while self._bytes > self._kept and self._events[0].number <= self.read:
            self._bytes -= len(self._events.popleft().data)

    def after(self, number: int) -> list[bytes]:
        """Give the events after one, which are read now.

        Raises:
            GoneError: when they are not all kept any more, or there never was such an event.

        """
        first = self._events[0].number if self._events else self.last + 1
        if not first - 1 <= number <= self.last:
            raise GoneError
        found = list(islice(self._events, number + 1 - first, None))
        self._unread -= sum(len(event.data) for event in found if event.number > self.read)
        self.read = max(self.read, self.last)
        return [event.data for event in found]


class Stream:
    """One answer as it is made, and its one reader.

    Args:
        buffer: of its events.
        group_seconds: tokens within this time become one event.

    """

    def __init__(self, buffer: Buffer, *, group_seconds: float) -> None:
        self._buffer = buffer
        self._group = group_seconds
        self._pending: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._is_done = False
        self.readers = 0
        """Counts who began to read; only the newest goes on."""

    @property
    def is_done(self) -> bool:
        """Tell whether the last event was said."""
        return self._is_done

    async def token(self, text: str) -> None:
        """Say a token; waits while the reader is far behind."""
        self._pending.append(text)
        loop = asyncio.get_running_loop()
        if loop.time() - self._flushed_at >= self._group:
            self._flush()
        elif self._timer is None:
            self._timer = loop.call_at(self._flushed_at + self._group, self._flush)
        while self._buffer.is_full:
            self._room.clear()
            await self._room.wait()

    def end(self, document: object) -> None:
        """Say the last event."""
        if self._is_done:
            return
        self._flush()
        self._buffer.add(document)
        self._is_done = True
        self._some.set()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pending:
            self._buffer.add({"type": "token", "content": "".join(self._pending)})
            self._pending.clear()
            self._flushed_at = asyncio.get_running_loop().time()
            self._some.set()

    def check(self, after: int) -> None:
        """See whether one can go on after an event.

        Raises:
            GoneError: when one cannot.

        """
        self._buffer.after(after)

    async def read(self, after: int, *, keep_alive: float) -> AsyncIterator[bytes]:
        """Give all events after one, until the last, or until somebody else begins to read."""
        self.readers += 1
        mine = self.readers
        self._some.set()
        while mine == self.readers:
            # Cleared first: what comes while we write is seen.
            self._some.clear()
            found = self._buffer.after(after)
            self._room.set()
            if found:
                after += len(found)
                yield b"".join(found)
            elif self._is_done:
                return
            elif not await self._comes(keep_alive):
                yield KEEP_ALIVE

    async def _comes(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._some.wait()
        return self._some.is_set()


Work = Callable[[Stream], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class _Running:
    asked: Asked
    stream: Stream
    task: asyncio.Task[None]
    connections: int = 0
    ending: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Tell whether it is only kept: all is said, and nobody reads it."""
        return self.stream.is_done and self.connections == 0


class FullError(Exception):
    """There are as many streams as there may be."""


class Streams:
    """The streams of one process, by their request ids: those under way, and the last that are done."""

    def __init__(self, settings: ChatSettings) -> None:
        self._settings = settings
        self._running: dict[str, _Running] = {}

    def __len__(self) -> int:
        """Count them."""
        return len(self._running)

    def open(self, asked: Asked, after: int | None, work: Work) -> StreamingResponse:
        """Begin a stream, or go on with one: its request id names it.

        Args:
            asked: what it answers, and whom; the same again for who comes back.
            after: the last event that a client has seen; None for one that is new.
            work: makes the answer.

        Raises:
            GoneError: when there is nothing to go on with.
            FullError: when there are too many.

        """
        running = self._running.get(asked.client_request_id)
        if running is None:
            if after:
                raise GoneError
            self._make_room()
            running = self._begin(asked, work)
        # Its last event lets one give feedback: only who has asked may hear it.
        elif (running.asked.message, running.asked.person) != (asked.message, asked.person):
            raise GoneError
        running.stream.check(after or 0)
        return _Response(
            self, asked.client_request_id, running, after or 0, self._settings.keep_alive_seconds
        )

    def _make_room(self) -> None:
        """See that there may be one more; as many as are under way may be kept for who comes back."""
        most = self._settings.streams
        if len(self._running) < most:
            return
        idle = [request_id for request_id, running in self._running.items() if running.is_idle]
        if len(self._running) - len(idle) >= most:
            raise FullError
        # The oldest of them.
        for request_id in idle[: max(0, len(self._running) - 2 * most + 1)]:
            self._end(request_id)

    def _begin(self, asked: Asked, work: Work) -> _Running:
        settings = self._settings
        buffer = Buffer(kept=settings.buffer_bytes, ahead=settings.ahead_bytes)
        stream = Stream(buffer, group_seconds=settings.group_seconds)
        running = _Running(asked, stream, asyncio.create_task(work(stream)))
        self._running[asked.client_request_id] = running
        return running

    def joined(self, running: _Running) -> None:
        """Note that a client reads."""
        running.connections += 1
        if running.ending is not None:
            running.ending.cancel()
            running.ending = None

    def left(self, request_id: str, running: _Running) -> None:
        """Note that a client has gone: without another one the stream ends after its grace."""
        running.connections -= 1
        if running.connections == 0:
            loop = asyncio.get_running_loop()
            running.ending = loop.call_later(self._settings.reconnect_seconds, self._end, request_id)

    def _end(self, request_id: str) -> None:
        running = self._running.pop(request_id, None)
        if running is not None:
            running.task.cancel()
            if running.ending is not None:
                running.ending.cancel()

    async def close(self) -> None:
        """End all streams."""
        tasks = [running.task for running in self._running.values()]
        for running in self._running.values():
            running.task.cancel()
            if running.ending is not None:
                running.ending.cancel()
        self._running.clear()
        if tasks:
            await asyncio.wait(tasks)


class _Response(StreamingResponse):
    """Reads while it is connected, however the connection ends."""

    def __init__(
        self, streams: Streams, request_id: str, running: _Running, after: int, keep_alive: float
    ) -> None:
        content = running.stream.read(after, keep_alive=keep_alive)
        super().__init__(content, headers=HEADERS, media_type="text/event-stream")
        self._streams = streams
        self._request_id = request_id
        self._running = running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._streams.joined(self._running)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.left(self._request_id, self._running)
