"""What breaks the contract: a dead letter with the reason, the original bytes kept, neighbours untouched."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from support.consumers import Consumers
from support.world import assessments, dead_letters, wait_until_settled, write_traces

from consumers.settings import Settings
from contracts.publisher import FeedbackPublisher

COMMENT = "my comment is a secret"
NOW = datetime.now(UTC)


def document(**changes: Any) -> dict[str, Any]:
    """Give a good event, changed; it carries a comment that no error may quote."""
    event = {
        "type": "FeedbackSubmitted",
        "event_id": str(uuid4()),
        "client_request_id": "req-0",
        "source": {"type": "HUMAN", "id": "anna"},
        "submitted_at": NOW.isoformat(),
        "assessments": [{"name": "helpful", "value": True, "rationale": COMMENT}],
    }
    return {key: value for key, value in (event | changes).items() if value is not None}


def one(**changes: Any) -> list[dict[str, Any]]:
    """Give one assessment, changed."""
    return [{"name": "helpful", "value": COMMENT, "rationale": COMMENT} | changes]


BAD: dict[str, tuple[bytes | None, list[str]]] = {
    "null": (None, ["null"]),
    "empty": (b"", ["empty"]),
    "not JSON": (f'{{"rationale": "{COMMENT}", '.encode(), ["JSON"]),
    "not an object": (json.dumps([COMMENT]).encode(), ["object"]),
    "not UTF-8": (b'{"type": "\xff\xfe"}', ["JSON"]),
    "too deep": (b"[" * 5000, ["JSON"]),
}
BAD_DOCUMENTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "wrong type name": (document(type="FeedbackSubmited"), ["type", "FeedbackSubmitted"]),
    "a chat event": (document(type="ChatCompleted"), ["type", "FeedbackSubmitted"]),
    "no reference": (document(client_request_id=None), ["client_request_id", "trace_id"]),
    "long request id": (document(client_request_id="r" * 51), ["client_request_id", "50", "hash"]),
    "quote in request id": (document(client_request_id="a' OR '1'='1"), ["client_request_id", "letters"]),
    "SQL in request id": (document(client_request_id="a;DROP TABLE x--"), ["client_request_id", "letters"]),
    "newline in request id": (document(client_request_id="a\n"), ["client_request_id", "letters"]),
    "bad trace id": (document(trace_id="12345"), ["trace_id", "32 hex"]),
    "unknown source": (document(source={"type": "ROBOT", "id": COMMENT}), ["source.type", "LLM_JUDGE"]),
    "long source id": (document(source={"type": "HUMAN", "id": "x" * 251}), ["source.id", "250"]),
    "33 assessments": (
        document(assessments=[{"name": f"n{n}", "value": 1} for n in range(33)]),
        ["assessments", "33", "32"],
    ),
    "no assessments": (document(assessments=[]), ["assessments", "1"]),
    "one name twice": (document(assessments=one() + one()), ["assessments", "twice"]),
    "long name": (document(assessments=one(name="n" * 251)), ["assessments.0.name", "250"]),
    "long rationale": (document(assessments=one(rationale="r" * 16385)), ["rationale", "16384"]),
    "long value": (document(assessments=one(value="v" * 61441)), ["value", "61440"]),
    "nested feedback": (document(assessments=one(value={"a": [COMMENT]})), ["value", "flat"]),
    "huge integer": (document(assessments=one(value=2**53 + 1)), ["value", "2^53"]),
    "null value": (document(assessments=one(value=None)), ["value", "null"]),
    "expectation with comment": (document(assessments=one(kind="expectation")), ["rationale", "metadata"]),
    "NUL": (document(assessments=one(value="a\x00b")), ["value", "NUL"]),
    "reserved metadata": (document(metadata={"mlflow.x": COMMENT}), ["metadata", "mlflow."]),
    "our metadata": (document(metadata={"feedback.x": COMMENT}), ["metadata", "feedback."]),
    "naive time": (document(submitted_at="2026-01-01T00:00:00"), ["submitted_at", "offset"]),
    "no time": (document(submitted_at=None), ["submitted_at"]),
    "no event id": (document(event_id=None), ["event_id"]),
    "time in the future": (
        document(submitted_at=(NOW + timedelta(minutes=30)).isoformat()),
        ["submitted_at", "10 minutes"],
    ),
}
ALL_BAD = BAD | {
    name: (json.dumps(event).encode(), needles) for name, (event, needles) in BAD_DOCUMENTS.items()
}


class BadKey(str):  # noqa: SLOT000 - as small as it gets
    """A header key whose bytes are not UTF-8."""

    def encode(self, *_: Any) -> bytes:
        return b"\xff\xfekey"


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(**settings.kafka.options())
    await producer.start()
    yield producer
    await producer.stop()


async def test_each_bad_record_is_a_dead_letter_with_its_reason(
    settings: Settings, producer: AIOKafkaProducer, publisher: FeedbackPublisher, consumers: Consumers
) -> None:
    (trace,) = write_traces(settings, 1)
    topic = settings.topics.feedback_submitted
    good = []
    for name, (value, _) in ALL_BAD.items():
        headers = [("twice", b"1"), ("twice", b"\xff"), ("null", None)]
        await producer.send_and_wait(topic, value, key=name.encode(), headers=headers)
        good.append(
            await publisher.feedback_submitted(
                client_request_id=trace.request_id,
                source={"type": "HUMAN", "id": f"neighbour of {name}"},
                assessments=[{"name": "helpful", "value": True}],
            )
        )
    running = await consumers.start("all")
    await wait_until_settled(settings, seconds=60)

    letters = {(letter.record.key or b"").decode(): letter for letter in await dead_letters(settings)}
    assert letters.keys() == ALL_BAD.keys()
    for name, (value, needles) in ALL_BAD.items():
        letter = letters[name]
        assert letter.said.reason == "undecodable"
        for needle in needles:
            assert needle in letter.said.detail, (name, letter.said.detail)
        assert COMMENT not in letter.said.detail
        assert letter.said.null_value == (value is None)
        assert letter.record.value == (value or b"")
        assert letter.headers == [("twice", b"1"), ("twice", b"\xff"), ("null", None)]
        assert letter.said.origin_topic == topic
    assert {item["metadata"]["feedback.event_id"] for item in assessments(settings)} == {
        str(event.event_id) for event in good
    }
    assert COMMENT not in running.log.read_text()


async def test_a_header_key_that_aiokafka_cannot_read_stops_nobody(
    settings: Settings, producer: AIOKafkaProducer, publisher: FeedbackPublisher, consumers: Consumers
) -> None:
    """Such records lie among good ones, in a partition with others; the good ones are all logged."""
    (trace,) = write_traces(settings, 1)
    topic = settings.topics.feedback_submitted
    values = [
        json.dumps(
            document(client_request_id=trace.request_id, source={"type": "HUMAN", "id": f"u{n}"})
        ).encode()
        for n in range(30)
    ]
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
    assert isinstance(batch, BatchBuilder)
    for number, value in enumerate(values):
        headers = [(BadKey("x") if number % 10 == 4 else "plain", b"1")]
        good_value = b"not json" if number % 10 == 4 else value
        assert batch.append(key=b"k%d" % number, value=good_value, timestamp=None, headers=headers)
    batch.close()
    await (await producer.send_batch(batch, topic, partition=2))
    for number in range(20):
        await publisher.feedback_submitted(
            client_request_id=trace.request_id,
            source={"type": "HUMAN", "id": f"other {number}"},
            assessments=[{"name": "helpful", "value": True}],
        )
    await consumers.start("all")
    await wait_until_settled(settings, seconds=60)

    letters = await dead_letters(settings)
    assert sorted(letter.record.key or b"" for letter in letters) == [b"k14", b"k24", b"k4"]
    for letter in letters:
        assert letter.record.value == b"not json"
        ((key, header),) = letter.headers
        assert (key.encode("utf-8", "surrogateescape"), header) == (b"\xff\xfekey", b"1")
    assert len(assessments(settings)) == 27 + 20
