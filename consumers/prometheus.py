"""`Metrics` for Prometheus."""

from typing import get_args

from faststream.asgi.types import ASGIApp
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, make_asgi_app

from pipeline.metrics import Stage
from pipeline.outcomes import DeadReason, Dependency, ParkReason

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class PrometheusMetrics:
    """The metrics of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._records = Counter(
            "feedback_records_total", "Records settled", ["consumer"], registry=self.registry
        )
        self._batch_seconds = Histogram(
            "feedback_batch_seconds",
            "Seconds from a batch's reading to its commit",
            ["consumer"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._outcomes = Counter(
            "feedback_outcomes_total",
            "Assessments by what became of them; the reason is set for dead letters",
            ["outcome", "reason"],
            registry=self.registry,
        )
        self._parked = Counter(
            "feedback_parked_total",
            "Records parked in a retry topic, by why and for how many seconds",
            ["reason", "delay"],
            registry=self.registry,
        )
        self._chats = Counter(
            "feedback_chats_total", "Chat events by what became of them", ["outcome"], registry=self.registry
        )
        self._stage_seconds = Histogram(
            "feedback_stage_seconds",
            "Seconds of one stage of one batch",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._stage_items = Counter(
            "feedback_stage_items_total",
            "Items that a stage worked on; of resolve: those whose trace was searched in MLflow",
            ["stage"],
            registry=self.registry,
        )
        self._away = Gauge(
            "feedback_dependency_away",
            "1 while a dependency gives no answer",
            ["dependency"],
            registry=self.registry,
        )
        self._loop_age = Gauge(
            "feedback_loop_age_seconds",
            "Seconds for which a loop has shown no life, declared waits excepted",
            ["consumer", "topic"],
            registry=self.registry,
        )
        self._lag = Gauge(
            "feedback_lag_records",
            "Records in the partitions of this process that it has not read yet",
            ["consumer", "topic"],
            registry=self.registry,
        )
        # For process_start_time_seconds, which tells restarts, and the memory.
        ProcessCollector(registry=self.registry)
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Show from the first scrape on what alerts count: an increase from nothing is not seen."""
        for reason in get_args(DeadReason):
            self._outcomes.labels("dead-lettered", reason)
        for outcome in ("indexed", "dead-lettered"):
            self._chats.labels(outcome)
        for dependency in get_args(Dependency):
            self._away.labels(dependency)

    def batch(self, consumer: str, records: int, seconds: float) -> None:
        """Count a settled batch."""
        self._records.labels(consumer).inc(records)
        self._batch_seconds.labels(consumer).observe(seconds)

    def outcome(self, outcome: str, reason: str, count: int) -> None:
        """Count what became of assessments."""
        self._outcomes.labels(outcome, reason).inc(count)

    def parked(self, reason: ParkReason, seconds: float) -> None:
        """Count a record that is parked."""
        self._parked.labels(reason, f"{seconds:g}").inc()

    def chats(self, *, indexed: int, dead: int) -> None:
        """Count chat events."""
        self._chats.labels("indexed").inc(indexed)
        self._chats.labels("dead-lettered").inc(dead)

    def stage(self, stage: Stage, seconds: float, items: int) -> None:
        """Measure one stage of one batch."""
        self._stage_seconds.labels(stage).observe(seconds)
        self._stage_items.labels(stage).inc(items)

    def away(self, dependency: Dependency, *, is_away: bool) -> None:
        """Tell that a dependency gives no answer, or answers again."""
        self._away.labels(dependency).set(int(is_away))

    def loop(self, consumer: str, topic: str, *, age: float, lag: int) -> None:
        """Tell for how long a loop has shown no life, and how many records its partitions hold unread."""
        self._loop_age.labels(consumer, topic).set(age)
        self._lag.labels(consumer, topic).set(lag)

    def asgi(self) -> ASGIApp:
        """Give the ASGI app of ``/metrics``."""
        app: ASGIApp = make_asgi_app(self.registry)
        return app
