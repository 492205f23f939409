"""Receipts, dead letters and parked records to Kafka, through one idempotent producer."""

import asyncio
import json
from collections.abc import Sequence
from typing import Final, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder

from consumers.parked import headers_of
from contracts.headers import DeadLetterHeaders, encode_headers, is_writable
from contracts.kafka import KafkaSettings
from contracts.kafka_refusals import explain
from contracts.producers import end_producer
from contracts.topics import ENVELOPE_BYTES, Topics
from pipeline.letters import prepared
from pipeline.outcomes import DependencyAwayError
from pipeline.patience import Patience
from pipeline.ports import DeadLetter, Parked
from pipeline.receipt import Receipt
from pipeline.redaction import NO_REDACTION, Redaction

_LINGER_MS: Final = 5
_BATCH_BYTES: Final = 256 * 1024
_partition_of: Final = DefaultPartitioner()
_SLOW_SECONDS: Final = 5

Found = TypeVar("Found")

Message = tuple[str, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
"""Topic, key, value and headers."""


class KafkaOutbox:
    """`Outbox` over a raw aiokafka producer, which keeps null, empty and doubled headers as they are."""

    def __init__(
        self, kafka: KafkaSettings, topics: Topics, patience: Patience, redaction: Redaction = NO_REDACTION
    ) -> None:
        self._kafka = kafka
        self._topics = topics
        self._patience = patience
        self._redaction = redaction
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> AIOKafkaProducer:
        """Connect, or give the connection that stands.

        Raises:
            DependencyAwayError: when Kafka is away.

        """
        # One at a time: the consumers of a process share it, and a second producer would never be stopped.
        async with self._starting:
            if self._producer is None:
                self._producer = await self._connect()
            return self._producer

    async def _connect(self) -> AIOKafkaProducer:
        producer = None
        try:
            producer = AIOKafkaProducer(
                **self._kafka.options(),
                acks="all",
                enable_idempotence=True,
                linger_ms=_LINGER_MS,
                max_request_size=ENVELOPE_BYTES,
                max_batch_size=_BATCH_BYTES,
            )
            await producer.start()
        except (KafkaError, OSError) as error:
            if producer is not None:
                await producer.stop()
            raise DependencyAwayError("kafka", await explain(error, self._kafka, "Write")) from error
        return producer

    async def stop(self) -> None:
        """Disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await end_producer(producer)

    async def send(
        self,
        receipts: Sequence[Receipt],
        dead_letters: Sequence[DeadLetter],
        parked: Sequence[Parked] = (),
    ) -> None:
        """Publish, and return once all of it is acknowledged.

        Raises:
            DependencyAwayError: when Kafka refused; sending all of it again is safe.

        """
        messages = [
            dead_letter_message(self._topics, prepared(letter, self._redaction)) for letter in dead_letters
        ]
        messages += [retry_message(self._topics, item) for item in parked]
        if not messages and not receipts:
            return
        producer = await self.start()
        try:
            # Sending waits as well: for what the producer must know of a topic, and for room.
            (sent,) = await self._done([asyncio.ensure_future(self._place(producer, receipts, messages))])
            await self._acknowledged(sent)
        except KafkaError as error:
            # A producer that failed may stay failed (idempotence): the next call makes a new one.
            await self.stop()
            detail = await explain(error, self._kafka, "Write")
            detail = f"publishing receipts, dead letters or retries: {detail}"
            raise DependencyAwayError("kafka", detail) from error

    async def _place(
        self, producer: AIOKafkaProducer, receipts: Sequence[Receipt], messages: Sequence[Message]
    ) -> "list[asyncio.Future[object]]":
        """Hand everything to the producer; receipts in batches of our own, in a third of its time."""
        futures = [
            await producer.send(topic, key=key, value=value, headers=headers)
            for topic, key, value, headers in messages
        ]
        topic = self._topics.feedback_logged
        partitions = sorted(await producer.partitions_for(topic)) if receipts else []
        batches: dict[int, BatchBuilder] = {}
        for receipt in receipts:
            key, value = receipt.key, receipt.to_json()
            partition = _partition_of(key, partitions, partitions)
            batch = batches.get(partition)
            if batch is None or batch.append(key=key, value=value, timestamp=None) is None:
                if batch is not None:
                    futures.append(await producer.send_batch(batch, topic, partition=partition))
                batch = batches[partition] = producer.create_batch()
                batch.append(key=key, value=value, timestamp=None)
        for partition, batch in batches.items():
            futures.append(await producer.send_batch(batch, topic, partition=partition))
        return futures

    async def _acknowledged(self, futures: "Sequence[asyncio.Future[object]]") -> None:
        await self._done(futures)
        self._patience.back("kafka")

    async def _done(self, futures: "Sequence[asyncio.Future[Found]]") -> list[Found]:
        """Wait without limit, as the producer itself retries; but say so, and hear a stop."""
        pending = set(futures)
        try:
            while pending:
                done, pending = await asyncio.wait(
                    pending, timeout=_SLOW_SECONDS, return_when=asyncio.FIRST_EXCEPTION
                )
                for future in done:
                    future.result()
                if pending and not done:
                    self._patience.missed("kafka", "receipts, dead letters or retries are not acknowledged")
        finally:
            for future in pending:
                future.cancel()
        return [future.result() for future in futures]


def dead_letter_message(topics: Topics, letter: DeadLetter) -> Message:
    """Give the record of a dead letter: the original key, value and headers, then why it is dead.

    Kafka's clients refuse a record with neither key nor value, so a null value is sent as an empty one; the
    headers tell.
    """
    record = letter.record
    writable = is_writable(record.headers)
    said = DeadLetterHeaders(
        reason=letter.dead.reason,
        detail=letter.dead.detail,
        origin_topic=record.topic,
        origin_partition=record.partition,
        origin_offset=record.offset,
        origin_timestamp=record.timestamp,
        null_key=record.key is None,
        null_value=record.value is None,
        assessments=json.dumps(letter.names, ensure_ascii=False),
        original_headers="" if writable else encode_headers(record.headers),
    )
    original = list(record.headers) if writable else []
    return topics.dead_letter, record.key, record.value or b"", [*original, *said.encode()]


def retry_message(topics: Topics, parked: Parked) -> Message:
    """Give the record of a parked record: the original's key and value, in the topic of its delay."""
    record = parked.record
    return topics.retries[parked.delay], record.key, record.value, headers_of(parked)
