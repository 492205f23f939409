"""Publishes one chat and one feedback with confluent-kafka alone."""

import json
import os
import sys
from datetime import UTC, datetime
from uuid import uuid4

from confluent_kafka import KafkaError, Message, Producer

PREFIX = os.environ.get("FEEDBACK_TOPIC_PREFIX", "")
failures: list[str] = []


def acknowledged(error: KafkaError | None, message: Message) -> None:
    if error is not None:
        # Keep the event and send the same one again later, event_id and all.
        failures.append(f"{message.topic()}: {error.str()}")


def publish(producer: Producer, topic: str, event: dict) -> None:
    key = event.get("client_request_id") or event["trace_id"]
    producer.produce(PREFIX + topic, json.dumps(event).encode(), key=key, on_delivery=acknowledged)


def now() -> str:
    return datetime.now(UTC).isoformat()


producer = Producer(
    {
        "bootstrap.servers": os.environ.get("FEEDBACK_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
        "acks": "all",
        "enable.idempotence": True,
        "delivery.timeout.ms": 30_000,
    }
)
request_id = f"python-{uuid4()}"
chat = {
    "type": "ChatCompleted",
    "event_id": str(uuid4()),
    "client_request_id": request_id,
    "completed_at": now(),
}
feedback = {
    "type": "FeedbackSubmitted",
    "event_id": str(uuid4()),
    "client_request_id": request_id,
    "source": {"type": "HUMAN", "id": "anna"},
    "submitted_at": now(),
    "assessments": [{"name": "helpful", "value": True, "rationale": 'Says "why", too 👍'}],
}
publish(producer, "chat-completed", chat)
publish(producer, "feedback-submitted", feedback)
unsent = producer.flush(35)
if unsent or failures:
    sys.exit(f"not acknowledged: {unsent} waiting, {'; '.join(failures) or 'none refused'}")
print("acknowledged")
