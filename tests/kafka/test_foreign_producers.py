import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import KafkaError, Message, Producer
from support.console_producer import console_produce
from support.consumers import Consumers
from support.reading import read_events
from support.stack import Stack
from support.world import assessments, value_of, wait_until_settled, write_traces

from consumers.settings import Settings
from contracts import ChatCompleted, FeedbackSubmitted, Topics
from contracts.parse import CHAT_EVENTS, FEEDBACK_EVENTS, parse_event

Json = dict[str, Any]
Publish = Callable[[str, str, str], None]


def make_events(request: str) -> tuple[Json, Json]:
    """Give a chat and a feedback as a team without our package writes them."""
    now = datetime.now(UTC).isoformat()
    chat = {
        "type": "ChatCompleted",
        "event_id": str(uuid4()),
        "client_request_id": request,
        "completed_at": now,
    }
    feedback = {
        "type": "FeedbackSubmitted",
        "event_id": str(uuid4()),
        "client_request_id": request,
        "source": {"type": "HUMAN", "id": "anna"},
        "submitted_at": now,
        "assessments": [{"name": "helpful", "value": True, "rationale": 'Says "why", too 👍'}],
    }
    return chat, feedback


@pytest.fixture(params=["librdkafka", "console"])
def publish(request: pytest.FixtureRequest, stack: Stack) -> Publish:
    """Write one record to a topic under a key, acknowledged, without headers."""

    def by_librdkafka(topic: str, key: str, value: str) -> None:
        errors: list[KafkaError | None] = []

        def acknowledged(error: KafkaError | None, _message: Message) -> None:
            errors.append(error)

        producer = Producer({"bootstrap.servers": stack.kafka, "acks": "all", "enable.idempotence": True})
        producer.produce(topic, value.encode(), key=key, on_delivery=acknowledged)
        producer.flush(30)
        assert errors == [None]

    def by_console(topic: str, key: str, value: str) -> None:
        assert "ERROR" not in console_produce(stack.kafka, topic, {key: value})

    ways: dict[str, Publish] = {"librdkafka": by_librdkafka, "console": by_console}
    return ways[request.param]


def test_what_a_foreign_producer_writes_is_an_event(publish: Publish, stack: Stack, topics: Topics) -> None:
    request = f"req-{uuid4().hex}"
    chat, feedback = make_events(request)
    publish(topics.chat_completed, request, json.dumps(chat))
    publish(topics.feedback_submitted, request, json.dumps(feedback, ensure_ascii=False))

    chat_record, feedback_record = read_events(stack.kafka, topics)
    now = datetime.now(UTC)
    completed = parse_event(chat_record.value, CHAT_EVENTS, recorded_at=now)
    submitted = parse_event(feedback_record.value, FEEDBACK_EVENTS, recorded_at=now)
    assert completed == ChatCompleted.model_validate(chat)
    assert submitted == FeedbackSubmitted.model_validate(feedback)
    for record in (chat_record, feedback_record):
        assert record.key == request.encode()
        assert record.headers == []


async def test_what_a_foreign_producer_writes_is_logged(
    publish: Publish, settings: Settings, consumers: Consumers
) -> None:
    (trace,) = write_traces(settings, 1)
    chat, feedback = make_events(trace.request_id)
    publish(settings.topics.feedback_submitted, "any key", json.dumps(feedback))
    publish(settings.topics.chat_completed, "another key", json.dumps(chat | {"region": "eu"}))
    await consumers.start("all")
    await wait_until_settled(settings, seconds=60)

    (item,) = assessments(settings)
    assert item["trace_id"] == trace.trace_id
    assert item["assessment_name"] == "helpful"
    assert value_of(item) is True
    assert item["rationale"] == 'Says "why", too 👍'
    assert item["source"] == {"source_type": "HUMAN", "source_id": "anna"}
    assert item["metadata"]["feedback.event_id"] == feedback["event_id"]


@pytest.mark.parametrize("codec", ["gzip", "lz4", "snappy", "zstd"])
async def test_every_codec_of_a_producer_is_read(
    settings: Settings, stack: Stack, consumers: Consumers, topics: Topics, codec: str
) -> None:
    """Where the library for one is missing, a consumer stops at its first batch for good."""
    (trace,) = write_traces(settings, 1)
    producer = Producer({"bootstrap.servers": stack.kafka, "acks": "all", "compression.type": codec})
    _, feedback = make_events(trace.request_id)
    for number in range(20):
        event = feedback | {"event_id": str(uuid4()), "source": {"type": "HUMAN", "id": f"u-{number}"}}
        producer.produce(topics.feedback_submitted, json.dumps(event).encode(), key=trace.request_id)
    assert producer.flush(30) == 0
    await consumers.start("feedback")
    await wait_until_settled(settings, seconds=30)
    assert len(assessments(settings)) == 20
