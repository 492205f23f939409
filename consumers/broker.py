"""FastStream's broker, with our consumer in it and a start that waits for what is away."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Final

import structlog
from aiokafka import ConsumerRecord
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaAckableMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber

from consumers.driver import Driver, described
from consumers.lenient import CHUNK_BYTES, RawRecord
from consumers.parked import ParkedDriver
from consumers.steady import SteadyConsumer
from consumers.waiting import WaitingConsumer
from consumers.watchdog import Lane, Loop
from contracts.kafka import KafkaSettings
from pipeline.patience import Patience, StoppedError

log = structlog.get_logger(__name__)

_A_DAY_MS: Final = 24 * 3600 * 1000
_HEARTBEATS: Final = 3
"""Heartbeats within a session: Kafka's own advice."""
_METADATA_MS: Final = 15_000
"""How soon new partitions are seen; a request to one broker each time."""
_FETCH_BYTES: Final = 8 * 1024 * 1024


class PipelineBroker(KafkaBroker):
    """A broker that only consumes; receipts and dead letters have a producer of their own.

    Args:
        kafka: how to reach Kafka.
        patience: told where Kafka refuses us.
        before_start: awaited before any subscriber starts; waits until what they need is there.
        fail: called with an error that keeps the subscribers from starting.
        session_timeout_ms: a consumer that Kafka does not hear of for so long loses its partitions.
        shutdown_seconds: how long a batch under way may take to end when told to stop.

    """

    def __init__(  # noqa: PLR0913 - a constructor of the composition root
        self,
        kafka: KafkaSettings,
        patience: Patience,
        *,
        before_start: Callable[[], Awaitable[None]],
        fail: Callable[[BaseException], None],
        session_timeout_ms: int,
        shutdown_seconds: float,
    ) -> None:
        super().__init__(
            kafka.bootstrap_servers,
            client_id=kafka.client_id,
            consumer_only=True,
            allow_auto_create_topics=False,
            graceful_timeout=None,  # `stop` waits, for all lanes together
            apply_types=False,
            logger=logging.getLogger("faststream"),
        )
        self._kafka = kafka
        self._patience = patience
        self._before_start = before_start
        self._fail = fail
        self._session_timeout_ms = session_timeout_ms
        self._shutdown_seconds = shutdown_seconds
        self._may_read = asyncio.Event()
        self._under_way: set[asyncio.Future[None]] = set()
        self.started = False
        self._has_failed = False
        self._added: list[tuple[str, str, str, BatchSubscriber]] = []

    def loops(self) -> list[Loop]:
        """Give the loops that run now."""
        lanes = Counter((name, topic) for name, _, topic, _ in self._added)
        counted: Counter[tuple[str, str]] = Counter()
        loops = []
        for name, group, topic, subscriber in self._added:
            counted[name, topic] += 1
            if subscriber.running and isinstance(subscriber.consumer, SteadyConsumer):
                lane = Lane(counted[name, topic], lanes[name, topic])
                loops.append(Loop(name, group, topic, subscriber.consumer, lane))
        return loops

    async def start(self) -> None:
        """Start all subscribers, once what they need is there; none reads before all have joined.

        Each that joins a group moves the partitions of the others: what they were reading would come again.
        """
        try:
            await self._before_start()
            await self.connect()
            await asyncio.gather(*(subscriber.start() for *_, subscriber in self._added))
            self.running = True
        except StoppedError:
            return
        except Exception as error:
            log.critical("start_failed", **described(error))
            self._fail(error)
            raise
        self._may_read.set()
        self.started = True

    async def stop(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """Let all batches under way end, then leave the groups: who leaves moves the others' partitions."""
        for *_, subscriber in self._added:
            subscriber.running = False
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=self._shutdown_seconds)
        await super().stop(exc_type, exc_val, exc_tb)

    @contextmanager
    def _batch(self) -> Iterator[None]:
        ended = asyncio.get_running_loop().create_future()
        self._under_way.add(ended)
        try:
            yield
        finally:
            self._under_way.discard(ended)
            ended.set_result(None)

    async def _connect(self) -> Callable[..., Any]:
        await super()._connect()
        options = self._kafka.options()
        del options["client_id"]
        builder = partial(
            WaitingConsumer,
            kafka=self._kafka,
            patience=self._patience,
            may_read=self._may_read,
            metadata_max_age_ms=_METADATA_MS,
            **options,
        )
        self.config.broker_config.builder = builder
        return builder

    def add(
        self, driver: Driver | ParkedDriver, topic: str, group: str, *, max_records: int, poll_ms: int
    ) -> None:
        """Subscribe a driver to a topic, batch by batch, raw, with explicit commits."""
        subscriber = self.subscriber(
            topic,
            group_id=group,
            batch=True,
            max_records=max_records,
            batch_timeout_ms=poll_ms,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            # A batch may wait for MLflow as long as it takes; heartbeats go on in the background.
            max_poll_interval_ms=_A_DAY_MS,
            session_timeout_ms=self._session_timeout_ms,
            heartbeat_interval_ms=self._session_timeout_ms // _HEARTBEATS,
            fetch_max_bytes=_FETCH_BYTES,
            max_partition_fetch_bytes=CHUNK_BYTES,
            parser=parse_raw,
            decoder=decode_raw,
            title=driver.name,
        )
        self._added.append((driver.name, group, topic, subscriber))

        @subscriber
        async def handle(batch: tuple[RawRecord, ...]) -> None:
            consumer = subscriber.consumer
            if not isinstance(consumer, SteadyConsumer) or self._has_failed:
                return
            try:
                with self._batch():
                    await driver.handle(batch, consumer)
            except Exception as error:  # noqa: BLE001 - FastStream would swallow it, and a later commit pass it
                self._has_failed = True
                log.critical("consumer_failed", consumer=driver.name, **described(error))
                self._fail(error)


async def parse_raw(batch: tuple[ConsumerRecord[Any, Any], ...]) -> KafkaAckableMessage:
    """Wrap a batch without touching it: FastStream's parser fails all of it on one bad header."""
    return KafkaAckableMessage(body=b"", headers={}, raw_message=batch, consumer=FAKE_CONSUMER)


async def decode_raw(message: KafkaAckableMessage) -> object:
    """Give the raw records themselves."""
    return message.raw_message
