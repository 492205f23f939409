"""A broker that says nothing, or moves the partitions: what is committed, and what is waited for."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from support.samples import NOON, a_version
from support.waiting import wait_until

from consumers import outbox, steady
from consumers.lenient import RawRecord
from consumers.outbox import KafkaOutbox
from consumers.settings import Settings
from consumers.steady import SteadyConsumer
from contracts.publisher import FeedbackPublisher
from ops.admin import admin_client
from ops.reading import read_topic
from pipeline.outcomes import Superseded
from pipeline.patience import Patience
from pipeline.settle import receipt_of

Batch = dict[TopicPartition, list[RawRecord]]
COUNT = 30


class Members:
    """Members of one group, in this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.group = settings.group("members")
        self._all: list[SteadyConsumer] = []

    async def join(self) -> SteadyConsumer:
        consumer = SteadyConsumer(
            **self._settings.kafka.options(),
            group_id=self.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            heartbeat_interval_ms=200,
        )
        consumer.subscribe([self._settings.topics.chat_completed])
        await consumer.start()  # type: ignore[no-untyped-call]
        self._all.append(consumer)
        return consumer

    async def committed(self) -> int:
        async with admin_client(self._settings.kafka) as admin:
            found = await admin.list_consumer_group_offsets(self.group)
        return sum(meta.offset for meta in found.values())

    async def leave(self) -> None:
        await asyncio.gather(*(consumer.stop() for consumer in self._all))  # type: ignore[no-untyped-call]


@pytest.fixture
async def members(settings: Settings, publisher: FeedbackPublisher) -> AsyncIterator[Members]:
    for number in range(COUNT):
        await publisher.chat_completed(client_request_id=f"req-{number}")
    members = Members(settings)
    yield members
    await members.leave()


async def read_all(consumer: SteadyConsumer, count: int) -> dict[TopicPartition, int]:
    """Read so many records in one assignment; gives what to commit."""
    offsets: dict[TopicPartition, int] = {}
    seen = 0

    async def is_enough() -> bool:
        nonlocal seen
        batch: Batch = await consumer.getmany(timeout_ms=50)
        seen += sum(map(len, batch.values()))
        offsets.update({partition: records[-1].offset + 1 for partition, records in batch.items()})
        return seen >= count

    await wait_until(is_enough, seconds=20, what=f"{count} records")
    return offsets


async def test_what_was_read_before_a_rebalance_is_not_committed_after_it(members: Members) -> None:
    first = await members.join()
    offsets, read_in = await read_all(first, COUNT), first.read_in
    await members.join()
    await wait_until(lambda: first.epoch > read_in + 1, seconds=20, what="the partitions are assigned anew")
    assert not await first.commit_batch(offsets, read_in=read_in)
    assert await members.committed() == 0
    again = await read_all(first, 1)
    assert await first.commit_batch(again, read_in=first.read_in)
    assert 0 < await members.committed() < COUNT


async def test_progress_says_how_far_each_partition_was_read(members: Members) -> None:
    consumer = await members.join()
    await read_all(consumer, COUNT)
    caught_up = lambda: all(part.end is not None for part in consumer.progress().values())  # noqa: E731
    await wait_until(caught_up, seconds=10, what="each partition was polled")
    found = consumer.progress()
    assert len(found) == 6
    assert sum(part.position or 0 for part in found.values()) == COUNT
    assert sum(part.end or 0 for part in found.values()) == COUNT
    assert sum(part.lag for part in found.values()) == 0


async def test_a_commit_at_a_frozen_broker_is_given_up_and_done_later(
    members: Members, signal_kafka: Callable[[int], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steady, "COMMIT_SECONDS", 1)
    consumer = await members.join()
    offsets = await read_all(consumer, COUNT)
    signal_kafka(signal.SIGSTOP)
    async with asyncio.timeout(3):
        assert not await consumer.commit_batch(offsets, read_in=consumer.read_in)
    signal_kafka(signal.SIGCONT)
    monkeypatch.setattr(steady, "COMMIT_SECONDS", 15)
    assert await consumer.commit_batch(offsets, read_in=consumer.read_in)
    assert await members.committed() == COUNT


async def test_receipts_at_a_frozen_broker_are_waited_for_and_kafka_is_named(
    settings: Settings, signal_kafka: Callable[[int], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_SLOW_SECONDS", 0.2)
    patience = Patience()
    box = KafkaOutbox(settings.kafka, settings.topics, patience)
    await box.start()
    signal_kafka(signal.SIGSTOP)
    receipts = [
        receipt_of(a_version(event_id=uuid4()), Superseded(), None, now=NOON, attempts=1) for _ in "ab"
    ]
    sending = asyncio.ensure_future(box.send(receipts, []))
    await wait_until(lambda: "kafka" in patience.away, seconds=10, what="Kafka is named")
    assert not sending.done()
    signal_kafka(signal.SIGCONT)
    async with asyncio.timeout(20):
        await sending
    assert patience.away == {}
    await box.stop()
    assert len(await read_topic(settings.kafka, settings.topics.feedback_logged)) == len(receipts)
