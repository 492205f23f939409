"""One consumer process: the broker, health and metrics over HTTP, and a clean end."""

import asyncio
import gc
import signal
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import mlflow
import structlog
import uvicorn
from faststream.asgi import AsgiFastStream, AsgiResponse, get
from pydantic_core import to_json

from consumers.bootstrap import ConsumerName, Runtime, WholeSink, build
from consumers.driver import described
from consumers.kafka_answers import kafka_answers
from consumers.settings import Settings
from consumers.watchdog import LoopGuard, Watchdog

log = structlog.get_logger(__name__)

_GARBAGE: Final = 50_000
"""Objects that are made before the youngest are looked at; Python's own number is 700."""

_ENDING_SECONDS: Final = 15
"""For all that comes after the last batch."""


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn would raise them again after a clean end, and turn it into a failure."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ConsumerEndedError(RuntimeError):
    """A consumer ended by an error; the log says where."""


async def serve(
    settings: Settings, names: Collection[ConsumerName], *, sink: WholeSink | None = None
) -> None:
    """Run consumers until SIGTERM or SIGINT, which ends the batch under way and commits it.

    Args:
        settings: all settings.
        names: which consumers to run.
        sink: in the place of MLflow's, for a benchmark.

    Raises:
        ConsumerEndedError: when an error made a consumer end.

    """
    failures: list[BaseException] = []
    server: _Server | None = None
    guard = LoopGuard(settings.stall_seconds)

    def fail(error: BaseException) -> None:
        failures.append(error)
        guard.end_within(settings.shutdown_seconds + _ENDING_SECONDS)
        stop()

    def stop() -> None:
        if server is not None:
            server.should_exit = True

    mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
    runtime = build(settings, names, fail=fail, sink=sink)
    watchdog = _watchdog(runtime, fail)
    app = _app(runtime, watchdog)
    config = uvicorn.Config(
        app, host=settings.http_host, port=settings.http_port, log_config=None, access_log=False
    )
    server = _Server(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    log.info("starting", consumers=sorted(names), kafka=settings.kafka.bootstrap_servers)
    _settle_garbage()
    guard.start()
    watching = asyncio.create_task(_or_fail(watchdog.run(), fail))
    try:
        await server.serve()
    except SystemExit:
        place = f"{settings.http_host}:{settings.http_port}"
        msg = f"nothing can listen on {place} (it may be in use); set FEEDBACK_HTTP_PORT, 0 takes a free one"
        raise ConsumerEndedError(msg) from None
    finally:
        watching.cancel()
        await runtime.close()
    log.info("stopped", consumers=sorted(names))
    if not failures:
        guard.close()
    else:
        msg = f"a consumer ended: {type(failures[0]).__name__}; the log says where"
        raise ConsumerEndedError(msg) from failures[0]


def _settle_garbage() -> None:
    """Have the garbage collector look less often, and never at what lives as long as the process.

    A batch makes tens of thousands of objects, nearly all of which go by their reference counts alone.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE, 20, 50)


def _watchdog(runtime: Runtime, fail: Callable[[BaseException], None]) -> Watchdog:
    return Watchdog(
        runtime.broker.loops,
        seconds=runtime.settings.stall_seconds,
        answers=partial(kafka_answers, runtime.settings.kafka),
        patience=runtime.patience,
        gauges=runtime.metrics,
        fail=fail,
    )


async def _or_fail(work: Coroutine[object, object, None], fail: Callable[[BaseException], None]) -> None:
    """Await what nobody waits for: without it the process must not go on."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - a bug, whatever it is
        log.critical("consumer_failed", consumer="watchdog", **described(error))
        fail(error)


def _app(runtime: Runtime, watchdog: Watchdog) -> AsgiFastStream:
    @get
    async def healthz(_scope: object) -> AsgiResponse:
        """Tell whether the process works: 200, or 500 when a consumer has ended or stands still."""
        ended = sorted({driver.name for driver in runtime.drivers if driver.ended})
        body = {"ended": ended, "stalled": watchdog.stalled}
        return _json(body, 500 if any(body.values()) else 200)

    @get
    async def readyz(_scope: object) -> AsgiResponse:
        """Tell whether work goes on: 200, or 503 with what is away."""
        away = dict(runtime.patience.away)
        ready = runtime.broker.started and not away
        return _json({"ready": ready, "away": away}, 200 if ready else 503)

    return AsgiFastStream(
        runtime.broker,
        asgi_routes=[("/healthz", healthz), ("/readyz", readyz), ("/metrics", runtime.metrics.asgi())],
        on_shutdown=[runtime.patience.stop],
    )


def _json(body: object, status: int) -> AsgiResponse:
    return AsgiResponse(to_json(body), status, {"content-type": "application/json"})
