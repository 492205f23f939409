import asyncio
import json
import re
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from support.reading import Record, read_topic
from support.stack import Stack
from support.waiting import wait_until

from contracts import AssessmentInput, FeedbackSubmitted, Source, Topics
from contracts.kafka import KafkaSettings
from contracts.parse import ALL_EVENTS, ContractError, parse_event
from contracts.publisher import FeedbackPublisher, PublishError
from contracts.topics import EVENT_BYTES
from local import runner
from local.home import Home
from local.kafka import KafkaNode, make_cluster
from local.lift import lift
from local.progress import Silent

SECRET = "s3cret-comment-of-a-person"  # noqa: S105 - a comment that no message may quote
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PERSON = Source(type="HUMAN", id="anna")


def feedback(request: str = "req-1", value: object = True) -> FeedbackSubmitted:  # noqa: FBT002 - a value
    said = AssessmentInput(name="helpful", value=value, rationale=SECRET)
    return FeedbackSubmitted(client_request_id=request, source=PERSON, assessments=(said,))


def parsed(record: Record) -> Any:
    return parse_event(record.value, ALL_EVENTS, recorded_at=datetime.now(UTC))


@pytest.fixture
async def connected(stack: Stack, topics: Topics) -> AsyncIterator[FeedbackPublisher]:
    settings = KafkaSettings(bootstrap_servers=stack.kafka)
    async with FeedbackPublisher(settings, topics, source="shop/chat api") as publisher:
        yield publisher


async def test_what_is_acknowledged_can_be_read(
    connected: FeedbackPublisher, stack: Stack, topics: Topics
) -> None:
    chat = await connected.chat_completed(client_request_id="req-1", trace_id=TRACE, tags={"tenant": "ä"})
    said = [{"name": "helpful", "value": True, "rationale": SECRET}]
    given = await connected.feedback_submitted(client_request_id="req-1", source=PERSON, assessments=said)
    taken = await connected.feedback_withdrawn(client_request_id="req-1", source=PERSON, names=["helpful"])

    (first,) = read_topic(stack.kafka, topics.chat_completed, 1)
    records = read_topic(stack.kafka, topics.feedback_submitted, 2)
    assert parsed(first) == chat
    assert [parsed(record) for record in records] == [given, taken]
    assert {record.key for record in [first, *records]} == {b"req-1"}


async def test_a_trace_id_is_the_key_where_there_is_no_request_id(
    connected: FeedbackPublisher, stack: Stack, topics: Topics
) -> None:
    await connected.feedback_submitted(trace_id=TRACE, source=PERSON, assessments=[{"name": "a", "value": 1}])
    (record,) = read_topic(stack.kafka, topics.feedback_submitted, 1)
    assert record.key == f"tr-{TRACE}".encode()


async def test_a_record_carries_cloudevents_headers_and_a_traceparent(
    connected: FeedbackPublisher, stack: Stack, topics: Topics
) -> None:
    chat = await connected.chat_completed(client_request_id="req-1", trace_id=TRACE)
    (record,) = read_topic(stack.kafka, topics.chat_completed, 1)
    headers = {name: (value or b"").decode() for name, value in record.headers}
    trace = headers.pop("traceparent")
    assert headers == {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": str(chat.event_id),
        "ce_type": "feedback-pipeline.ChatCompleted",
        "ce_source": "shop/chat%20api",
        "ce_time": chat.completed_at.isoformat(),
    }
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-00", trace)


async def test_a_topic_that_does_not_exist_is_named_with_the_mend(stack: Stack) -> None:
    settings = KafkaSettings(bootstrap_servers=stack.kafka, request_timeout_ms=2_000)
    async with FeedbackPublisher(settings, Topics("nowhere-")) as publisher:
        event = feedback()
        with pytest.raises(PublishError) as caught:
            await publisher.publish(event)
    said = str(caught.value)
    assert f"topic 'nowhere-feedback-submitted' at {stack.kafka}" in said
    assert "feedback topics create" in said
    assert caught.value.events == (event,)


async def test_an_event_that_is_too_large_is_refused_with_the_limit(connected: FeedbackPublisher) -> None:
    said = [AssessmentInput(name=f"n{i}", value="x" * 60_000) for i in range(20)]
    event = FeedbackSubmitted(client_request_id="req-1", source=PERSON, assessments=tuple(said))
    with pytest.raises(ContractError, match=f"bytes; the limit is {EVENT_BYTES}") as caught:
        await connected.publish(feedback("req-2"), event)
    assert "xxx" not in str(caught.value)


