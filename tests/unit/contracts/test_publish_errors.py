import json
import re
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from contracts import AssessmentInput, ChatCompleted, FeedbackSubmitted, FeedbackWithdrawn, Source
from contracts.kafka import KafkaSettings
from contracts.parse import ContractError
from contracts.publisher import FeedbackPublisher, PublishError, encode_event, event_key, traceparent

SECRET = "s3cret-comment-of-a-person"  # noqa: S105 - a comment that no message may quote
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address of this machine where nothing listens, kept free of others."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def submitted(**fields: Any) -> FeedbackSubmitted:
    said = AssessmentInput(name="helpful", value=True, rationale=SECRET)
    given = {"client_request_id": "req-1", "source": Source(type="HUMAN", id="anna"), "assessments": (said,)}
    return FeedbackSubmitted(**{**given, **fields})


async def test_no_connection_names_the_brokers_and_the_settings(nobody: str) -> None:
    began = time.monotonic()
    with pytest.raises(PublishError) as caught:
        await FeedbackPublisher(KafkaSettings(bootstrap_servers=nobody)).__aenter__()
    said = str(caught.value)
    assert said.startswith(f"no connection to Kafka at {nobody} (PLAINTEXT): ConnectionRefusedError")
    assert "check FEEDBACK_KAFKA_BOOTSTRAP_SERVERS" in said
    assert caught.value.events == ()
    assert time.monotonic() - began < 20


async def test_a_missing_ca_file_is_named(nobody: str, tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"
    kafka = KafkaSettings(bootstrap_servers=nobody, security_protocol="SSL", ssl_cafile=missing)
    with pytest.raises(PublishError, match=r"\(SSL\): FileNotFoundError; check .*FEEDBACK_KAFKA_SSL_CAFILE"):
        await FeedbackPublisher(kafka).__aenter__()


async def test_a_publisher_that_is_not_entered_says_how_to_use_it() -> None:
    event = submitted()
    with pytest.raises(PublishError, match="use it as: async with FeedbackPublisher") as caught:
        await FeedbackPublisher().publish(event)
    assert caught.value.events == (event,)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"client_request_id": "x" * 51}, "client_request_id: has 51 characters; the limit is 50"),
        ({"client_request_id": "req-1\n"}, "client_request_id: must be letters, digits"),
        ({"client_requestid": "r"}, "client_requestid: is not a field of this event"),
        ({"type": "ChatCompleted"}, "type: must be one of 'FeedbackSubmitted'"),
        ({"client_request_id": None}, "the event: no reference"),
        ({"source": {"type": "ROBOT"}}, "source.type: must be one of 'HUMAN', 'LLM_JUDGE' or 'CODE'"),
        ({"source": {"type": "HUMAN", "name": SECRET}}, "source.name: is not a field of this event"),
        ({"submitted_at": datetime(2026, 1, 31)}, "submitted_at: is a time without an offset"),  # noqa: DTZ001
        ({"assessments": []}, "assessments: needs at least 1 item"),
        (
            {"assessments": [{"name": str(i), "value": SECRET} for i in range(33)]},
            "has 33 items; the limit is 32",
        ),
        ({"assessments": [{"name": "a", "value": SECRET}] * 2}, "assessments holds one name and kind twice"),
        ({"assessments": [{"name": "a", "value": SECRET, "text": 1}]}, "assessments.0.text: is not a field"),
        (
            {"assessments": [{"name": "a", "value": float("nan")}]},
            "assessments.0.value: holds NaN or infinity",
        ),
        (
            {"assessments": [{"name": "a", "value": 2**60}]},
            "assessments.0.value: holds an integer beyond 2^53",
        ),
        ({"assessments": [{"name": "a", "value": (SECRET,)}]}, "assessments.0.value: is of type tuple"),
        ({"assessments": [{"name": "a\x00", "value": 1}]}, "assessments.0.name: holds a NUL character"),
        ({"assessments": [{"name": "a", "value": SECRET + "\x00"}]}, "assessments.0.value: holds a NUL"),
        (
            {"assessments": [{"name": "a", "value": 1, "rationale": SECRET + "\ud800"}]},
            "rationale: holds a lone surrogate",
        ),
        ({"feedback_id": SECRET + "\ud800"}, "feedback_id: holds a lone surrogate"),
        ({"client_request_id": SECRET + "\ud800"}, "client_request_id: must be letters"),
        ({"metadata": {"a": SECRET + "\ud800"}}, "metadata: holds a lone surrogate"),
        ({"metadata": {SECRET + "\ud800": "a"}}, "metadata: holds a lone surrogate"),
        ({"metadata": {"mlflow.a": SECRET}}, "metadata: a key begins with 'mlflow.', which is reserved"),
        (
            {"submitted_at": datetime.now(UTC) + timedelta(days=1)},
            "ahead of the record's own time; the limit is 10 minutes",
        ),
    ],
)
async def test_the_publisher_refuses_what_a_consumer_would(fields: dict[str, Any], said: str) -> None:
    document: dict[str, Any] = {
        "client_request_id": "req-1",
        "source": {"type": "HUMAN", "id": "anna"},
        "assessments": [{"name": "helpful", "value": True, "rationale": SECRET}],
    }
    with pytest.raises(ContractError) as caught:
        await FeedbackPublisher().feedback_submitted(**{**document, **fields})
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


async def test_chats_and_withdrawals_are_checked_as_well() -> None:
    publisher = FeedbackPublisher()
    with pytest.raises(ContractError, match="client_request_id: must be letters"):
        await publisher.chat_completed(client_request_id="a'b")
    with pytest.raises(ContractError, match=r"source\.id or feedback_id is needed"):
        await publisher.feedback_withdrawn(client_request_id="r", source={"type": "HUMAN"}, names=["helpful"])


def test_an_event_is_encoded_with_what_the_wire_needs_and_without_nulls() -> None:
    document = json.loads(encode_event(submitted()))
    assert {"type", "event_id", "submitted_at"} <= set(document)
    assert "trace_id" not in document


def test_nulls_inside_an_expectation_are_kept() -> None:
    value = {"a": None, "b": [None, {"c": None}]}
    said = AssessmentInput(name="expected", kind="expectation", value=value)
    document = json.loads(encode_event(submitted(assessments=(said,))))
    assert document["assessments"][0]["value"] == value


def test_the_key_is_the_request_id_or_else_the_trace_id() -> None:
    assert event_key(submitted(trace_id=TRACE)) == b"req-1"
    assert event_key(submitted(client_request_id=None, trace_id=TRACE)) == f"tr-{TRACE}".encode()
    assert event_key(ChatCompleted(client_request_id="req-2", trace_id=TRACE)) == b"req-2"
    withdrawn = FeedbackWithdrawn(trace_id=TRACE, feedback_id="f", source={"type": "HUMAN"}, names=["a"])
    assert event_key(withdrawn) == f"tr-{TRACE}".encode()


def test_the_trace_context_is_the_events_own_trace_where_none_is_active() -> None:
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-00", traceparent(submitted(trace_id=TRACE)))
    assert re.fullmatch(r"00-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-00", traceparent(submitted()))


def test_the_trace_context_is_the_callers_where_one_is_active() -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("request") as span:
        context = span.get_span_context()
        expected = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
        assert traceparent(submitted(trace_id=TRACE)) == expected
