"""How much one user and one address may send."""

import math
import time

from limits import RateLimitItem
from limits.aio.strategies import MovingWindowRateLimiter
from limits.storage import storage_from_string

from apps.feedback_api.problems import ProblemError
from apps.feedback_api.settings import ApiSettings, rate_of


class Rates:
    """Counts in a window that moves; where, is a setting."""

    def __init__(self, settings: ApiSettings) -> None:
        self._user = rate_of(settings.rate_user)
        self._address = rate_of(settings.rate_address)
        storage = storage_from_string(settings.rate_storage)
        self._limiter = MovingWindowRateLimiter(storage)

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
        if rate is None or await self._limiter.hit(rate, kind, name, cost=cost):
            return
        window = await self._limiter.get_window_stats(rate, kind, name)
        seconds = max(1, math.ceil(window.reset_time - time.time()))
        detail = f"more than {rate.amount} in {rate.get_expiry()} s from one {kind}"
        raise ProblemError(429, detail, headers={"Retry-After": str(seconds)})
