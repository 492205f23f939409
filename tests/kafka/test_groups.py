"""Members that freeze, come, go and are restarted, and partitions that are added: the promises hold."""

import asyncio
import json
import logging
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewPartitions
from support.consumers import Consumers, Running
from support.waiting import wait_until
from support.world import (
    Trace,
    assessments,
    dead_letters,
    outcomes,
    receipts,
    value_of,
    wait_until_settled,
    write_traces,
)

from consumers.bootstrap import FEEDBACK_GROUP
from consumers.settings import Settings
from contracts.events import ChatCompleted, FeedbackSubmitted
from contracts.publisher import FeedbackPublisher
from ops.admin import admin_client
from ops.topics import create_topics

log = logging.getLogger(__name__)

SESSION_SECONDS = 6
"""The shortest that Kafka's brokers allow by default."""
CHATS = 20
NOW = datetime.now(UTC)


@pytest.fixture
async def settings(make_world: Callable[..., Settings]) -> Settings:
    """Settings of a world in which silent members, and their writes, are soon given up."""
    settings = make_world(
        kafka_session_timeout_ms=SESSION_SECONDS * 1000,
        request_lifetime_seconds=SESSION_SECONDS,
        lanes=1,  # one member a process
    )
    await create_topics(settings)
    return settings


@pytest.fixture
def traces(settings: Settings) -> list[Trace]:
    return write_traces(settings, CHATS)


def feedback(traces: Sequence[Trace], number: int, version: int = 1) -> FeedbackSubmitted:
    """Give a version of somebody's feedback."""
    return FeedbackSubmitted.model_validate(
        {
            "client_request_id": traces[number % CHATS].request_id,
            "source": {"type": "HUMAN", "id": f"user-{number}"},
            "submitted_at": NOW + timedelta(seconds=version),
            "assessments": [{"name": "helpful", "value": version, "rationale": f"comment {version}"}],
        }
    )


async def committed(settings: Settings) -> dict[TopicPartition, int]:
    async with admin_client(settings.kafka) as admin:
        found = await admin.list_consumer_group_offsets(settings.group(FEEDBACK_GROUP))
    return {partition: meta.offset for partition, meta in found.items()}


async def members(settings: Settings) -> int:
    """Give how many members of the feedback group have partitions."""
    async with admin_client(settings.kafka) as admin:
        response: Any
        (response,) = await admin.describe_consumer_groups([settings.group(FEEDBACK_GROUP)])
    _, _, state, _, _, found, *_ = response.groups[0]
    return len(found) if state == "Stable" else 0


async def wait_for_members(settings: Settings, count: int) -> None:
    async def are_there() -> bool:
        return await members(settings) == count

    await wait_until(are_there, seconds=30, what=f"{count} members")


async def pour(publisher: FeedbackPublisher, events: Sequence[FeedbackSubmitted], *, seconds: float) -> None:
    """Publish one by one, over some time."""
    for event in events:
        await publisher.publish(event)
        await asyncio.sleep(seconds / len(events))


async def wait_for(settings: Settings, count: int) -> None:
    await wait_until(lambda: len(assessments(settings)) >= count, seconds=60, what=f"{count} logged")


async def assert_each_is_logged_once(settings: Settings, events: Sequence[FeedbackSubmitted]) -> None:
    """Compare with MLflow, and with what was told; these events are the newest of their feedback."""
    found = assessments(settings)
    assert Counter(item["metadata"]["feedback.event_id"] for item in found) == Counter(
        str(event.event_id) for event in events
    )
    told = await receipts(settings)
    logged = Counter(r.event_id for r in {r.receipt_id: r for r in told}.values() if r.outcome == "logged")
    assert [event for event in events if logged[event.event_id] != 1] == []
    assert await dead_letters(settings) == []
    log.warning(
        "%d events, %d receipts told again", len(events), len(told) - len({r.receipt_id for r in told})
    )


def actions(running: Running) -> Counter[str]:
    lines = [line for line in running.log.read_text().splitlines() if line.startswith("{")]
    return Counter(json.loads(line)["action"] for line in lines)


