"""The end of a producer that may never get rid of what it holds."""

import asyncio
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerClosed

_FLUSH_SECONDS: Final = 5
_CLOSE_SECONDS: Final = 2
_STEP_SECONDS: Final = 0.05


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
        await _wait_without_metadata(producer, ending)
        if ending.done():
            ending.exception()  # aiokafka misses the batches that were given up where it would try them again


async def _wait_without_metadata(producer: AIOKafkaProducer, ending: asyncio.Future[None]) -> None:
    """Wait for the end, and tell whoever waits for the closed client's metadata that there is none.

    The client itself forgets them when it is closed, and they would wait for ever.
    """
    client = producer.client
    deadline = asyncio.get_running_loop().time() + _CLOSE_SECONDS
    while not ending.done() and asyncio.get_running_loop().time() < deadline:
        asked, client._md_update_fut = client._md_update_fut, None  # noqa: SLF001 - there is no public way
        if asked is not None and not asked.done():
            asked.set_result(False)
        await asyncio.wait({ending}, timeout=_STEP_SECONDS)
