"""The composition root: everything that a consumer process is made of, from one `Settings`."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from consumers.broker import PipelineBroker
from consumers.driver import Driver
from consumers.outbox import KafkaOutbox
from consumers.prometheus import PrometheusMetrics
from consumers.settings import Settings
from pipeline.adapters.mlflow_client import MlflowThreads, configure_mlflow
from pipeline.adapters.mlflow_rest import MlflowRestSink
from pipeline.adapters.mlflow_traces import MlflowTraces
from pipeline.adapters.postgres import Pool, apply_schema, make_pool
from pipeline.adapters.postgres_chats import PostgresChats
from pipeline.adapters.postgres_feedback import PostgresFeedback
from pipeline.chat_pipeline import ChatPipeline
from pipeline.feedback_pipeline import FeedbackPipeline, Ports
from pipeline.outcomes import DependencyAwayError
from pipeline.patience import Patience

ConsumerName = Literal["chats", "feedback"]

CHATS_GROUP = "feedback-chats"
FEEDBACK_GROUP = "feedback-logger"


@dataclass(frozen=True, slots=True)
class Runtime:
    """What runs in one process."""

    settings: Settings
    broker: PipelineBroker
    patience: Patience
    metrics: PrometheusMetrics
    outbox: KafkaOutbox
    pool: Pool
    threads: MlflowThreads
    drivers: tuple[Driver, ...]

    async def close(self) -> None:
        """Release what the process holds, after the last batch."""
        await self.outbox.stop()
        await self.pool.close()
        self.threads.close()


def build(
    settings: Settings, names: Collection[ConsumerName], *, fail: Callable[[BaseException], None]
) -> Runtime:
    """Build the consumers of one process, nothing started yet.

    Args:
        settings: all settings.
        names: which consumers to run in this process.
        fail: called with the error that must end the process.

    """
    configure_mlflow(concurrency=settings.mlflow_concurrency)
    metrics = PrometheusMetrics()
    patience = Patience(metrics)
    pool = make_pool(
        settings.database_url.get_secret_value(), settings.database_schema, size=settings.database_pool_size
    )
    outbox = KafkaOutbox(settings.kafka, settings.topics, patience)
    threads = MlflowThreads(settings.mlflow_concurrency)

    async def wait_for_dependencies() -> None:
        await pool.open()
        await patience.call(lambda: apply_schema(pool, settings.database_schema))
        await patience.call(lambda: _check_topics(outbox, settings))

    broker = PipelineBroker(
        settings.kafka,
        before_start=wait_for_dependencies,
        fail=fail,
        shutdown_seconds=settings.shutdown_seconds,
    )
    chats = PostgresChats(pool)
    ports = Ports(
        chats=chats,
        feedback=PostgresFeedback(pool),
        traces=MlflowTraces(settings.mlflow_experiments, threads),
        sink=MlflowRestSink(threads),
        outbox=outbox,
    )
    runs = {
        "chats": ChatPipeline(chats, outbox, patience, metrics).run,
        "feedback": FeedbackPipeline(ports, patience, metrics, settings.retries).run,
    }
    drivers = tuple(Driver(name, runs[name], metrics, fail) for name in names)
    for driver in drivers:
        _subscribe(broker, driver, settings)
    return Runtime(settings, broker, patience, metrics, outbox, pool, threads, drivers)


def _subscribe(broker: PipelineBroker, driver: Driver, settings: Settings) -> None:
    topics = {"chats": settings.topics.chat_completed, "feedback": settings.topics.feedback_submitted}
    groups = {"chats": CHATS_GROUP, "feedback": FEEDBACK_GROUP}
    broker.add(
        driver,
        topics[driver.name],
        settings.group(groups[driver.name]),
        max_records=settings.batch_max_records,
        poll_ms=settings.poll_ms,
    )


async def _check_topics(outbox: KafkaOutbox, settings: Settings) -> None:
    """Wait for the topics: a consumer of a topic that does not exist would just be silent."""
    producer: AIOKafkaProducer = await outbox.start()
    try:
        cluster = await producer.client.fetch_all_metadata()
    except KafkaError as error:
        raise DependencyAwayError("kafka", type(error).__name__) from error
    missing = [spec.name for spec in settings.topics.specs() if spec.name not in cluster.topics()]
    if missing:
        detail = f"no topic {', '.join(missing)}; create it with: feedback topics create"
        raise DependencyAwayError("kafka", detail)