async def test_the_largest_event_that_the_publisher_takes_is_taken_by_the_broker(
    connected: FeedbackPublisher, stack: Stack, topics: Topics
) -> None:
    said = [AssessmentInput(name=f"n{i}", value="x" * 60_000) for i in range(17)]
    fill = EVENT_BYTES - 17 * 60_045 - 2_000
    said.append(AssessmentInput(name="fill", value="x" * fill))
    await connected.publish(
        FeedbackSubmitted(client_request_id="req-1", source=PERSON, assessments=tuple(said))
    )
    (record,) = read_topic(stack.kafka, topics.feedback_submitted, 1)
    assert len(record.value or b"") > EVENT_BYTES - 4_000


async def test_many_events_at_once_arrive_once_each_and_a_key_keeps_its_partition(
    connected: FeedbackPublisher, stack: Stack, topics: Topics
) -> None:
    events = [feedback(f"req-{number % 50}", value=number) for number in range(2_000)]
    await connected.publish(*events)
    records = read_topic(stack.kafka, topics.feedback_submitted, len(events))

    partitions = defaultdict(set)
    for record in records:
        partitions[record.key].add(record.partition)
    assert len(partitions) == 50
    assert all(len(of_key) == 1 for of_key in partitions.values())
    assert len(set.union(*partitions.values())) > 1
    assert sorted(json.loads(record.value or b"")["event_id"] for record in records) == sorted(
        str(event.event_id) for event in events
    )


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[KafkaNode]:
    """A broker that a test may freeze and end."""
    home = Home.at(tmp_path)
    home.make()
    cluster = make_cluster(home, 1)
    (name,) = cluster.names
    node = KafkaNode(home, name, cluster)
    lift([node], Silent())
    yield node
    runner.signal_part(node, signal.SIGCONT)
    runner.end(node)


def address_of(node: KafkaNode) -> str:
    record = runner.alive(node)
    assert record is not None
    return record.address


def create(kafka: str, *names: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
        future.result(30)


async def test_while_the_broker_is_away_it_says_so_in_time_and_the_event_can_be_published_again(
    own_kafka: KafkaNode,
) -> None:
    kafka, topics, event = address_of(own_kafka), Topics(), feedback()
    create(kafka, topics.feedback_submitted)
    async with FeedbackPublisher(KafkaSettings(bootstrap_servers=kafka), timeout_seconds=3) as publisher:
        await publisher.publish(feedback("req-0"))
        runner.signal_part(own_kafka, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(PublishError) as caught:
            await publisher.publish(event)
        assert time.monotonic() - began < 10
        assert str(caught.value) == (
            f"topic 'feedback-submitted' at {kafka} did not acknowledge within 3 s; "
            "the event may still arrive, and publishing it again is safe"
        )
        assert caught.value.events == (event,)
        runner.signal_part(own_kafka, signal.SIGCONT)
        await publisher.publish(*caught.value.events)
    ids = {parsed(record).event_id for record in read_topic(kafka, topics.feedback_submitted, 2)}
    assert event.event_id in ids


def end_with_metadata_pending(kafka: KafkaNode) -> None:
    """End the broker while the producer waits for metadata that it will never have: a moment hard to meet."""
    runner.end(kafka)
    (synchronizer,) = (task for task in asyncio.all_tasks() if "_md_synchronizer" in repr(task.get_coro()))
    synchronizer.cancel()


def freeze(kafka: KafkaNode) -> None:
    runner.signal_part(kafka, signal.SIGSTOP)


@pytest.mark.parametrize("hurt", [runner.end, end_with_metadata_pending, freeze])
async def test_at_a_broker_that_is_away_the_publisher_still_answers_and_closes(
    own_kafka: KafkaNode, hurt: Callable[[KafkaNode], object]
) -> None:
    kafka = address_of(own_kafka)
    create(kafka, Topics().feedback_submitted)
    before = asyncio.all_tasks()
    async with FeedbackPublisher(KafkaSettings(bootstrap_servers=kafka), timeout_seconds=3) as publisher:
        await publisher.publish(feedback())
        hurt(own_kafka)
        with pytest.raises(PublishError, match=f"topic 'feedback-submitted' at {kafka}"):
            await publisher.publish(feedback())
        began = time.monotonic()
    left = asyncio.all_tasks() - before  # held, so that what waits for ever is not collected unseen
    assert time.monotonic() - began < 15
    nothing_left = lambda: all(task.done() for task in left)  # noqa: E731
    await wait_until(nothing_left, seconds=5, what="nothing goes on in the background")
