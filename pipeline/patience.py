"""Waiting for what is away: no attempt is counted, nothing is given up, and a stop is heard at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol, TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from pipeline.metrics import Metrics, NoMetrics
from pipeline.outcomes import Dependency, DependencyAwayError

T = TypeVar("T")

SHORTEST_WAIT: Final = 0.05
LONGEST_WAIT: Final = 2.0
"""Seconds: work must go on within 5 s of a dependency's return."""

log = structlog.get_logger(__name__)


class StoppedError(Exception):
    """The process was told to stop while it waited; what it was about to do is not committed."""


class Watched(Protocol):
    """Whoever is watched for standing still."""

    waits: int

    def beat(self) -> None:
        """Note that it is alive."""


WATCHED: ContextVar[Watched | None] = ContextVar("watched", default=None)
"""Whoever works in this task, for a watchdog; nobody where there is none."""


@contextmanager
def declared_wait() -> Iterator[None]:
    """Wait on purpose, for as long as it takes, and be alive at the end."""
    watched = WATCHED.get()
    if watched is None:
        yield
        return
    watched.waits += 1
    try:
        yield
    finally:
        watched.waits -= 1
        watched.beat()


def alive() -> None:
    """Tell a watchdog that a long work goes on."""
    if (watched := WATCHED.get()) is not None:
        watched.beat()


class Patience:
    """Calls what may be away until it answers, and knows what is away just now."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self._metrics = metrics or NoMetrics()
        self._stopping = asyncio.Event()
        self.away: dict[Dependency, str] = {}

    def stop(self) -> None:
        """End all waiting with `StoppedError`."""
        self._stopping.set()

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Await ``work()`` again and again until it does not raise `DependencyAwayError`.

        Raises:
            StoppedError: when told to stop while waiting.

        """
        away: set[Dependency] = set()
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(DependencyAwayError),
            wait=wait_random_exponential(multiplier=SHORTEST_WAIT, max=LONGEST_WAIT),
            sleep=self.sleep,
            before_sleep=lambda state: self._before_sleep(state, away),
        )

        async def attempt() -> T:
            return await work()

        result: T = await retrying(attempt)
        for dependency in away:
            self.back(dependency)
        return result

    async def sleep(self, seconds: float) -> None:
        """Sleep, but not past a stop.

        Raises:
            StoppedError: when told to stop.

        """
        with declared_wait():
            try:
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()
            except TimeoutError:
                return
            raise StoppedError

    def missed(self, dependency: Dependency, detail: str) -> None:
        """Note that a dependency gives no answer.

        Raises:
            StoppedError: when told to stop, so that whoever waits for it ends.

        """
        alive()
        if dependency not in self.away:
            log.warning("dependency_away", dependency=dependency, detail=detail)
            self._metrics.away(dependency, is_away=True)
        self.away[dependency] = detail
        if self._stopping.is_set():
            raise StoppedError

    def back(self, dependency: Dependency) -> None:
        """Note that a dependency answers."""
        if self.away.pop(dependency, None) is not None:
            log.info("dependency_back", dependency=dependency)
            self._metrics.away(dependency, is_away=False)

    def _before_sleep(self, state: RetryCallState, missed: set[Dependency]) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, DependencyAwayError):
            missed.add(error.dependency)
            self.missed(error.dependency, error.detail)
