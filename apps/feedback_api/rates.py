"""How much one user and one address may send."""

import math
import time
from collections import OrderedDict, deque
from typing import Final, Protocol, cast

import structlog
from limits import RateLimitItem
from limits.aio.storage import Storage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError
from limits.storage import storage_from_string

from apps.feedback_api.problems import ProblemError
from apps.feedback_api.settings import IN_MEMORY, ApiSettings, rate_of

log = structlog.get_logger(__name__)

_MOST: Final = 100_000


class Window(Protocol):
    """Counts in a window that moves."""

    async def seconds_until(self, rate: RateLimitItem, kind: str, name: str, cost: int) -> float:
        """Count, and give 0; or count nothing, and give when there is room again."""


class Rates:
    """Counts in a window that moves; where, is a setting."""

    def __init__(self, settings: ApiSettings) -> None:
        self._user = rate_of(settings.rate_user)
        self._address = rate_of(settings.rate_address)
        storage = settings.rate_storage
        self._window: Window = MemoryWindow() if storage == IN_MEMORY else SharedWindow(storage)

    async def address(self, address: str) -> None:
        """Count a request of an address.

        Raises:
            ProblemError: 429.

        """
        await self._count(self._address, "address", address, 1)

    async def user(self, name: str, events: int) -> None:
        """Count the feedback of a user.

        Raises:
            ProblemError: 429; then none of it was counted.

        """
        await self._count(self._user, "user", name, events)

    async def _count(self, rate: RateLimitItem | None, kind: str, name: str, cost: int) -> None:
        if rate is None:
            return
        seconds = await self._window.seconds_until(rate, kind, name, cost)
        if seconds:
            detail = f"more than {rate.amount} in {rate.get_expiry()} s from one {kind}"
            raise ProblemError(429, detail, headers={"Retry-After": str(max(1, math.ceil(seconds)))})


class MemoryWindow:
    """Counts in this process.

    The library's own storage in memory looks at all names at each hit, each in a thread: with 5,000 names
    that takes half of the event loop.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._hits: OrderedDict[tuple[RateLimitItem, str, str], deque[float]] = OrderedDict()

    async def seconds_until(self, rate: RateLimitItem, kind: str, name: str, cost: int) -> float:
        """Count, and give 0; or count nothing, and give when there is room again."""
        now, period = time.monotonic(), rate.get_expiry()
        self._forget(now)
        hits = self._hits.setdefault((rate, kind, name), deque())
        self._hits.move_to_end((rate, kind, name))
        while hits and hits[0] <= now - period:
            hits.popleft()
        if (over := len(hits) + cost - rate.amount) > 0:
            return hits[over - 1] + period - now if over <= len(hits) else period
        hits.extend([now] * cost)
        return 0

    def _forget(self, now: float) -> None:
        """Forget who was seen longest ago: all of what is over, and in any case no more than so many."""
        while self._hits:
            (rate, _, _), hits = next(iter(self._hits.items()))
            is_over = not hits or hits[-1] <= now - rate.get_expiry()
            if not is_over and len(self._hits) < self._most:
                return
            self._hits.popitem(last=False)

    def __len__(self) -> int:
        """Count the names."""
        return len(self._hits)


class SharedWindow:
    """Counts in a storage of the library, for all processes; where it does not answer, nothing is refused."""

    def __init__(self, address: str) -> None:
        storage = cast("Storage", storage_from_string(address, wrap_exceptions=True))
        self._limiter = MovingWindowRateLimiter(storage)

    async def seconds_until(self, rate: RateLimitItem, kind: str, name: str, cost: int) -> float:
        """Count, and give 0; or count nothing, and give when there is room again."""
        try:
            if await self._limiter.hit(rate, kind, name, cost=cost):
                return 0
            window = await self._limiter.get_window_stats(rate, kind, name)
        except StorageError as error:
            log.warning("rates_not_counted", error=type(error.storage_error).__name__)
            return 0
        return max(1, window.reset_time - time.time())
