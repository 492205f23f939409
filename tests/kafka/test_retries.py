"""Early feedback, late exports, and feedback of a chat that never comes, through real retry topics."""

import asyncio
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import mlflow
import pytest
from support.consumers import Consumers
from support.waiting import wait_until
from support.world import (
    Trace,
    assessments,
    dead_letters,
    outcomes,
    receipts,
    request_id,
    value_of,
    wait_until_settled,
    write_traces,
)

from consumers.settings import Settings
from contracts.events import AssessmentInput, ChatCompleted, FeedbackSubmitted, Source
from contracts.headers import split_retry
from contracts.publisher import FeedbackPublisher
from ops.reading import read_topic
from ops.topics import create_topics
from pipeline.records import Record

EARLY = int(os.environ.get("FEEDBACK_EARLY_EVENTS", "300"))
EARLY_SECONDS = float(os.environ.get("FEEDBACK_EARLY_SECONDS", "0"))
"""How long the chats come after their feedback, after all of it is parked."""


def feedback(reference: str, value: object = "good", **fields: object) -> FeedbackSubmitted:
    known: dict[str, object] = {
        "client_request_id": reference,
        "source": Source(type="HUMAN", id=f"u-{reference}"),
        "submitted_at": datetime.now(UTC),
        "assessments": [AssessmentInput(name="helpful", value=value)],
    }
    return FeedbackSubmitted(**(known | fields))


def chat(trace: Trace) -> ChatCompleted:
    return ChatCompleted(
        client_request_id=trace.request_id, trace_id=trace.trace_id, completed_at=datetime.now(UTC)
    )


async def parked(settings: Settings) -> list[Record]:
    topics = settings.topics.retries.values()
    return [record for topic in topics for record in await read_topic(settings.kafka, topic)]


@pytest.fixture
async def patient(make_world: Callable[..., Settings]) -> Settings:
    """A world that waits for a chat for minutes."""
    quick = {"retry_delays": ("1s", "5s"), "retry_attempts": (2, 60)}
    as_in_production = {"retry_delays": ("2s", "1m", "15m"), "retry_attempts": (5, 14, 96)}
    settings = make_world(**(as_in_production if EARLY_SECONDS else quick))
    await create_topics(settings)
    return settings


@pytest.mark.timeout(200 + EARLY_SECONDS + EARLY / 10)
async def test_feedback_before_its_chat_is_logged_once_the_chat_comes(
    patient: Settings, tmp_path: Path
) -> None:
    """Traces that came by OTLP know no request id: only the chat's event does, and it comes later."""
    settings = patient
    async with FeedbackPublisher(settings.kafka, settings.topics) as publisher:
        with Consumers(settings, tmp_path) as consumers:
            await early_feedback(settings, publisher, consumers)


async def early_feedback(settings: Settings, publisher: FeedbackPublisher, consumers: Consumers) -> None:
    mlflow.set_experiment(experiment_id=settings.mlflow_experiments[0])
    traces = []
    for number in range(EARLY + 1):
        with mlflow.start_span("chat") as span:
            traces.append(Trace(request_id(settings, number), span.trace_id))
        if number % 500 == 0:
            mlflow.flush_trace_async_logging()  # its queue holds a thousand
    mlflow.flush_trace_async_logging()
    ready = traces.pop()
    events = [feedback(trace.request_id, number) for number, trace in enumerate(traces)]
    await publisher.publish(*events)
    running = await consumers.start("all")

    async def all_wait() -> bool:
        return len(await parked(settings)) >= EARLY

    await wait_until(all_wait, seconds=30 + EARLY / 50, what="all are parked")
    await asyncio.sleep(EARLY_SECONDS)
    # Nothing waits behind what is parked: feedback on a trace that is there is settled at once.
    late = feedback(ready.request_id, trace_id=ready.trace_id)
    await publisher.publish(late)

    async def is_told() -> bool:
        return late.event_id in {receipt.event_id for receipt in await receipts(settings)}

    await wait_until(is_told, seconds=10 + EARLY / 500, what="what is ready is logged")
    await publisher.publish(*(chat(trace) for trace in traces))
    await wait_until_settled(settings, seconds=60 + EARLY / 20 + 2 * EARLY_SECONDS)

    told = await receipts(settings)
    assert outcomes(told) == {"logged": EARLY + 1}
    by_event = {receipt.event_id: receipt for receipt in told}
    for event, trace in zip(events, traces, strict=True):
        assert by_event[event.event_id].trace_id == trace.trace_id
        assert by_event[event.event_id].attempts > 1
    assert sorted(value_of(one) for one in assessments(settings) if value_of(one) != "good") == list(
        range(EARLY)
    )
    assert await dead_letters(settings) == []
    originals = {
        record.key: record for record in await read_topic(settings.kafka, settings.topics.feedback_submitted)
    }
    for record in await parked(settings):
        headers, said = split_retry(record.headers)
        original = originals[record.key]
        assert (record.value, tuple(headers)) == (original.value, tuple(original.headers))
        assert (said.origin_partition, said.origin_offset) == (original.partition, original.offset)
        assert said.reason == "no_trace"
    metrics = running.get("/metrics").text
    assert 'feedback_parked_total{delay="' in metrics
    # Each search found nothing and ended in a parked record: none was made once the chat was in the index.
    searched = re.search(r'^feedback_stage_items_total{stage="resolve"} (.*)$', metrics, re.MULTILINE)
    assert searched is not None
    assert float(searched[1]) == len(await parked(settings))


