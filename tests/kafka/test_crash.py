"""kill -9 in the middle: nothing lost, nothing doubled."""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from chaos.proxy import Proxy
from support.consumers import Consumers
from support.waiting import wait_until
from support.world import assessments, outcomes, receipts, request_id, wait_until_settled, write_traces

from consumers.settings import Settings
from contracts.events import ChatCompleted, Event, FeedbackSubmitted
from contracts.publisher import FeedbackPublisher

CHATS, EVENTS = 100, 5_000
KILLS = 3
BULK = b"/feedback-batch/assessments HTTP"


def _feedback(settings: Settings, number: int) -> FeedbackSubmitted:
    return FeedbackSubmitted.model_validate(
        {
            "client_request_id": request_id(settings, number % CHATS),
            "source": {"type": "HUMAN", "id": f"user-{number}"},
            "assessments": [{"name": "helpful", "value": number % 3 == 0, "rationale": f"comment {number}"}],
        }
    )


@pytest.mark.timeout(400)
async def test_killed_consumers_lose_and_double_nothing(
    settings: Settings, publisher: FeedbackPublisher, consumers: Consumers
) -> None:
    traces = write_traces(settings, CHATS)
    feedback = [_feedback(settings, number) for number in range(EVENTS)]
    chats: list[Event] = [ChatCompleted(client_request_id=t.request_id, trace_id=t.trace_id) for t in traces]
    await publisher.publish(*chats, *feedback)

    running = await consumers.start("all", FEEDBACK_BATCH_MAX_RECORDS="200")
    for kill in range(1, KILLS + 1):
        enough = EVENTS * kill // (KILLS + 2)
        await wait_until(lambda: len(assessments(settings)) >= enough, seconds=120, what=f"{enough} logged")  # noqa: B023
        running.kill()
        assert len(assessments(settings)) < EVENTS
        running = await consumers.start("all", FEEDBACK_BATCH_MAX_RECORDS="200")
    await wait_until_settled(settings, seconds=200)

    found = assessments(settings)
    assert Counter(item["metadata"]["feedback.event_id"] for item in found) == Counter(
        str(event.event_id) for event in feedback
    )
    assert outcomes(await receipts(settings)) == Counter(logged=EVENTS)


async def test_killed_in_the_middle_of_bulk_requests_they_lose_and_double_nothing(
    settings: Settings, publisher: FeedbackPublisher, tmp_path: Path
) -> None:
    """With one request that MLflow gets only then, and one that it has written and not yet told."""
    traces = write_traces(settings, CHATS)
    feedback = [_feedback(settings, number) for number in range(EVENTS)]
    chats: list[Event] = [ChatCompleted(client_request_id=t.request_id, trace_id=t.trace_id) for t in traces]
    with ExitStack() as ending:
        proxy = ending.enter_context(Proxy(urlsplit(settings.mlflow_tracking_uri).port or 0))
        environment = {
            "FEEDBACK_MLFLOW_SINK": "auto",
            "FEEDBACK_BATCH_MAX_RECORDS": "200",
            "FEEDBACK_KAFKA_SESSION_TIMEOUT_MS": "6000",
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{proxy.port}",
        }
        consumers = ending.enter_context(Consumers(settings, tmp_path, **environment))
        await publisher.publish(*chats)
        running = await consumers.start("all")
        await wait_until_settled(settings, seconds=20)
        held = proxy.hold(BULK)
        await publisher.publish(*feedback[: EVENTS // 2])
        await wait_until(held.caught.is_set, seconds=20, what="one lane's request is on its way")
        proxy.swallow("hang")
        known = len(assessments(settings))
        await publisher.publish(*feedback[EVENTS // 2 :])
        await wait_until(lambda: len(assessments(settings)) > known, seconds=20, what="another's is written")
        running.kill()
        held.release()
        await wait_until(lambda: b" 200 OK" in b"".join(held.said), seconds=20, what="the late one arrives")
        assert len(assessments(settings)) < EVENTS
        proxy.heal()
        await consumers.start("all")
        await wait_until_settled(settings, seconds=60)

    found = assessments(settings)
    assert Counter(item["metadata"]["feedback.event_id"] for item in found) == Counter(
        str(event.event_id) for event in feedback
    )
    assert outcomes(await receipts(settings)) == Counter(logged=EVENTS)


async def test_a_clean_end_redelivers_nothing(
    settings: Settings, publisher: FeedbackPublisher, consumers: Consumers
) -> None:
    write_traces(settings, CHATS)
    first = await consumers.start("all")
    await publisher.publish(*[_feedback(settings, number) for number in range(600)])
    await wait_until(lambda: len(assessments(settings)) >= 100, seconds=60, what="100 logged")
    assert first.terminate() == 0
    await consumers.start("all")
    await wait_until_settled(settings, seconds=60)

    told = await receipts(settings)
    assert len(told) == len({receipt.receipt_id for receipt in told}) == 600
