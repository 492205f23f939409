"""A watchdog: a process whose consumers stand still ends with an error, so that it is started anew.

aiokafka is known to stop fetching without a word after brokers restart or a group is lost (its issues 625,
703, 983, 1154). Nothing is lost by ending: what was not committed comes again.
"""

import asyncio
import os
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, NamedTuple, Protocol

import structlog
from aiokafka import TopicPartition

from consumers.pulse import Pulse, Stall, Ticks
from consumers.steady import SteadyConsumer
from pipeline.patience import Patience, StoppedError

log = structlog.get_logger(__name__)

_LONGEST_TICK: Final = 1.0
_ASK_AFTER: Final = 10.0
"""Seconds without an answer after which Kafka is asked by another connection, and `/readyz` says so."""
_ASK_EVERY: Final = 5.0
_LOG_SECONDS: Final = 5
_EXIT_STATUS: Final = 1
_FRAMES: Final = 20


class StalledError(RuntimeError):
    """A consumer stands still."""


class Lane(NamedTuple):
    """Which of the loops of one topic in a process it is, and how many there are."""

    number: int = 1
    of: int = 1


ONE_LANE: Final = Lane()


@dataclass(frozen=True, slots=True)
class Loop:
    """One subscriber's loop."""

    name: str
    group: str
    topic: str
    consumer: SteadyConsumer
    lane: Lane = ONE_LANE

    @property
    def key(self) -> tuple[str, str, Lane]:
        """Give what tells it from the others of its process."""
        return self.name, self.topic, self.lane

    @property
    def title(self) -> str:
        """Give its name for people."""
        return self.name if self.lane.of == 1 else f"{self.name}, lane {self.lane.number} of {self.lane.of}"

    @property
    def pulse(self) -> Pulse:
        """Give what the loop did last."""
        return self.consumer.pulse

    def partitions(self) -> list[TopicPartition]:
        """Give what to ask Kafka for: what it reads, or any partition of its topic."""
        return list(self.consumer.progress()) or [TopicPartition(self.topic, 0)]


class Gauges(Protocol):
    """Told of each tick."""

    def loop(self, consumer: str, topic: str, *, age: float, lag: int) -> None:
        """Tell for how long a loop has shown no life, and how many records its partitions hold unread."""


class Watchdog:
    """Looks at all loops of a process once a tick.

    A loop that gets nothing is stalled only if Kafka answers another connection: else Kafka is away, which is
    waited for.

    Args:
        loops: gives the loops that run now.
        seconds: how long one may stand still.
        answers: asks whether Kafka would serve a group with partitions.
        patience: told when Kafka is away, and when it is back.
        gauges: told of each tick.
        fail: called once, with the error that ends the process.

    """

    def __init__(  # noqa: PLR0913 - all of it is given once, by name
        self,
        loops: Callable[[], Collection[Loop]],
        *,
        seconds: float,
        answers: Callable[[str, Collection[TopicPartition]], Awaitable[bool]],
        patience: Patience,
        gauges: Gauges,
        fail: Callable[[BaseException], None],
    ) -> None:
        self._loops = loops
        self._seconds = seconds
        self._answers = answers
        self._patience = patience
        self._gauges = gauges
        self._fail = fail
        self._ask_after = min(_ASK_AFTER, seconds / 2)
        self._since_asked = 0.0
        self._unserved: set[tuple[str, str, Lane]] = set()
        self._is_away = False
        self.stalled: list[str] = []

    async def run(self) -> None:
        """Watch until cancelled, or until something is stalled."""
        every = tick_of(self._seconds)
        ticks = Ticks(every, time.monotonic())
        while not self.stalled:
            await asyncio.sleep(every)
            await self.tick(ticks.passed(time.monotonic()))

    async def tick(self, seconds: float) -> None:
        """Count the time that has passed, and judge."""
        loops = self._loops()
        shown: dict[tuple[str, str], tuple[float, int]] = {}
        for loop in loops:
            progress = loop.consumer.progress()
            loop.pulse.tick(seconds, progress)
            age, lag = shown.get((loop.name, loop.topic), (0.0, 0))
            lag += sum(part.lag for part in progress.values())
            shown[loop.name, loop.topic] = max(age, loop.pulse.age), lag
        for (name, topic), (age, lag) in shown.items():
            self._gauges.loop(name, topic, age=age, lag=lag)
        self._since_asked += seconds
        if self._since_asked >= min(_ASK_EVERY, self._ask_after):
            await self._ask(loops)
        for loop in () if self.stalled else loops:
            stall = loop.pulse.stall(self._seconds)
            if stall is not None and not (stall.for_kafka and loop.key in self._unserved):
                self._end(loop, stall)
                return

    async def _ask(self, loops: Collection[Loop]) -> None:
        """Ask whether Kafka would serve the loops that get nothing; their time begins with its return."""
        self._since_asked = 0.0
        hungry = [
            (loop, found) for loop in loops if (found := loop.pulse.hungry(self._ask_after)) is not None
        ]
        answers = await asyncio.gather(
            *(self._answers(loop.group, found or loop.partitions()) for loop, found in hungry)
        )
        unserved = {loop.key for (loop, _), is_served in zip(hungry, answers, strict=True) if not is_served}
        for loop, _ in hungry:
            if loop.key in self._unserved - unserved:
                loop.pulse.excuse()
        self._unserved = unserved
        if unserved:
            self._missed()
        elif self._is_away:
            self._is_away = False
            self._patience.back("kafka")

    def _missed(self) -> None:
        self._is_away = True
        # Told to stop: whoever waits hears it by itself.
        with suppress(StoppedError):
            self._patience.missed("kafka", "it gives no records, and no answer to another connection")

    def _end(self, loop: Loop, stall: Stall) -> None:
        what = f"{loop.title}: {stall.what}"
        self.stalled.append(what)
        log.critical("stalled", what=what, **_since(stall.seconds))
        self._fail(StalledError(what))


