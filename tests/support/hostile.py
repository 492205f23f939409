"""Records that no well-behaved client would write: header keys that are not UTF-8, neither key nor value."""

from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from support.fuzz import Header, Raw

_BATCH_BYTES = 900_000


class _BadKey(str):
    """A header key with the bytes that its surrogate escapes stand for."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return str.encode(self, "utf-8", "surrogateescape")


async def send_raw(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Raw]
) -> list[int]:
    """Send records as they are, in few batches, and give their offsets."""
    offsets: list[int] = []
    batch = _new_batch(producer)
    for record in records:
        if not _append(batch, record):
            offsets += await _send(producer, batch, topic, partition)
            batch = _new_batch(producer)
            assert _append(batch, record)
    return offsets + await _send(producer, batch, topic, partition)


def _new_batch(producer: AIOKafkaProducer) -> BatchBuilder:
    batch: BatchBuilder = producer.create_batch()
    batch._builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=0,
        batch_size=_BATCH_BYTES,
    )
    return batch


def _append(batch: BatchBuilder, record: Raw) -> bool:
    headers: list[Header] = [(_BadKey(key), value) for key, value in record.headers]
    added = batch.append(key=record.key, value=record.value, timestamp=None, headers=headers)
    return added is not None


async def _send(producer: AIOKafkaProducer, batch: BatchBuilder, topic: str, partition: int) -> list[int]:
    count = batch.record_count()
    batch.close()
    told = await (await producer.send_batch(batch, topic, partition=partition))
    return list(range(told.offset, told.offset + count))
