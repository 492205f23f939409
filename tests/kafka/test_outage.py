"""MLflow, Postgres or Kafka gone under load: nothing is parked, dead or lost, and work goes on by itself.

`FEEDBACK_OUTAGE_SECONDS` makes the outage longer than the few seconds of every test run.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from mlflow.tracking._tracking_service.utils import _use_tracking_uri
from support.consumers import Consumers, Running
from support.stack import Stack, make_settings
from support.waiting import wait_until
from support.world import (
    assessments,
    dead_letters,
    outcomes,
    receipts,
    request_id,
    wait_until_settled,
    write_traces,
)

from consumers.settings import Settings
from contracts.events import AssessmentInput, FeedbackSubmitted, Source
from contracts.publisher import FeedbackPublisher, PublishError
from local import stack as local_stack
from ops.reading import end_offsets
from ops.topics import create_topics
from pipeline.outcomes import Dependency

OUTAGE = float(os.environ.get("FEEDBACK_OUTAGE_SECONDS", "12"))
CHATS, A_SECOND = 50, 20
RESUMED_SECONDS = 5
DRAINED = 120 + OUTAGE * A_SECOND / 40
"""Seconds: MLflow takes some 130 a second, and more come meanwhile."""

MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose parts may be killed."""
    home = tmp_path_factory.mktemp("killed-stack")
    addresses = local_stack.up(home)
    with _use_tracking_uri(addresses.mlflow):
        yield Stack(addresses.kafka, addresses.postgres, addresses.mlflow, home)
    local_stack.down(home, purge=True)


@dataclass
class Load:
    """Steady feedback, and what Kafka has acknowledged of it."""

    settings: Settings
    publisher: FeedbackPublisher
    published: list[FeedbackSubmitted] = field(default_factory=list)
    ended: bool = False

    async def run(self) -> None:
        """Publish until it is ended, never in the middle; what Kafka refuses is sent again as it was."""
        number = 0
        while not self.ended:
            events = [self._event(number + n) for n in range(A_SECOND // 4)]
            number += len(events)
            await self._send(events)
            await asyncio.sleep(0.25)

    async def _send(self, events: list[FeedbackSubmitted]) -> None:
        while True:
            try:
                await self.publisher.publish(*events)
            except PublishError:
                await asyncio.sleep(0.5)
            else:
                self.published += events
                return

    def _event(self, number: int) -> FeedbackSubmitted:
        return FeedbackSubmitted(
            client_request_id=request_id(self.settings, number % CHATS),
            source=Source(type="HUMAN", id=f"u-{number}"),
            assessments=(AssessmentInput(name="helpful", value=number),),
        )


@asynccontextmanager
async def load(settings: Settings) -> AsyncIterator[Load]:
    async with FeedbackPublisher(settings.kafka, settings.topics) as publisher:
        made = Load(settings, publisher)
        running = asyncio.create_task(made.run())
        yield made
        made.ended = True
        await running


def memory(running: Running) -> float:
    return float(psutil.Process(running.process.pid).memory_info().rss / MEGABYTE)


async def watch(running: Running, part: Dependency, seconds: float) -> float:
    """Wait for so long, and see that the process says what is away; gives the most memory it took."""
    most, end, named = 0.0, time.monotonic() + seconds, False
    while time.monotonic() < end:
        await asyncio.sleep(0.5)
        most = max(most, memory(running))
        named = named or running.answers("/readyz", 503, part)
        assert running.answers("/healthz", 200)
    # Kafka's own client waits in silence; what it means to a consumer with nothing to settle is no batches.
    assert named or part == "kafka"
    return most


@pytest.mark.timeout(OUTAGE + DRAINED + 120)
@pytest.mark.parametrize(
    ("part", "sink"), [("mlflow", "rest"), ("mlflow", "auto"), ("postgres", "rest"), ("kafka", "auto")]
)
async def test_what_is_away_is_waited_for(own: Stack, part: Dependency, sink: str, tmp_path: Path) -> None:
    assert own.home is not None
    settings = make_settings(own, mlflow_sink=sink)
    await create_topics(settings)
    write_traces(settings, CHATS)
    with Consumers(settings, tmp_path) as consumers:
        running = await consumers.start("all")
        async with load(settings) as sent:
            await wait_until(lambda: len(assessments(settings)) > A_SECOND, seconds=60, what="load is on")
            before = memory(running)
            local_stack.kill_part(own.home, part)
            most = await watch(running, part, OUTAGE)
            await asyncio.to_thread(local_stack.start_part, own.home, part)
            start, known = time.monotonic(), len(assessments(settings))
            await wait_until(lambda: len(assessments(settings)) > known, seconds=30, what="work goes on")
            resumed = time.monotonic() - start
            await wait_until(lambda: running.answers("/readyz", 200), seconds=10, what="it is ready again")
        await wait_until_settled(settings, seconds=DRAINED)
        assert running.process.poll() is None

    print(  # noqa: T201 - the figures, for pytest -s
        f"{part}, {sink}: away {OUTAGE:.0f} s, {len(sent.published)} events, resumed after {resumed:.1f} s, "
        f"RSS {before:.0f} → {most:.0f} MB"
    )
    assert resumed < RESUMED_SECONDS
    assert most < before + 50
    expected = {str(event.event_id) for event in sent.published}
    found = [item["metadata"]["feedback.event_id"] for item in assessments(settings)]
    assert sorted(found) == sorted(expected)
    assert outcomes(await receipts(settings)) == {"logged": len(expected)}
    assert await dead_letters(settings) == []
    for topic in settings.topics.retries.values():
        assert sum((await end_offsets(settings.kafka, topic)).values()) == 0
