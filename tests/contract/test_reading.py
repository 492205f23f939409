"""Topics that hold records which aiokafka cannot decode are read from outside, from any offset on."""

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from support.stack import Stack, make_settings

from consumers.settings import Settings
from ops.reading import read_topic
from ops.topics import create_topics


class _LatinKey(str):
    """A header key of a client in another language."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        del encoding, errors
        return b"caf\xe9"


@pytest.fixture(scope="module")
async def settings(stack: Stack) -> Settings:
    """One world for all tests here, which only read."""
    settings = make_settings(stack)
    await create_topics(settings)
    return settings


@pytest.fixture(scope="module")
async def topic(settings: Settings) -> str:
    """A topic whose partition 1 holds a batch of five, of which the first and the last are hostile."""
    topic = settings.topics.feedback_submitted
    producer = AIOKafkaProducer(**settings.kafka.options())
    await producer.start()
    try:
        batch = producer.create_batch()
        batch._builder = _DefaultRecordBatchBuilderPy(
            magic=2,
            compression_type=0,
            is_transactional=0,
            producer_id=-1,
            producer_epoch=-1,
            base_sequence=0,
            batch_size=100_000,
        )
        for number in range(5):
            headers = [(_LatinKey("café"), b"1")] if number in {0, 4} else []
            batch.append(key=b"k", value=b"%d" % number, timestamp=None, headers=headers)
        batch.close()
        await (await producer.send_batch(batch, topic, partition=1))
        await producer.send_and_wait(topic, b"after", partition=1)
        await producer.send_and_wait(topic, b"other", partition=2)
    finally:
        await producer.stop()
    return topic


async def test_a_topic_is_read_whole(settings: Settings, topic: str) -> None:
    records = await read_topic(settings.kafka, topic)
    assert [record.value for record in records if record.partition == 1] == [
        b"0",
        b"1",
        b"2",
        b"3",
        b"4",
        b"after",
    ]
    assert [record.value for record in records if record.partition == 2] == [b"other"]
    keys = [key for record in records for key, _ in record.headers]
    assert keys == ["caf\udce9", "caf\udce9"]


@pytest.mark.parametrize("start", range(7))
async def test_a_topic_is_read_from_an_offset_on(settings: Settings, topic: str, start: int) -> None:
    records = await read_topic(settings.kafka, topic, {TopicPartition(topic, 1): start})
    assert [record.offset for record in records if record.partition == 1] == list(range(start, 6))
