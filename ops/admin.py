"""A Kafka admin client for one block."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient

from contracts.kafka import KafkaSettings


@asynccontextmanager
async def admin_client(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect an admin client, and disconnect it at the end of the block.

    Raises:
        KafkaError: when no broker answers.

    """
    client = AIOKafkaAdminClient(**kafka.options())
    try:
        await client.start()
        yield client
    finally:
        await client.close()
