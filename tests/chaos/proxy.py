"""A TCP proxy that can be told to cut, refuse, delay and swallow, to hold requests or to answer them itself.

It works in a thread of its own, so that a busy test does not slow what goes through it. All methods of
`Proxy` are for other threads, and return once the proxy has done what they say.
"""

import asyncio
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

T = TypeVar("T")
Swallow = Literal["hang", "close"]
"""What becomes of a reply that is swallowed: the client waits for it, or sees its connection closed."""

Fate = Literal["answered", "held", "answer lost", "cut off", "refused", "answered by the proxy"]
"""What became of a request; one that is held may be answered, lost or cut off as well.

- ``cut off``: it was under way when its connection ended, on whichever side.
- ``refused``: it never reached the server.
"""

HOST: Final = "127.0.0.1"
# A batch is some 100 KB: what is slow or held is a request, not each piece of it.
_CHUNK: Final = 1024 * 1024
_CALL_SECONDS: Final = 10
_FIRST_SECONDS: Final = 0.2
_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Held:
    """Requests that are held back: ``caught`` once there is one, on their way again after ``release()``.

    ``said`` is what the server answers to them, whether their client is still there or not.
    """

    match: re.Pattern[bytes]
    loop: asyncio.AbstractEventLoop
    left: int = 1
    lines: list[str] = field(default_factory=list)
    caught: threading.Event = field(default_factory=threading.Event)
    said: list[bytes] = field(default_factory=list)
    _go: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Let them go on, even those whose client is gone."""
        self.loop.call_soon_threadsafe(self._go.set)

    async def hold(self, data: bytes) -> None:
        """Wait for the release."""
        self.lines.append(data.split(b"\r\n", 1)[0].decode("latin-1"))
        self.caught.set()
        await self._go.wait()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that the proxy gives by itself to requests that match, where their body is that large."""

    match: re.Pattern[bytes]
    answer: bytes
    larger_than: int = -1


@dataclass(slots=True, eq=False)
class _Connection:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    asked: str = ""
    """The kind of the request that is under way."""
    has_lost: bool = False
    held: Held | None = None
    has_left: bool = False
    """The client hears no answer any more."""
    has_no_server: bool = False
    late_answer: asyncio.Task[None] | None = None

    def reset(self) -> None:
        for writer in (self.client, self.server):
            _reset(writer)


