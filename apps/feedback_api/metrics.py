"""What the feedback routes count."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, make_asgi_app
from starlette.types import ASGIApp

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class ApiMetrics:
    """The metrics of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "feedback_api_requests_total",
            "Requests to the feedback routes, by route and status",
            ["route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "feedback_api_request_seconds",
            "Seconds of a request to a feedback route, waiting for receipts included",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._events = Counter(
            "feedback_api_events_total", "Events that Kafka has acknowledged", registry=self.registry
        )
        ProcessCollector(registry=self.registry)

    def streams(self, count: Callable[[], int]) -> None:
        """Show how many streams there are."""
        gauge = Gauge(
            "feedback_chat_streams", "Streams under way, or kept for who comes back", registry=self.registry
        )
        gauge.set_function(count)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def published(self, events: int) -> None:
        """Count events."""
        self._events.inc(events)

    def asgi(self) -> ASGIApp:
        """Give the ASGI app of ``/metrics``."""
        app: ASGIApp = make_asgi_app(self.registry)
        return app
