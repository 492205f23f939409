"""The composition root: everything that a consumer process is made of, from one `Settings`."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol, get_args

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from consumers.broker import PipelineBroker
from consumers.driver import Driver
from consumers.outbox import KafkaOutbox
from consumers.parked import ParkedDriver, parked_record_of
from consumers.prometheus import PrometheusMetrics
from consumers.redaction import make_redaction
from consumers.settings import Settings
from contracts.kafka import KafkaSettings
from contracts.kafka_refusals import Operation, no_right
from pipeline.adapters.mlflow_batch import MlflowBatchSink, say_sink
from pipeline.adapters.mlflow_batch_traces import MlflowBatchTraces
from pipeline.adapters.mlflow_client import MlflowThreads, configure_mlflow
from pipeline.adapters.mlflow_elsewhere import SeekingSink
from pipeline.adapters.mlflow_rest import MlflowRestSink
from pipeline.adapters.mlflow_rights import TellingSink
from pipeline.adapters.mlflow_traces import MlflowTraces
from pipeline.adapters.postgres import Pool, apply_schema, make_pool
from pipeline.adapters.postgres_chats import PostgresChats
from pipeline.adapters.postgres_feedback import PostgresFeedback
from pipeline.chat_pipeline import ChatPipeline
from pipeline.feedback_pipeline import FeedbackPipeline, Ports
from pipeline.outcomes import DependencyAwayError
from pipeline.patience import Patience
from pipeline.ports import FencedSink, Sink
from pipeline.redaction import NO_REDACTION

ConsumerName = Literal["chats", "feedback", "retries"]
ALL: Final[tuple[ConsumerName, ...]] = get_args(ConsumerName)

CHATS_GROUP = "feedback-chats"
FEEDBACK_GROUP = "feedback-logger"
RETRIES_GROUP = "feedback-retries"


class WholeSink(Sink, FencedSink, Protocol):
    """All that the pipeline can ask of a sink."""


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
    drivers: tuple[Driver | ParkedDriver, ...]

    async def close(self) -> None:
        """Release what the process holds, after the last batch."""
        await self.outbox.stop()
        await self.pool.close()
        self.threads.close()


def build(
    settings: Settings,
    names: Collection[ConsumerName],
    *,
    fail: Callable[[BaseException], None],
    sink: WholeSink | None = None,
) -> Runtime:
    """Build the consumers of one process, nothing started yet.

    Args:
        settings: all settings.
        names: which consumers to run in this process.
        fail: called with the error that must end the process.
        sink: in the place of MLflow's, for a benchmark.

    """
    configure_mlflow(concurrency=settings.mlflow_concurrency)
    metrics = PrometheusMetrics()
    patience = Patience(metrics)
    pool = make_pool(
        settings.database_url.get_secret_value(), settings.database_schema, size=settings.database_pool_size
    )
    redaction = make_redaction(settings)
    outbox = KafkaOutbox(
        settings.kafka, settings.topics, patience, redaction if settings.dead_letter_redact else NO_REDACTION
    )
    threads = MlflowThreads(settings.mlflow_concurrency)

    rest = MlflowRestSink(threads)
    traces = MlflowTraces(settings.mlflow_experiments, threads)
    is_bulk = settings.mlflow_sink == "auto" and sink is None
    bulk = MlflowBatchSink(SeekingSink(rest, traces), threads) if is_bulk else None

    async def wait_for_dependencies() -> None:
        await pool.open()
        await patience.call(lambda: apply_schema(pool, settings.database_schema))
        await patience.call(lambda: _check_topics(outbox, settings, names))
        if sink is None and bulk is None:
            say_sink(None)
        if bulk is not None:
            await bulk.plugin()  # says which it is; without MLflow that is known with the first write

    broker = PipelineBroker(
        settings.kafka,
        patience,
        before_start=wait_for_dependencies,
        fail=fail,
        session_timeout_ms=settings.kafka_session_timeout_ms,
        shutdown_seconds=settings.shutdown_seconds,
    )
    chats = PostgresChats(pool)
    ports = Ports(
        chats=chats,
        feedback=PostgresFeedback(pool, lifetime=settings.retries.lifetime),
        traces=MlflowBatchTraces(traces, bulk, threads) if bulk else traces,
        sink=TellingSink(sink or bulk or rest, traces),
        outbox=outbox,
        redaction=redaction,
        fenced=sink or bulk,
    )
    feedback = FeedbackPipeline(ports, patience, metrics, settings.retries)
    chats_run = ChatPipeline(chats, outbox, patience, metrics).run
    delays = {topic: delay for delay, topic in settings.topics.retries.items()}

    def driver_of(read: Read) -> Driver | ParkedDriver:
        if read.topic not in delays:
            return Driver(read.name, chats_run if read.name == "chats" else feedback.run, metrics, fail)
        driver = Driver(read.name, feedback.run, metrics, fail, read=parked_record_of)
        return ParkedDriver(driver, delays[read.topic], patience)

    drivers = _subscribe(broker, settings, names, driver_of)
    return Runtime(settings, broker, patience, metrics, outbox, pool, threads, drivers)


def _subscribe(
    broker: PipelineBroker,
    settings: Settings,
    names: Collection[ConsumerName],
    driver_of: "Callable[[Read], Driver | ParkedDriver]",
) -> tuple[Driver | ParkedDriver, ...]:
    """Subscribe a driver of its own for each lane of each topic."""
    drivers = []
    for read in (read for read in reads(settings) if read.name in names):
        # What is parked is waited for in the order of its due times.
        for _ in range(1 if read.topic in settings.topics.retries.values() else settings.lanes):
            drivers.append(driver_of(read))
            broker.add(
                drivers[-1],
                read.topic,
                read.group,
                max_records=settings.batch_max_records,
                poll_ms=settings.poll_ms,
            )
    return tuple(drivers)


class Read(NamedTuple):
    """A topic that a consumer reads, and its group."""

    name: ConsumerName
    group: str
    topic: str


def reads(settings: Settings) -> list[Read]:
    """Give which consumer reads which topic; one subscriber each."""
    topics = settings.topics
    return [
        Read("chats", settings.group(CHATS_GROUP), topics.chat_completed),
        Read("feedback", settings.group(FEEDBACK_GROUP), topics.feedback_submitted),
        *(Read("retries", settings.group(RETRIES_GROUP), topic) for topic in topics.retries.values()),
    ]


def topics_of(names: Collection[ConsumerName], settings: Settings) -> dict[str, Operation]:
    """Give the topics that consumers need, and what for: rights to others are not asked for."""
    topics = settings.topics
    needed: dict[str, Operation] = {topics.dead_letter: "Write"}
    if {"feedback", "retries"} & set(names):
        needed |= dict.fromkeys([topics.feedback_logged, *topics.retries.values()], "Write")
    return needed | dict.fromkeys([read.topic for read in reads(settings) if read.name in names], "Read")


async def _check_topics(outbox: KafkaOutbox, settings: Settings, names: Collection[ConsumerName]) -> None:
    """Wait for the topics: a consumer of a topic that does not exist would just be silent."""
    needed = topics_of(names, settings)
    producer: AIOKafkaProducer = await outbox.start()
    client = producer.client
    try:
        answer: Any = await client.send(client.get_random_node(), MetadataRequest([*needed], False))  # noqa: FBT003
    except KafkaError as error:
        raise DependencyAwayError("kafka", type(error).__name__) from error
    wrong = [_wrong(settings.kafka, topic, needed[topic], code) for code, topic, *_ in answer.topics if code]
    if wrong:
        raise DependencyAwayError("kafka", "; ".join(wrong))


def _wrong(kafka: KafkaSettings, topic: str, operation: Operation, code: int) -> str:
    error = for_code(code)
    if error is TopicAuthorizationFailedError:
        return no_right(kafka, f"topic {topic!r}", operation)
    if error is UnknownTopicOrPartitionError:
        return f"no topic {topic}; create it with: feedback topics create"
    return f"topic {topic}: {error.__name__}"
