"""Reading a topic as any Kafka client sees it, without our own code."""

import time
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from contracts.topics import Topics


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it arrived."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


def read_topic(kafka: str, topic: str, count: int, *, seconds: float = 30) -> list[Record]:
    """Give all records of a topic once there are ``count``; fail when there are not within the deadline."""
    settings = {"bootstrap.servers": kafka, "group.id": "reading", "enable.auto.commit": False}
    consumer = Consumer({**settings, "auto.offset.reset": "earliest"})
    try:
        consumer.assign(_beginning(consumer, topic))
        return _read(consumer, topic, count, time.monotonic() + seconds)
    finally:
        consumer.close()


def read_events(kafka: str, topics: Topics) -> tuple[Record, Record]:
    """Give the one record of each topic that applications write to."""
    (chat,) = read_topic(kafka, topics.chat_completed, 1)
    (feedback,) = read_topic(kafka, topics.feedback_submitted, 1)
    return chat, feedback


def _beginning(consumer: Consumer, topic: str) -> list[TopicPartition]:
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    return [TopicPartition(topic, partition, 0) for partition in partitions]


def _read(consumer: Consumer, topic: str, count: int, deadline: float) -> list[Record]:
    records: list[Record] = []
    while len(records) < count:
        left = deadline - time.monotonic()
        assert left > 0, f"{topic} has {len(records)} records, not yet {count}"
        records += [_record(message) for message in consumer.consume(count, min(left, 0.5))]
    return records


def _record(message: Message) -> Record:
    if (error := message.error()) is not None:
        raise KafkaException(KafkaError(error.code()))
    given = message.headers() or []
    headers = [(name, _raw(value)) for name, value in given] if isinstance(given, list) else []
    return Record(message.partition() or 0, _raw(message.key()), _raw(message.value()), headers)


def _raw(part: str | bytes | None) -> bytes | None:
    return part.encode() if isinstance(part, str) else part
