"""The end of a producer that may never get rid of what it holds."""

import asyncio
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerClosed

_FLUSH_SECONDS: Final = 5
_CLOSE_SECONDS: Final = 2


async def end_producer(producer: AIOKafkaProducer) -> None:
    """Stop a producer; what Kafka has not acknowledged after 5 seconds is given up.

    aiokafka's own ``stop`` waits for every batch, and an idempotent producer tries a batch without end: while
    the brokers are away it would go on in the background, with its connections, as long as the process lives.
    """
    ending = asyncio.ensure_future(producer.stop())
    _, pending = await asyncio.wait({ending}, timeout=_FLUSH_SECONDS)
    if pending:
        producer._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001 - there is no public way
        await producer.client.close()  # the requests that a frozen broker does not answer
        await asyncio.wait({ending}, timeout=_CLOSE_SECONDS)