class LoopGuard:
    """A thread that ends the process when its event loop answers no more, or when an end takes too long.

    Args:
        seconds: how long the loop may be blocked.
        end: ends the process at once; for tests.

    """

    def __init__(self, seconds: float, end: Callable[[int], object] = os._exit) -> None:
        self._seconds = seconds
        self._end = end
        self._blocked = 0.0
        self._answered = threading.Event()
        self._closed = threading.Event()
        self._left: float | None = None

    def start(self) -> None:
        """Watch the running loop from a thread."""
        loop, thread_id = asyncio.get_running_loop(), threading.get_ident()
        threading.Thread(target=self._run, args=(loop, thread_id), name="watchdog", daemon=True).start()

    def end_within(self, seconds: float) -> None:
        """End the process if it has not ended by itself until then."""
        self._left = seconds

    def close(self) -> None:
        """Watch no more."""
        self._closed.set()

    def _run(self, loop: asyncio.AbstractEventLoop, thread_id: int) -> None:
        every = tick_of(self._seconds)
        ticks = Ticks(every, time.monotonic())
        self._answered.set()
        while not self._closed.wait(every):
            what = self.tick(ticks.passed(time.monotonic()))
            if what is not None:
                self._say(what, thread_id)
                self._end(_EXIT_STATUS)
                return
            if self._answered.is_set():
                self._answered.clear()
                with suppress(RuntimeError):  # the loop is closed: from here on only an end is waited for
                    loop.call_soon_threadsafe(self._answered.set)

    def tick(self, seconds: float) -> str | None:
        """Count the time that has passed, and say what stands still."""
        self._blocked = 0.0 if self._answered.is_set() else self._blocked + seconds
        if self._left is not None:
            self._left -= seconds
            if self._left <= 0:
                return "the end of the process"
        return "the event loop" if self._blocked >= self._seconds else None

    def _say(self, what: str, thread_id: int) -> None:
        """Log from yet another thread: the loop's may hold the log's lock."""
        frame = sys._current_frames().get(thread_id)  # noqa: SLF001 - the documented way to another thread's stack
        where = [f"{entry.filename}:{entry.lineno} {entry.name}" for entry in traceback.extract_stack(frame)]
        told = partial(log.critical, "stalled", what=what, where=where[-_FRAMES:], **_since(self._blocked))
        teller = threading.Thread(target=told, daemon=True)
        teller.start()
        teller.join(_LOG_SECONDS)


def tick_of(seconds: float) -> float:
    """Give how often to look, for a limit."""
    return min(_LONGEST_TICK, seconds / 10)


def _since(seconds: float) -> dict[str, object]:
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    return {"seconds": round(seconds), "since": since.isoformat(timespec="seconds")}
