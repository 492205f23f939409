"""A Kafka admin client for one block."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import NodeNotReadyError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from contracts.kafka import KafkaSettings

_FENCED_SECONDS: Final = 20


@asynccontextmanager
async def admin_client(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect an admin client, and disconnect it at the end of the block.

    Raises:
        KafkaError: when no broker answers, or for 20 s none that the controller counts among the live.

    """
    client = await _connected(kafka)
    try:
        yield client
    finally:
        await client.close()


# A broker whom the controller has fenced (it starts, or its heartbeats came late) answers, and names no live
# broker, not even itself: aiokafka takes that for a start, and cannot send a thing.
@retry(
    retry=retry_if_exception_type(NodeNotReadyError),
    wait=wait_fixed(0.2),
    stop=stop_after_delay(_FENCED_SECONDS),
    reraise=True,
)
async def _connected(kafka: KafkaSettings) -> AIOKafkaAdminClient:
    client = AIOKafkaAdminClient(**kafka.options())
    try:
        await client.start()
        await client.describe_cluster()
    except BaseException:
        await client.close()
        raise
    return client
