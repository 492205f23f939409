"""Reading what aiokafka cannot: records whose header keys are not UTF-8.

Kafka keeps such records and other clients write them, but aiokafka's ``getmany`` raises on them for ever,
and loses what it had taken from other partitions in the same call. Here one chunk of one partition is
fetched and decoded with the keys' bytes kept as surrogate escapes.
"""

import struct
from collections.abc import Iterator
from typing import Any, Final

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.default_records import _DefaultRecordBatchPy

from contracts.headers import is_writable

CHUNK_BYTES: Final = 1024 * 1024
"""As large as what aiokafka fetches of a partition at once: what it fell over is in it."""
_WAIT_MS: Final = 0  # what aiokafka fell over is there; partitions without anything must not hold it up
_READ_COMMITTED: Final = 1
_BATCH_HEADER: Final = struct.Struct(">qi")
_MAGIC_AT: Final = 16
_MAGIC: Final = 2

RawRecord = ConsumerRecord[bytes | None, bytes | None]


async def fetch_past_hostile(
    client: AIOKafkaClient, partition: TopicPartition, offset: int
) -> list[RawRecord]:
    """Fetch from an offset to the end of the last producer batch that aiokafka cannot decode.

    A whole batch at a time: aiokafka decodes it from its start, wherever in it the offset lies.

    Returns:
        the records in order, or an empty list when the chunk holds no such batch.

    Raises:
        KafkaError: when the broker refuses.

    """
    data = await _fetch(client, partition, offset)
    taken: list[RawRecord] = []
    passed: list[RawRecord] = []
    for batch in _decode(partition, data):
        passed += [record for record in batch if record.offset >= offset]
        if not all(is_writable(record.headers) for record in batch):
            taken += passed
            passed = []
    return taken


async def _fetch(client: AIOKafkaClient, partition: TopicPartition, offset: int) -> bytes:
    leader = client.cluster.leader_for_partition(partition)
    if leader is None or leader < 0:
        msg = f"{partition} has no leader now"
        raise KafkaError(msg)
    topics = [(partition.topic, [(partition.partition, offset, CHUNK_BYTES)])]
    request = FetchRequest(_WAIT_MS, 1, CHUNK_BYTES, _READ_COMMITTED, topics)
    response: Any = await client.send(leader, request)
    _, partitions = response.topics[0]
    _, code, *_, data = partitions[0]
    if code:
        raise for_code(code)
    return data or b""


def _decode(partition: TopicPartition, data: bytes) -> Iterator[list[RawRecord]]:
    for part in _batches(data):
        batch = _DefaultRecordBatchPy(part)
        if batch.is_control_batch:
            continue
        batch._maybe_uncompress()  # noqa: SLF001 - so that the buffer can be replaced before it is read
        batch._buffer = _LenientBytes(batch._buffer)  # noqa: SLF001 - the decoder calls .decode() on slices
        yield [_record(partition, record) for record in batch]


def _batches(data: bytes) -> Iterator[bytes]:
    position = 0
    while position + _BATCH_HEADER.size <= len(data):
        _, length = _BATCH_HEADER.unpack_from(data, position)
        end = position + _BATCH_HEADER.size + length
        if end > len(data):
            return
        if data[position + _MAGIC_AT] == _MAGIC:
            yield data[position:end]
        position = end


class _LenientBytes(bytearray):
    """Bytes whose slices decode what is not UTF-8 to surrogate escapes."""

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 - as bytearray's own
        part = super().__getitem__(index)
        return _LenientBytes(part) if isinstance(index, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> str:
        return super().decode(encoding, errors)


def _record(partition: TopicPartition, record: Any) -> RawRecord:  # noqa: ANN401 - aiokafka's own record
    return ConsumerRecord(
        topic=partition.topic,
        partition=partition.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        timestamp_type=record.timestamp_type,
        key=record.key,
        value=record.value,
        checksum=None,
        serialized_key_size=-1 if record.key is None else len(record.key),
        serialized_value_size=-1 if record.value is None else len(record.value),
        headers=tuple(record.headers),
    )
