"""What redaction takes out is in no store, receipt or log; nothing is too large for a dead letter."""

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from psycopg import sql
from support.consumers import Consumers
from support.world import Letter, assessments, dead_letters, value_of, wait_until_settled, write_traces

from consumers.settings import Settings
from contracts.publisher import FeedbackPublisher
from ops.reading import read_topic

SECRET = "kd-4711-secret"  # noqa: S105 - what is looked for everywhere
MAIL = "anna@mail.example"
HOOKED = "Mr Bond"
PATTERNS = json.dumps(["email", "kd-[0-9]+-[a-z]+"])
HOOK = """
def redact(text, field):
    if "raise" in text:
        raise ValueError(text)
    return text.replace("Mr Bond", "[redacted:" + field + "]")
"""


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    # Compressed, so that the broker takes what no dead letter has room for.
    producer = AIOKafkaProducer(
        **settings.kafka.options(), compression_type="gzip", max_request_size=50_000_000
    )
    await producer.start()
    yield producer
    await producer.stop()


async def test_the_rest_is_nowhere(
    settings: Settings,
    publisher: FeedbackPublisher,
    producer: AIOKafkaProducer,
    consumers: Consumers,
    tmp_path: Path,
) -> None:
    (trace,) = write_traces(settings, 1)
    (tmp_path / "our_hooks.py").write_text(HOOK)
    text = f"{HOOKED} ({MAIL}) has {SECRET}"

    def event(who: str, rationale: str, request_id: str = trace.request_id) -> dict[str, Any]:
        return {
            "client_request_id": request_id,
            "source": {"type": "HUMAN", "id": who},
            "metadata": {"note": rationale},
            "assessments": [{"name": "why", "value": rationale, "rationale": rationale}],
        }

    good = await publisher.feedback_submitted(**event("good", text))
    await publisher.feedback_submitted(**event("lost", text, f"{trace.request_id}-lost"))
    await publisher.feedback_submitted(**event("raises", f"raise {text}"))
    await producer.send_and_wait(settings.topics.feedback_submitted, text.encode(), key=b"no JSON")
    running = await consumers.start(
        "all",
        FEEDBACK_REDACT_PATTERNS=PATTERNS,
        FEEDBACK_REDACT_HOOK="our_hooks:redact",
        FEEDBACK_REDACT_FIELDS="rationale,metadata,value",
        FEEDBACK_DEAD_LETTER_REDACT="true",
        FEEDBACK_RETRY_DELAYS="2s",
        FEEDBACK_RETRY_ATTEMPTS="1",
        FEEDBACK_LOG_LEVEL="DEBUG",
        PYTHONPATH=str(tmp_path),
    )
    await wait_until_settled(settings, seconds=60)

    (held,) = assessments(settings)
    assert held["metadata"]["feedback.event_id"] == str(good.event_id)
    assert held["rationale"] == "[redacted:rationale] ([redacted:email]) has [redacted]"
    assert held["metadata"]["note"] == "[redacted:metadata.note] ([redacted:email]) has [redacted]"
    assert value_of(held) == "[redacted:value] ([redacted:email]) has [redacted]"
    letters = {(letter.said.reason): letter for letter in await dead_letters(settings)}
    assert letters.keys() == {"unresolved", "unredacted", "undecodable"}
    assert b"[redacted:email]" in (letters["unresolved"].record.value or b"")
    assert letters["unredacted"].record.value == b""
    assert "rationale: the redaction hook raised ValueError" in letters["unredacted"].said.detail or (
        "metadata.note: the redaction hook raised ValueError" in letters["unredacted"].said.detail
    )
    assert hashlib.sha256(text.encode()).hexdigest() in letters["undecodable"].said.detail
    everywhere = {
        "MLflow": json.dumps(assessments(settings)),
        "tables": await dump(settings),
        "receipts": repr(await read_topic(settings.kafka, settings.topics.feedback_logged)),
        "dead letters": repr(await read_topic(settings.kafka, settings.topics.dead_letter)),
        "log": running.log.read_text(),
        "metrics": running.get("/metrics").text,
    }
    for place, found in everywhere.items():
        assert found, place
        assert [word for word in (SECRET, MAIL, HOOKED) if word in found] == [], place


async def dump(settings: Settings) -> str:
    """Give both tables as text."""
    url = settings.database_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = []
        for table in ("feedback", "chats"):
            name = sql.Identifier(settings.database_schema, table)
            cursor = await connection.execute(sql.SQL("SELECT t::text FROM {} t").format(name))
            rows += await cursor.fetchall()
    return repr(rows)


async def test_a_wrong_hook_ends_the_start_with_the_variable_s_name(
    settings: Settings, consumers: Consumers
) -> None:
    assert settings
    running = await consumers.start("feedback", ready=False, FEEDBACK_REDACT_HOOK="nowhere:redact")
    assert running.process.wait(40) == 1
    assert "FEEDBACK_REDACT_HOOK: cannot import nowhere:redact" in " ".join(running.log.read_text().split())


async def test_what_no_dead_letter_has_room_for_stops_nobody(
    settings: Settings, producer: AIOKafkaProducer, consumers: Consumers
) -> None:
    """A record of 10 MiB that was compressed to some KiB, and one whose headers are as large."""
    (trace,) = write_traces(settings, 1)
    topic = settings.topics.feedback_submitted
    large = document(trace.request_id, "x" * 10 * 1024 * 1024)
    await producer.send_and_wait(topic, large, key=b"large", partition=0)
    headers = [("large", b"x" * 5 * 1024 * 1024)]
    good = document(trace.request_id, "too much beside it")
    await producer.send_and_wait(topic, good, key=b"header", headers=headers, partition=0)
    await producer.send_and_wait(topic, document(trace.request_id, "fine"), key=b"fine", partition=0)
    await consumers.start("all")
    await wait_until_settled(settings, seconds=60)

    assert [held["rationale"] for held in assessments(settings)] == ["fine"]
    first, second = sorted(await dead_letters(settings), key=lambda letter: letter.said.origin_offset)
    assert_withheld(first, large, key=b"large")
    assert_withheld(second, good, key=b"")
    assert "key and headers withheld as well" in second.said.detail


def assert_withheld(letter: Letter, value: bytes, *, key: bytes) -> None:
    assert (letter.record.key, letter.record.value) == (key, b"")
    assert f"{len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()}" in letter.said.detail


def document(request_id: str, rationale: str) -> bytes:
    event = {
        "type": "FeedbackSubmitted",
        "event_id": str(uuid4()),
        "client_request_id": request_id,
        "source": {"type": "HUMAN", "id": "anna"},
        "submitted_at": datetime.now(UTC).isoformat(),
        "assessments": [{"name": "helpful", "value": True, "rationale": rationale}],
    }
    return json.dumps(event).encode()
