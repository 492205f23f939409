"""How much is measured: enough for figures that stand, or little, to see that it works."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias

Samples: TypeAlias = Mapping[str, Sequence[float]]
"""All runs of each sample, by its name."""

Run: TypeAlias = Callable[[Samples], dict[str, float]]
"""Measures once; told what is known so far."""

Measure: TypeAlias = Callable[..., AbstractContextManager[Run]]
"""Prepares what all its runs need, and takes it away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Counts, and seconds where something is watched for a time."""

    rest: int = 5_000
    rest_trial: int = 600
    bulk: int = 150_000
    bulk_trial: int = 20_000
    backlog: int = 1_000_000
    backlog_chats: int = 100_000
    steady_seconds: float = 8
    rss_seconds: float = 60
    quiet_events: int = 200
    half_load_seconds: float = 20
    traces: tuple[int, int, int] = (1_000, 100_000, 1_000_000)
    naive_seconds: float = 10
    api: int = 10_000
    streams: int = 500
    phoenix: int = 10_000
    phoenix_trial: int = 2_000


QUICK = Size(
    rest=400,
    rest_trial=100,
    bulk=20_000,
    bulk_trial=5_000,
    backlog=400_000,
    backlog_chats=10_000,
    steady_seconds=2,
    rss_seconds=8,
    quiet_events=40,
    half_load_seconds=4,
    traces=(1_000, 10_000, 50_000),
    naive_seconds=2,
    api=1_000,
    streams=50,
    phoenix=2_000,
    phoenix_trial=500,
)