@pytest.mark.usefixtures("topics")
async def test_a_trace_that_is_exported_late_gets_its_feedback(
    settings: Settings, publisher: FeedbackPublisher, consumers: Consumers
) -> None:
    """The chat's event is there and names the trace, but the trace is not in MLflow yet."""
    mlflow.set_experiment(experiment_id=settings.mlflow_experiments[0])
    reference = request_id(settings, 0)
    span = mlflow.start_span_no_context("chat")  # exported when it ends
    trace = Trace(reference, span.trace_id)
    await consumers.start("all")
    await publisher.publish(chat(trace))
    await publisher.publish(feedback(reference, "late"))

    async def waits() -> bool:
        reasons = {split_retry(record.headers)[1].reason for record in await parked(settings)}
        return "trace_missing" in reasons  # it may have come before its chat, too

    await wait_until(waits, seconds=20, what="it is parked")
    span.end()
    mlflow.flush_trace_async_logging()
    await wait_until_settled(settings, seconds=30)
    (one,) = assessments(settings)
    assert (one["trace_id"], value_of(one)) == (trace.trace_id, "late")


@pytest.mark.usefixtures("topics")
async def test_feedback_of_a_chat_that_never_comes_is_one_dead_letter(
    settings: Settings, publisher: FeedbackPublisher, consumers: Consumers
) -> None:
    event = feedback(f"{settings.topic_prefix}never", assessments=_three())
    await publisher.publish(event)
    await consumers.start("feedback")
    await consumers.start("retries")

    async def is_dead() -> bool:
        return bool(await dead_letters(settings))

    await wait_until(is_dead, seconds=40, what="it is dead")
    await wait_until_settled(settings, seconds=10)
    (letter,) = await dead_letters(settings)
    (original,) = await read_topic(settings.kafka, settings.topics.feedback_submitted)
    assert letter.said.reason == "unresolved"
    assert (letter.record.key, letter.record.value, letter.headers) == (
        original.key,
        original.value,
        list(original.headers),
    )
    assert (letter.said.origin_topic, letter.said.origin_offset) == (original.topic, original.offset)
    told = await receipts(settings)
    attempts = 1 + sum(settings.retry_attempts)
    assert [(r.outcome, r.reason, r.attempts) for r in told] == [
        ("dead-lettered", "unresolved", attempts)
    ] * 3
    assert len(await parked(settings)) == attempts - 1


@pytest.mark.usefixtures("topics")
async def test_versions_that_were_parked_end_as_the_newest(
    settings: Settings, publisher: FeedbackPublisher, consumers: Consumers
) -> None:
    """Up, down, withdrawn, and another's edit, each parked, before any trace is there."""
    now = datetime.now(UTC)
    kept, gone = request_id(settings, 0), request_id(settings, 1)
    old = feedback(kept, "old", metadata={"page": "1"}, submitted_at=now)
    new = feedback(kept, "new", submitted_at=now + timedelta(seconds=1))
    up = feedback(gone, submitted_at=now)
    await consumers.start("all")
    await publisher.publish(new)
    await publisher.publish(up)

    async def wait_for(count: int) -> None:
        async def are_parked() -> bool:
            return len({record.key for record in await parked(settings)}) >= count

        await wait_until(are_parked, seconds=20, what="they are parked")

    await wait_for(2)
    await publisher.publish(old)
    await publisher.feedback_withdrawn(
        client_request_id=gone,
        source=up.source,
        submitted_at=now + timedelta(seconds=2),
        names=["helpful"],
    )
    write_traces(settings, 2)
    await wait_until_settled(settings, seconds=40)
    (one,) = assessments(settings)
    assert value_of(one) == "new"
    assert "page" not in {key for key, value in one["metadata"].items() if value}
    assert outcomes(await receipts(settings)) == {"logged": 1, "superseded": 2, "withdrawn": 1}


def _three() -> list[AssessmentInput]:
    return [AssessmentInput(name=f"n-{uuid4().hex[:8]}", value=1) for _ in range(3)]