class Proxy:
    """Stands before one server; ``port`` is its own on the loopback.

    Args:
        upstream_port: the server's.
        upstream_host: the server's.
        kinds: requests that are counted, by how they begin.

    """

    def __init__(
        self,
        upstream_port: int,
        upstream_host: str = HOST,
        *,
        kinds: Mapping[str, re.Pattern[bytes]] | None = None,
    ) -> None:
        self._upstream = upstream_host, upstream_port
        self._kinds = kinds or {}
        self.counts: Counter[tuple[str, Fate]] = Counter()
        self._connections: set[_Connection] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._delay = 0.0
        self._swallow: Swallow | None = None
        self._swallowed: Collection[str] = ()
        self._reply: Reply | None = None
        self._is_refusing = False
        self._held: Held | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._call(self._listen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> int:
        """Reset all connections that stand; give how many there were."""
        return self._call(self._cut)

    def refuse(self) -> None:
        """Reset each new connection, until healed."""
        self._set(lambda: setattr(self, "_is_refusing", True))

    def delay(self, seconds: float) -> None:
        """Keep everything so long on its way, in both directions, until healed."""
        self._set(lambda: setattr(self, "_delay", seconds))

    def swallow(self, how: Swallow, only: Collection[str] = ()) -> None:
        """Let requests through and lose what the server answers, to all or some kinds only, until healed."""

        def change() -> None:
            self._swallow, self._swallowed = how, only

        self._set(change)

    def answer(self, reply: Reply) -> None:
        """Answer requests instead of the server, until healed."""
        self._set(lambda: setattr(self, "_reply", reply))

    def under_way(self, kind: str) -> int:
        """Give how many requests of a kind the server has and has not answered."""
        return sum(connection.asked == kind for connection in tuple(self._connections))

    def hold(self, match: bytes | re.Pattern[bytes], count: int = 1) -> Held:
        """Hold the next requests in which the pattern is found until released; others pass."""
        return self._call(self._arm, Held(re.compile(match), self._loop, count))

    def heal(self) -> None:
        """Pass everything on again; connections that have lost something are reset, as in the end by TCP."""
        self._call(self._heal)

    def _call(self, work: Callable[..., Coroutine[Any, Any, T]], *given: object) -> T:
        return asyncio.run_coroutine_threadsafe(work(*given), self._loop).result(_CALL_SECONDS)

    def _set(self, change: Callable[[], None]) -> None:
        async def work() -> None:
            change()

        self._call(work)

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._accept, HOST, 0, limit=_CHUNK)
        return int(self._server.sockets[0].getsockname()[1])

    async def _end(self) -> None:
        self._server.close()
        await self._cut()
        for task in self._pumps:
            task.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        await asyncio.sleep(0)  # the transports' own last callbacks

    async def _cut(self) -> int:
        cut = list(self._connections)
        for connection in cut:
            self._ended(connection)
            connection.reset()
        return len(cut)

    async def _heal(self) -> None:
        self._delay, self._is_refusing, self._held = 0.0, False, None
        self._swallow, self._swallowed, self._reply = None, (), None
        for connection in self._connections:
            if connection.has_lost:
                connection.reset()

    async def _arm(self, held: Held) -> Held:
        self._held = held
        return held

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pumps.add(task)
        try:
            await self._connect(reader, writer)
        finally:
            self._pumps.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_refusing:
            # What it would have asked is awaited for a moment, so that it can be told what was refused.
            with suppress(TimeoutError):
                self._count(self._kind(await asyncio.wait_for(_read(reader), _FIRST_SECONDS)), "refused")
            _reset(writer)
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._upstream, limit=_CHUNK)
        except OSError:
            _reset(writer)
            return
        connection = _Connection(writer, server_writer)
        self._connections.add(connection)
        try:
            await asyncio.gather(self._requests(connection, reader), self._replies(connection, server_reader))
        finally:
            self._connections.discard(connection)
            self._ended(connection)
            connection.reset()

    def _kind(self, data: bytes) -> str:
        """Tell which kind of request begins here; none for the rest of one."""
        return next((name for name, match in self._kinds.items() if match.match(data)), "")

    def _count(self, kind: str, fate: Fate) -> None:
        if kind:
            self.counts[kind, fate] += 1

    def _ended(self, connection: _Connection) -> None:
        self._count(connection.asked, "cut off")
        connection.asked = ""

    async def _requests(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        while data := await _read(reader):
            if self._delay:
                await asyncio.sleep(self._delay)
            kind = self._kind(data)
            if (said := self._said(data)) is not None:
                await _rest_of(reader, data)
                self._count(kind, "answered by the proxy")
                if not await _write(connection.client, said):
                    break
                continue
            held = self._held
            if held is not None and held.left and held.match.search(data):
                held.left -= 1
                connection.held = held
                self._count(kind, "held")
                data += await _rest_of(reader, data)
                await held.hold(data)
                if connection.has_no_server:
                    # A web server ends a connection that is silent for some seconds; the request still comes.
                    await self._reconnect(connection)
                    kind = ""  # nobody hears its answer
            connection.asked = kind or connection.asked
            if not await _write(connection.server, data):
                break
        connection.has_left = True
        # A web server drops a request whose client has hung up; what a buffering proxy sends late stands.
        if connection.held is None:
            _end_of_stream(connection.server)
        if connection.late_answer is not None:
            await connection.late_answer

    async def _replies(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        while data := await _read(reader):
            if connection.held is not None:
                connection.held.said.append(data)
            if self._delay:
                await asyncio.sleep(self._delay)
            swallow = self._swallow if not self._swallowed or connection.asked in self._swallowed else None
            lost = swallow is not None or connection.has_lost or connection.has_left
            self._count(connection.asked, "answer lost" if lost else "answered")
            connection.asked = ""
            if swallow == "close":
                connection.reset()
                break
            if swallow == "hang" or connection.has_lost:
                connection.has_lost = True
            elif not await _write(connection.client, data):
                # The client is gone; what it asked for still reaches the server.
                connection.has_lost = True
        connection.has_no_server = True
        _end_of_stream(connection.client)

    def _said(self, data: bytes) -> bytes | None:
        """Give what the proxy itself answers, if it does."""
        reply = self._reply
        if reply is None or not reply.match.match(data):
            return None
        return reply.answer if _length_of(data) > reply.larger_than else None

    async def _reconnect(self, connection: _Connection) -> None:
        _reset(connection.server)
        reader, connection.server = await asyncio.open_connection(*self._upstream, limit=_CHUNK)
        connection.late_answer = asyncio.create_task(_drain(reader, connection.held))
        self._pumps.add(connection.late_answer)
        connection.late_answer.add_done_callback(self._pumps.discard)


async def _drain(reader: asyncio.StreamReader, held: Held | None) -> None:
    while data := await _read(reader):
        if held is not None:
            held.said.append(data)


async def _rest_of(reader: asyncio.StreamReader, data: bytes) -> bytes:
    """Read the body of a request, as what is not read by the time its client is reset is lost."""
    _, _, body = data.partition(b"\r\n\r\n")
    missing = _length_of(data) - len(body)
    try:
        return await reader.readexactly(missing) if missing > 0 else b""
    except (OSError, asyncio.IncompleteReadError):
        return b""


def _length_of(data: bytes) -> int:
    """Give how long the body of a request is, as its head says."""
    head, _, _ = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return int(length.group(1)) if length else 0


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(_CHUNK)
    except OSError:
        return b""


async def _write(writer: asyncio.StreamWriter, data: bytes) -> bool:
    if writer.is_closing():
        return False
    try:
        writer.write(data)
        await writer.drain()
    except OSError:
        return False
    return True


def _end_of_stream(writer: asyncio.StreamWriter) -> None:
    if not writer.is_closing() and writer.can_write_eof():
        try:
            writer.write_eof()
        except OSError:
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close at once with a reset, as a network or a killed process does."""
    if writer.is_closing():
        return
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
