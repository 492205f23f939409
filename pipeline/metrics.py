"""What the pipeline counts and measures: names, labels and meaning in one place."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

from pipeline.outcomes import Dependency, ParkReason

Stage = Literal["first", "claim", "join", "resolve", "log", "settle"]


class Metrics(Protocol):
    """Told by the pipeline what happens; `consumers.prometheus` shows it under ``/metrics``."""

    def batch(self, consumer: str, records: int, seconds: float) -> None:
        """Count a settled batch: its records and the seconds from its reading to its commit."""

    def outcome(self, outcome: str, reason: str, count: int) -> None:
        """Count what became of assessments; the reason is empty unless they were dead-lettered."""

    def parked(self, reason: ParkReason, seconds: float) -> None:
        """Count a record that is parked, and for how many seconds."""

    def chats(self, *, indexed: int, dead: int) -> None:
        """Count chat events that went into the join index, and those that broke the contract."""

    def stage(self, stage: Stage, seconds: float, items: int) -> None:
        """Measure one stage of one batch."""

    def away(self, dependency: Dependency, *, is_away: bool) -> None:
        """Tell that a dependency gives no answer, or answers again."""


class NoMetrics:
    """Counts nothing."""

    def batch(self, consumer: str, records: int, seconds: float) -> None:
        """Do nothing."""

    def outcome(self, outcome: str, reason: str, count: int) -> None:
        """Do nothing."""

    def parked(self, reason: ParkReason, seconds: float) -> None:
        """Do nothing."""

    def chats(self, *, indexed: int, dead: int) -> None:
        """Do nothing."""

    def stage(self, stage: Stage, seconds: float, items: int) -> None:
        """Do nothing."""

    def away(self, dependency: Dependency, *, is_away: bool) -> None:
        """Do nothing."""


@contextmanager
def timed(metrics: Metrics, stage: Stage, items: int) -> Iterator[None]:
    """Measure the block as one stage of one batch."""
    start = time.perf_counter()
    yield
    metrics.stage(stage, time.perf_counter() - start, items)
