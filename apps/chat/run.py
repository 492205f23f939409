"""Everything that the sample traffic is made of, from one `Settings`."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import mlflow
import structlog
from aiokafka import AIOKafkaProducer
from mlflow.exceptions import MlflowException

from apps.chat.service import ChatService
from apps.chat.traffic import Traffic
from consumers.settings import Settings
from contracts.publisher import FeedbackPublisher
from pipeline.adapters.mlflow_client import finding, send

_EXPORT_MILLIS: Final = "500"
_EXPORT_QUEUE: Final = "10000"
_AGAIN_SECONDS: Final = 1
_PROBE_SECONDS: Final = 5

log = structlog.get_logger(__name__)


def use_experiment(settings: Settings) -> str:
    """Have traces go to the first of the experiments, which is made where it is missing; gives its id."""
    # Feedback comes a second after the answer: MLflow's five would have it wait for its trace.
    os.environ.setdefault("MLFLOW_ASYNC_TRACE_LOGGING_MAX_INTERVAL_MILLIS", _EXPORT_MILLIS)
    # What finds no place there is thrown away: MLflow takes some 20 traces a second, people come in bursts.
    os.environ.setdefault("MLFLOW_ASYNC_TRACE_LOGGING_MAX_QUEUE_SIZE", _EXPORT_QUEUE)
    experiment = settings.mlflow_experiments[0]
    mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
    if experiment.isdigit():
        return str(mlflow.set_experiment(experiment_id=experiment).experiment_id)
    return str(mlflow.set_experiment(experiment).experiment_id)


class StoppedError(RuntimeError):
    """The process was told to end before it had begun."""


async def wait_for_experiment(settings: Settings, stopping: asyncio.Event) -> str:
    """Do so once MLflow answers; who starts before it waits, and says so.

    Raises:
        StoppedError: when it should wait no more.

    """
    mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
    while not stopping.is_set():
        try:
            # Without the client's own retries, which would be silent for minutes.
            await asyncio.to_thread(send, "GET", "/health", max_retries=0, timeout=_PROBE_SECONDS)
            return await asyncio.to_thread(use_experiment, settings)
        except MlflowException as error:
            if finding(error) in {"missing", "refused"}:
                raise
            log.warning("mlflow_away", error=type(error).__name__)
            await asyncio.sleep(_AGAIN_SECONDS)
    msg = "told to end before MLflow has answered"
    raise StoppedError(msg)


@asynccontextmanager
async def traffic_into(settings: Settings, *, seed: int) -> AsyncIterator[Traffic]:
    """Connect the sample service and its users; its traces go to the first of the experiments."""
    await asyncio.to_thread(use_experiment, settings)
    raw = AIOKafkaProducer(**settings.kafka.options(), acks="all", enable_idempotence=True)
    await raw.start()
    try:
        async with FeedbackPublisher(settings.kafka, settings.topics, source="sample-chat") as publisher:
            yield Traffic(ChatService(publisher), publisher, raw, settings.topics, seed)
    finally:
        await raw.stop()
        mlflow.flush_trace_async_logging()