async def test_a_frozen_member_that_comes_back_takes_nothing_back(
    settings: Settings, traces: list[Trace], publisher: FeedbackPublisher, consumers: Consumers
) -> None:
    """It freezes in the middle of a batch, and thaws when others have settled newer versions of all of it."""
    count = 300
    frozen = await consumers.start("all")
    await publisher.publish(*[feedback(traces, number) for number in range(count)])
    await wait_for(settings, 30)
    frozen.process.send_signal(signal.SIGSTOP)
    assert len(assessments(settings)) < count
    newest = [feedback(traces, number, version=2) for number in range(count)]
    await publisher.publish(*newest)
    await consumers.start("all")
    await wait_until_settled(settings, seconds=60)
    before = await committed(settings)

    frozen.process.send_signal(signal.SIGCONT)
    left = ("commit_skipped", "commit_failed")
    await wait_until(
        lambda: any(actions(frozen)[name] for name in left), seconds=30, what="its batch has ended"
    )
    await wait_for_members(settings, 2)
    await wait_until_settled(settings, seconds=30)
    assert await committed(settings) == before
    assert Counter(map(value_of, assessments(settings))) == Counter({2: count})
    assert {item["rationale"] for item in assessments(settings)} == {"comment 2"}
    await assert_each_is_logged_once(settings, newest)


async def test_a_rolling_restart_under_load(
    settings: Settings, traces: list[Trace], publisher: FeedbackPublisher, consumers: Consumers
) -> None:
    events = [feedback(traces, number) for number in range(600)]
    running = [await consumers.start("all", ready=False) for _ in range(3)]
    await wait_for_members(settings, 3)
    pouring = asyncio.create_task(pour(publisher, events, seconds=8))
    for member in running:
        assert await asyncio.to_thread(member.terminate) == 0
        await consumers.start("all")
    await pouring
    await wait_until_settled(settings, seconds=60)
    await assert_each_is_logged_once(settings, events)


async def test_from_one_member_to_four_and_back(
    settings: Settings, traces: list[Trace], publisher: FeedbackPublisher, consumers: Consumers
) -> None:
    events = [feedback(traces, number) for number in range(500)]
    await consumers.start("all")
    pouring = asyncio.create_task(pour(publisher, events, seconds=6))
    await wait_for(settings, 10)
    more = [await consumers.start("all", ready=False) for _ in range(3)]
    await wait_for_members(settings, 4)
    for member in more:
        assert await asyncio.to_thread(member.terminate) == 0
    await wait_for_members(settings, 1)
    await pouring
    await wait_until_settled(settings, seconds=60)
    await assert_each_is_logged_once(settings, events)
    assert outcomes(await receipts(settings)) == Counter(logged=len(events))


async def test_added_partitions_are_read_from_their_beginning(
    settings: Settings, traces: list[Trace], publisher: FeedbackPublisher, consumers: Consumers
) -> None:
    """While nothing else happens in the group: only its own look at the topics tells it of them."""
    old, new = settings.topic_partitions, settings.topic_partitions + 3
    await consumers.start("all")
    early = [feedback(traces, number) for number in range(200)]
    pouring = asyncio.create_task(pour(publisher, early, seconds=5))
    await wait_for(settings, 10)
    topics = (settings.topics.chat_completed, settings.topics.feedback_submitted)
    async with admin_client(settings.kafka) as admin:
        await admin.create_partitions({topic: NewPartitions(total_count=new) for topic in topics})
    late = [feedback(traces, 1000 + number) for number in range(200)]
    chats = [ChatCompleted(client_request_id=t.request_id, trace_id=t.trace_id) for t in traces]
    async with AIOKafkaProducer(**settings.kafka.options(), acks="all") as producer:
        await _send(producer, topics[0], chats, range(old, new))
        await _send(producer, topics[1], late, range(old, new))
    await pouring
    start = asyncio.get_running_loop().time()
    await wait_until_settled(settings, seconds=45)
    log.warning("all settled %.1f s after the last event", asyncio.get_running_loop().time() - start)
    assert {p.partition for p in await committed(settings)} >= set(range(old, new))
    await assert_each_is_logged_once(settings, [*early, *late])


async def _send(producer: AIOKafkaProducer, topic: str, events: Sequence[Any], partitions: range) -> None:
    for number, event in enumerate(events):
        partition = partitions[number % len(partitions)]
        await producer.send(topic, event.model_dump_json(exclude_none=True).encode(), partition=partition)
    await producer.flush()
