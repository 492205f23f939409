"""An aiokafka consumer that hostile records cannot stop, and that knows which assignment it reads in."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from consumers.lenient import RawRecord, fetch_past_hostile
from consumers.pulse import Progress, Pulse
from pipeline.patience import WATCHED

log = structlog.get_logger(__name__)

COMMIT_SECONDS: Final = 15
"""``commit()`` retries without limit by itself."""


class SteadyConsumer(AIOKafkaConsumer):
    """Reads batches; ``epoch`` counts assignments, ``read_in`` is the one that the last batch was read in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - aiokafka's own
        super().__init__(*args, **kwargs)
        self.epoch = 0
        self.read_in = 0
        self.pulse = Pulse()
        self._next: dict[TopicPartition, int] = {}

    def subscribe(
        self,
        topics: Collection[str] = (),
        pattern: str | None = None,
        listener: ConsumerRebalanceListener | None = None,
    ) -> None:
        """Subscribe, counting the assignments."""
        super().subscribe(topics=topics, pattern=pattern, listener=_EpochListener(self, listener))

    def reassigned(self) -> None:
        """Note that a new assignment begins: what was read before may no longer be committed."""
        self.epoch += 1
        self._next.clear()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from an offset, also when a hostile record makes us begin again."""
        super().seek(partition, offset)
        self._next[partition] = offset

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[RawRecord]]:
        """Read a batch; a record that aiokafka cannot decode comes with its header keys surrogate-escaped."""
        WATCHED.set(self.pulse)
        self.pulse.reads()
        try:
            batch = await super().getmany(*partitions, timeout_ms=timeout_ms, max_records=max_records)
        except UnicodeDecodeError:
            batch = await self._read_hostile(max_records)
        self.read_in = self.epoch
        for partition, records in batch.items():
            self._next[partition] = records[-1].offset + 1
        self.pulse.has_read()
        return batch

    def progress(self) -> dict[TopicPartition, Progress]:
        """Give how far each partition was read; nothing while they are assigned anew."""
        subscription = self._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        if assignment is None or not assignment.active:
            return {}
        states = {partition: assignment.state_value(partition) for partition in assignment.tps}
        return {
            partition: Progress(
                state.position if state.has_valid_position else None, state.lso, state.timestamp
            )
            for partition, state in states.items()
            if not state.paused
        }

    async def _read_hostile(self, max_records: int | None) -> dict[TopicPartition, list[RawRecord]]:
        """Rewind to what was handed out last, then read the partition with the hostile record ourselves."""
        for partition in self.assignment():
            await self._rewind(partition)
        for partition in self.assignment():
            position = await self.position(partition)
            records = (await fetch_past_hostile(self._client, partition, position))[:max_records]
            if records:
                last = records[-1].offset
                log.warning(
                    "hostile_record_read", topic=partition.topic, partition=partition.partition, offset=last
                )
                self.seek(partition, last + 1)
                return {partition: records}
        return {}

    async def _rewind(self, partition: TopicPartition) -> None:
        offset = self._next.get(partition)
        if offset is None:
            offset = await self.committed(partition)
        if offset is None:
            await self.seek_to_beginning(partition)
        else:
            self.seek(partition, offset)

    async def commit_batch(self, offsets: Mapping[TopicPartition, int], *, read_in: int) -> bool:
        """Commit, if the assignment is still the one that the batch was read in.

        Args:
            offsets: by partition, the offset of the next record to read.
            read_in: the epoch that the batch was read in.

        Returns:
            whether it was committed; if not, the records will come again, to us or to another.

        """
        if read_in != self.epoch:
            log.info("commit_skipped", why="the partitions were assigned anew")
            return False
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await self.commit(dict(offsets))
        except (KafkaError, TimeoutError) as error:
            log.warning("commit_failed", error=type(error).__name__)
            return False
        return True


class _EpochListener(ConsumerRebalanceListener):
    """Counts assignments, then tells the listener that was given."""

    def __init__(self, consumer: SteadyConsumer, inner: ConsumerRebalanceListener | None) -> None:
        self._consumer = consumer
        self._inner = inner

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self._consumer.reassigned()
        if self._inner is not None:
            await _maybe(self._inner.on_partitions_revoked(revoked))

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._consumer.reassigned()
        if self._inner is not None:
            await _maybe(self._inner.on_partitions_assigned(assigned))


async def _maybe(result: Any) -> None:  # noqa: ANN401 - a listener may be sync or async
    if asyncio.iscoroutine(result):
        await result
