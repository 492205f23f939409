"""Which assignment a batch was read in, and when it may be committed; no broker needed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Any

import pytest
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaConnectionError, KafkaError
from structlog.testing import capture_logs

from consumers import steady
from consumers.steady import SteadyConsumer

P0 = TopicPartition("t", 0)


class Committing(SteadyConsumer):
    """A consumer whose commit does what the test says."""

    def __init__(self) -> None:
        super().__init__(group_id="g", enable_auto_commit=False)
        self.committed_offsets: list[dict[TopicPartition, int]] = []
        self.answer: Callable[[], Awaitable[None]] = _at_once

    async def commit(self, offsets: Any = None) -> None:
        await self.answer()
        self.committed_offsets.append(offsets)


async def _at_once() -> None:
    pass


@pytest.fixture
async def consumer() -> AsyncIterator[Committing]:
    consumer = Committing()
    yield consumer
    await consumer.stop()  # type: ignore[no-untyped-call]


class Told(ConsumerRebalanceListener):
    """A listener with one callback that waits and one that does not, as aiokafka allows."""

    def __init__(self, consumer: SteadyConsumer) -> None:
        self.told: list[tuple[str, int]] = []
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self.told.append((f"revoked {len(revoked)}", self._consumer.epoch))

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self.told.append((f"assigned {len(assigned)}", self._consumer.epoch))


def listener_of(consumer: SteadyConsumer) -> ConsumerRebalanceListener:
    return consumer._subscription.listener


async def test_each_rebalance_begins_new_epochs_before_anyone_else_is_told(consumer: Committing) -> None:
    inner = Told(consumer)
    consumer.subscribe(["t"], listener=inner)
    await listener_of(consumer).on_partitions_revoked([P0])
    await listener_of(consumer).on_partitions_assigned([P0, TopicPartition("t", 1)])
    assert inner.told == [("revoked 1", 1), ("assigned 2", 2)]


async def test_epochs_are_counted_without_a_listener(consumer: Committing) -> None:
    consumer.subscribe(["t"])
    await listener_of(consumer).on_partitions_revoked([])
    await listener_of(consumer).on_partitions_assigned([])
    assert consumer.epoch == 2


async def test_a_batch_is_committed_in_its_epoch(consumer: Committing) -> None:
    assert await consumer.commit_batch({P0: 5}, read_in=0)
    assert consumer.committed_offsets == [{P0: 5}]


async def test_a_batch_of_an_older_assignment_is_not_committed(consumer: Committing) -> None:
    consumer.reassigned()
    with capture_logs() as logs:
        assert not await consumer.commit_batch({P0: 5}, read_in=0)
    assert consumer.committed_offsets == []
    assert [line["event"] for line in logs] == ["commit_skipped"]


async def test_the_same_partition_again_is_another_assignment(consumer: Committing) -> None:
    """Lost and got back: somebody else may have committed further meanwhile."""
    consumer.subscribe(["t"])
    for _ in range(2):
        await listener_of(consumer).on_partitions_revoked([P0])
        await listener_of(consumer).on_partitions_assigned([P0])
        read_in = consumer.epoch
    assert not await consumer.commit_batch({P0: 5}, read_in=read_in - 2)
    assert await consumer.commit_batch({P0: 7}, read_in=read_in)
    assert consumer.committed_offsets == [{P0: 7}]


@pytest.mark.parametrize(
    "error", [CommitFailedError(), KafkaConnectionError(), IllegalStateError("not assigned")]
)
async def test_a_commit_that_kafka_refuses_is_told_and_no_error(
    error: KafkaError, consumer: Committing
) -> None:
    async def refuse() -> None:
        raise error

    consumer.answer = refuse
    with capture_logs() as logs:
        assert not await consumer.commit_batch({P0: 5}, read_in=0)
    assert [(line["event"], line["error"]) for line in logs] == [("commit_failed", type(error).__name__)]


async def test_a_commit_that_hangs_is_given_up(consumer: Committing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "COMMIT_SECONDS", 0.05)
    consumer.answer = asyncio.Event().wait  # type: ignore[assignment]  # it waits for ever
    with capture_logs() as logs:
        assert not await consumer.commit_batch({P0: 5}, read_in=0)
    assert [(line["event"], line["error"]) for line in logs] == [("commit_failed", "TimeoutError")]
    assert consumer.committed_offsets == []


async def test_an_error_that_is_not_kafkas_is_not_hidden(consumer: Committing) -> None:
    async def fall_over() -> None:
        raise KeyError

    consumer.answer = fall_over
    with pytest.raises(KeyError):
        await consumer.commit_batch({P0: 5}, read_in=0)


async def test_a_consumer_without_partitions_has_no_progress(consumer: Committing) -> None:
    assert consumer.progress() == {}
    consumer.subscribe(["t"])
    assert consumer.progress() == {}


async def test_a_partition_that_was_never_read_has_no_position() -> None:
    consumer = SteadyConsumer()
    consumer.assign([P0])  # type: ignore[no-untyped-call]
    assert consumer.progress() == {P0: (None, None, None)}
    await consumer.stop()  # type: ignore[no-untyped-call]
