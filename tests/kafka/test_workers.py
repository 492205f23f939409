"""`feedback run … --workers 2`: they share the work, and end together however the first of them ends."""

import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.consumers import Consumers, Running
from support.waiting import wait_until
from support.world import (
    assessments,
    outcomes,
    receipts,
    request_id,
    wait_until_settled,
    write_traces,
)

from consumers.settings import Settings
from contracts.events import AssessmentInput, FeedbackSubmitted, Source
from contracts.publisher import FeedbackPublisher
from local.ports import free_port, is_free

CHATS, EVENTS = 20, 600
SETTLED = 'feedback_records_total{consumer="feedback"}'


@pytest.fixture
def consumers(settings: Settings, tmp_path: Path) -> Iterator[Consumers]:
    with Consumers(settings, tmp_path, FEEDBACK_MLFLOW_SINK="auto", FEEDBACK_LANES="1") as consumers:
        yield consumers


def neighbours() -> int:
    """Give a free port whose next one is free as well."""
    while True:
        port = free_port()
        if is_free(port + 1):
            return port


async def start(consumers: Consumers) -> tuple[Running, Running, list[psutil.Process]]:
    """Start a parent and two workers; the second one's own port is beside the first one's."""
    first = await consumers.start("all", "--workers", "2", port=neighbours())
    second = Running(first.process, first.port + 1, first.log)
    await wait_until(second.is_ready, seconds=20, what="the second is ready")
    workers = psutil.Process(first.process.pid).children()
    assert len(workers) == 2
    return first, second, workers


def are_gone(workers: list[psutil.Process]) -> bool:
    return not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)


def ends(running: Running) -> list[tuple[str, int]]:
    lines = [json.loads(line) for line in running.log.read_text().splitlines() if line.startswith("{")]
    return sorted((line["level"], line["status"]) for line in lines if line["action"] == "worker_ended")


async def test_two_workers_share_the_partitions_and_end_cleanly(
    settings: Settings, publisher: FeedbackPublisher, consumers: Consumers
) -> None:
    write_traces(settings, CHATS)
    first, second, workers = await start(consumers)
    feedback = [
        FeedbackSubmitted(
            client_request_id=request_id(settings, number % CHATS),
            source=Source(type="HUMAN", id=f"user-{number}"),
            assessments=(AssessmentInput(name="helpful", value=number),),
        )
        for number in range(EVENTS)
    ]
    await publisher.publish(*feedback)
    await wait_until_settled(settings, seconds=60)
    for worker in (first, second):
        assert SETTLED in worker.get("/metrics").text
    assert len(assessments(settings)) == EVENTS
    assert outcomes(await receipts(settings)) == {"logged": EVENTS}
    assert first.terminate() == 0
    assert are_gone(workers)
    assert ends(first) == [("info", 0), ("info", 0)]


async def test_one_that_is_killed_ends_all_with_an_error(consumers: Consumers) -> None:
    parent, _, workers = await start(consumers)
    workers[0].kill()
    assert parent.process.wait(20) == 1
    assert are_gone(workers)
    assert ends(parent) == [("critical", -9), ("info", 0)]


async def test_a_parent_that_is_killed_leaves_nobody(consumers: Consumers) -> None:
    parent, _, workers = await start(consumers)
    parent.kill()
    await wait_until(lambda: are_gone(workers), seconds=20, what="the workers are gone")
