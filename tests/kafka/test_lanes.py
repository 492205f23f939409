"""Several consumers of a topic in one process: each feedback in order, each commits its own, none hides."""

import json
import signal
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from chaos.proxy import Proxy
from support.consumers import Consumers
from support.waiting import wait_until
from support.world import (
    assessments,
    outcomes,
    receipts,
    request_id,
    value_of,
    wait_until_settled,
    write_traces,
)

from consumers.bootstrap import FEEDBACK_GROUP
from consumers.settings import Settings
from contracts.events import AssessmentInput, ChatCompleted, FeedbackSubmitted, Source
from contracts.publisher import FeedbackPublisher
from ops.reading import lag

LANES, CHATS = 3, 30
NOW = datetime.now(UTC)
STALL_SECONDS = 4
SITECUSTOMIZE = """
import gc, signal

def end_fetching_of_one_lane(*_):
    gc.unfreeze()  # the broker is older than the process's last look at its garbage
    for thing in gc.get_objects():
        if type(thing).__name__ == "PipelineBroker":
            loops = [loop for loop in thing.loops() if loop.name == "feedback"]
            loops[1].consumer._fetcher._fetch_task.cancel()

signal.signal(signal.SIGUSR2, end_fetching_of_one_lane)
"""


@pytest.fixture
def consumers(settings: Settings, tmp_path: Path) -> Iterator[Consumers]:
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)
    variables = {
        "FEEDBACK_LANES": str(LANES),
        "FEEDBACK_MLFLOW_SINK": "auto",
        "FEEDBACK_BATCH_MAX_RECORDS": "50",
        # What may still arrive late, and who is dead, is soon given up.
        "FEEDBACK_KAFKA_SESSION_TIMEOUT_MS": "6000",
        "FEEDBACK_REQUEST_LIFETIME_SECONDS": "6",
        "FEEDBACK_STALL_SECONDS": str(STALL_SECONDS),
        "PYTHONPATH": str(tmp_path),
    }
    with Consumers(settings, tmp_path, **variables) as consumers:
        yield consumers


def version(settings: Settings, chat: int, number: int) -> FeedbackSubmitted:
    return FeedbackSubmitted(
        client_request_id=request_id(settings, chat),
        source=Source(type="HUMAN", id="anna"),
        submitted_at=NOW + timedelta(milliseconds=number),
        assessments=(AssessmentInput(name="helpful", value=number),),
    )


async def index_chats(settings: Settings, publisher: FeedbackPublisher) -> None:
    """Have the chats known, so that no feedback waits for its own."""
    traces = write_traces(settings, CHATS)
    await publisher.publish(
        *(ChatCompleted(client_request_id=t.request_id, trace_id=t.trace_id) for t in traces)
    )


async def behind(settings: Settings) -> int:
    return await lag(settings.kafka, settings.group(FEEDBACK_GROUP), settings.topics.feedback_submitted)


async def test_versions_of_one_feedback_stay_in_order(
    settings: Settings, publisher: FeedbackPublisher, consumers: Consumers
) -> None:
    versions = 40
    await index_chats(settings, publisher)
    await consumers.start("all")
    await wait_until_settled(settings, seconds=20)
    for number in range(versions):
        await publisher.publish(*(version(settings, chat, number) for chat in range(CHATS)))
    await wait_until_settled(settings, seconds=60)
    found = [value_of(item) for item in assessments(settings)]
    assert found == [versions - 1] * CHATS
    told = await receipts(settings)
    assert sum(outcomes(told).values()) == len(told) == CHATS * versions
    times = defaultdict(list)
    for receipt in told:
        if receipt.outcome == "logged":
            times[receipt.feedback_id].append(receipt.submitted_at)
    assert len(times) == CHATS
    assert all(of_one == sorted(of_one) for of_one in times.values())


async def test_a_lane_that_waits_holds_up_nobody_and_commits_nothing(
    settings: Settings, publisher: FeedbackPublisher, consumers: Consumers
) -> None:
    await index_chats(settings, publisher)
    with ExitStack() as ending:
        proxy = ending.enter_context(Proxy(urlsplit(settings.mlflow_tracking_uri).port or 0))
        running = await consumers.start("all", MLFLOW_TRACKING_URI=f"http://127.0.0.1:{proxy.port}")
        await wait_until_settled(settings, seconds=20)
        held = proxy.hold(b"/feedback-batch/assessments HTTP")
        await publisher.publish(*(version(settings, chat, 0) for chat in range(CHATS)))
        await wait_until(held.caught.is_set, seconds=20, what="one lane waits for MLflow")
        await publisher.publish(*(version(settings, chat, 1) for chat in range(CHATS)))

        async def only_its_own_is_left() -> bool:
            return 0 < await behind(settings) == 2 * (CHATS - value_ones(settings)) < 2 * CHATS

        await wait_until(only_its_own_is_left, seconds=20, what="the others settle and commit all of theirs")
        running.kill()
        held.release()
        await wait_until(lambda: b" 200 OK" in b"".join(held.said), seconds=10, what="it arrives late")
    await consumers.start("all")
    await wait_until_settled(settings, seconds=40)
    assert value_ones(settings) == CHATS == len(assessments(settings))


def value_ones(settings: Settings) -> int:
    return sum(value_of(item) == 1 for item in assessments(settings))


async def test_a_lane_that_stands_still_is_named(
    settings: Settings, publisher: FeedbackPublisher, consumers: Consumers
) -> None:
    await index_chats(settings, publisher)
    running = await consumers.start("all")
    await publisher.publish(*(version(settings, chat, 0) for chat in range(CHATS)))
    await wait_until_settled(settings, seconds=20)
    running.process.send_signal(signal.SIGUSR2)
    await publisher.publish(*(version(settings, chat, 1) for chat in range(CHATS)))
    assert running.process.wait(STALL_SECONDS + 15) == 1
    lines = [json.loads(line) for line in running.log.read_text().splitlines() if line.startswith("{")]
    (said,) = [line for line in lines if line["level"] == "critical"]
    assert said["action"] == "stalled"
    assert said["what"].startswith(f"feedback, lane 2 of 3: {settings.topics.feedback_submitted}[")
    await consumers.start("all")
    await wait_until_settled(settings, seconds=20)
    assert value_ones(settings) == CHATS
