"""Whether Kafka would serve a loop that gets nothing: asked by a connection of its own."""

import asyncio
from collections.abc import Collection
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.kafka import KafkaSettings

_SECONDS: Final = 5


async def kafka_answers(kafka: KafkaSettings, group: str, partitions: Collection[TopicPartition]) -> bool:
    """Ask the group's coordinator and the partitions' leaders, with the rights that any consumer has."""
    consumer = AIOKafkaConsumer(**kafka.options(), group_id=group, enable_auto_commit=False)
    try:
        async with asyncio.timeout(_SECONDS):
            await consumer.start()
            await consumer.end_offsets(list(partitions))
            for partition in list(partitions)[:1]:
                await consumer.committed(partition)
    except Exception:  # noqa: BLE001 - whatever it is, it is no answer, and no reason to end
        return False
    finally:
        await asyncio.wait({asyncio.ensure_future(consumer.stop())}, timeout=_SECONDS)
    return True
