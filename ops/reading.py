"""Reading topics from outside, without a group: what is there now, from one offset to another."""

from collections.abc import Mapping
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import for_code

from consumers.driver import record_of
from consumers.steady import SteadyConsumer
from contracts.kafka import KafkaSettings
from ops.admin import admin_client
from pipeline.records import Record

_POLL_MS: Final = 500

Offsets = Mapping[TopicPartition, int]


async def end_offsets(kafka: KafkaSettings, topic: str) -> dict[TopicPartition, int]:
    """Give where a topic ends now, by partition."""
    consumer = SteadyConsumer(**kafka.options())
    await consumer.start()
    try:
        return dict(await consumer.end_offsets(await _partitions(kafka, topic)))
    finally:
        await consumer.stop()


async def read_topic(kafka: KafkaSettings, topic: str, start: Offsets | None = None) -> list[Record]:
    """Read a topic from ``start`` (its beginning where not given) to where it ends now."""
    consumer = SteadyConsumer(**kafka.options(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = await _partitions(kafka, topic)
        first = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, max(first[partition], (start or {}).get(partition, 0)))
        records: list[Record] = []
        while [p for p in partitions if await consumer.position(p) < ends[p]]:
            batch = await consumer.getmany(timeout_ms=_POLL_MS)
            records += [record_of(raw) for part in batch.values() for raw in part]
        return records
    finally:
        await consumer.stop()


async def lag(kafka: KafkaSettings, group: str, topic: str) -> int:
    """Give how many records of a topic a group has not committed yet."""
    async with admin_client(kafka) as admin:
        committed = await admin.list_consumer_group_offsets(group)
    ends = await end_offsets(kafka, topic)
    return sum(
        end - max(0, committed[partition].offset if partition in committed else 0)
        for partition, end in ends.items()
    )


async def _partitions(kafka: KafkaSettings, topic: str) -> list[TopicPartition]:
    async with admin_client(kafka) as admin:
        (described,) = await admin.describe_topics([topic])
    if described["error_code"]:
        raise for_code(described["error_code"])(topic)
    return [TopicPartition(topic, part["partition"]) for part in described["partitions"]]
