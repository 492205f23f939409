"""retry: how long a record is parked that cannot be settled yet, and how often it is tried."""

from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate
from typing import Final

DEFAULT_STAGES: Final = ((2, 5), (60, 14), (900, 96))
"""Seconds and attempts: 10 s, a quarter of an hour, a day."""


@dataclass(frozen=True, slots=True)
class RetryStage:
    """So many attempts, each so long after the one before."""

    delay: timedelta
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a version without a trace is tried again, and how far back MLflow is searched.

    The first attempt is made at once, then each stage has its own. All attempts but the last of each stage
    search only as far back as ``window`` before the feedback was given; those search everything.

    ``lifetime`` is how long after a write was begun MLflow may still receive it, whoever sent it may be dead
    by then. No write is begun later than a third of it after its version was seen to be the newest.
    """

    stages: tuple[RetryStage, ...] = tuple(
        RetryStage(timedelta(seconds=seconds), attempts) for seconds, attempts in DEFAULT_STAGES
    )
    window: timedelta = timedelta(hours=1)
    lifetime: timedelta = timedelta(minutes=1)

    def delay_after(self, attempt: int) -> timedelta | None:
        """Give how long to wait after an attempt that failed; None after the last."""
        ends = accumulate(stage.attempts for stage in self.stages)
        return next(
            (stage.delay for stage, end in zip(self.stages, ends, strict=True) if attempt <= end), None
        )

    def searches_everything(self, attempt: int) -> bool:
        """Tell whether an attempt is the last of its stage, and so searches without a bound in time."""
        return attempt > 1 and self.delay_after(attempt) != self.delay_after(attempt - 1)

    @property
    def look_again_after(self) -> timedelta:
        """Give the delay to look for a late write: the shortest that outlives it, else the longest."""
        delays = sorted(stage.delay for stage in self.stages)
        return next((delay for delay in delays if delay >= self.lifetime), delays[-1])

    @property
    def lease(self) -> timedelta:
        """Give how long after it was pinned a write may still be begun."""
        return self.lifetime / 3
