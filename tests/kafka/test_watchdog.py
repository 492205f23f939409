"""Real consumers that stand still: they end with an error; what they had not settled comes again."""

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from support.consumers import Consumers, Running
from support.waiting import wait_until
from support.world import assessments, request_id, wait_until_settled, write_traces

from consumers import kafka_answers as asking
from consumers.bootstrap import FEEDBACK_GROUP
from consumers.kafka_answers import kafka_answers
from consumers.settings import Settings
from contracts.kafka import KafkaSettings
from contracts.publisher import FeedbackPublisher
from local.ports import free_port

STALL_SECONDS = 4
SITECUSTOMIZE = """
import gc, signal, time

def block_the_loop(*_):
    time.sleep(300)

def end_fetching(*_):
    '''What aiokafka's issue 983 saw: the task that fetches is gone, and nobody says so.'''
    for thing in gc.get_objects():
        if type(thing).__name__ == "Fetcher":
            thing._fetch_task.cancel()

signal.signal(signal.SIGUSR1, block_the_loop)
signal.signal(signal.SIGUSR2, end_fetching)
"""


@pytest.fixture
def fragile(settings: Settings, tmp_path: Path) -> Iterator[Consumers]:
    """Consumers that a signal can make stand still."""
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)
    variables = {"PYTHONPATH": str(tmp_path), "FEEDBACK_STALL_SECONDS": str(STALL_SECONDS)}
    with Consumers(settings, tmp_path, **variables) as consumers:
        yield consumers


def critical(running: Running) -> list[dict[str, Any]]:
    lines = [line for line in running.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in map(json.loads, lines) if line["level"] == "critical"]


async def publish(settings: Settings, publisher: FeedbackPublisher, user: str) -> None:
    await publisher.feedback_submitted(
        client_request_id=request_id(settings, 0),
        source={"type": "HUMAN", "id": user},
        assessments=[{"name": "helpful", "value": True}],
    )


async def test_a_blocked_event_loop_ends_the_process(
    fragile: Consumers,
) -> None:
    running = await fragile.start("all")
    running.process.send_signal(signal.SIGUSR1)
    assert running.process.wait(STALL_SECONDS + 10) == 1
    (said,) = critical(running)
    assert (said["action"], said["what"]) == ("stalled", "the event loop")
    assert "block_the_loop" in said["where"][-1]


async def test_a_consumer_that_fetches_no_more_ends_and_the_next_one_goes_on(
    fragile: Consumers, settings: Settings, publisher: FeedbackPublisher, consumers: Consumers
) -> None:
    write_traces(settings, 1)
    running = await fragile.start("feedback")
    await publish(settings, publisher, "first")
    await wait_until_settled(settings, seconds=20)
    running.process.send_signal(signal.SIGUSR2)
    await publish(settings, publisher, "second")
    assert running.process.wait(STALL_SECONDS + 15) == 1
    (said,) = critical(running)
    assert said["action"] == "stalled"
    # Every lane of the process has lost its fetcher.
    assert re.match(rf"feedback, lane [12] of 2: {settings.topics.feedback_submitted}\[", said["what"])
    assert said["since"]

    await consumers.start("feedback")
    await wait_until_settled(settings, seconds=20)
    assert len(assessments(settings)) == 2


async def test_a_kafka_that_is_away_is_waited_for(
    signal_kafka: Callable[[int], object],
    fragile: Consumers,
    settings: Settings,
    publisher: FeedbackPublisher,
) -> None:
    write_traces(settings, 1)
    running = await fragile.start("all")
    signal_kafka(signal.SIGSTOP)
    away = lambda: running.answers("/readyz", 503, "kafka")  # noqa: E731 - a condition with a name
    await wait_until(away, seconds=25, what="Kafka is seen to be away")
    with pytest.raises(subprocess.TimeoutExpired):
        running.process.wait(2 * STALL_SECONDS)
    signal_kafka(signal.SIGCONT)
    await publish(settings, publisher, "first")
    await wait_until(lambda: len(assessments(settings)) == 1, seconds=20, what="the feedback is logged")
    await wait_until(running.is_ready, seconds=15, what="it is ready again")
    assert running.answers("/healthz", 200)
    assert critical(running) == []


async def test_kafka_is_asked_as_a_consumer_would_be_served(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = settings.group(FEEDBACK_GROUP)
    partition = TopicPartition(settings.topics.feedback_submitted, 0)
    assert await kafka_answers(settings.kafka, group, [partition])
    monkeypatch.setattr(asking, "_SECONDS", 2)
    assert not await kafka_answers(settings.kafka, group, [TopicPartition(f"{settings.topic_prefix}none", 0)])
    nobody = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
    assert not await kafka_answers(nobody, group, [partition])
