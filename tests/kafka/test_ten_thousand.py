"""500 chats, thousands of feedback events of many users, some of them doubled, in random order."""

import random
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from support.consumers import Consumers
from support.world import (
    assessments,
    dead_letters,
    outcomes,
    receipts,
    value_of,
    wait_until_settled,
    write_traces,
)

from consumers.settings import Settings
from contracts.events import ChatCompleted, Event, FeedbackSubmitted
from contracts.publisher import FeedbackPublisher

CHATS = 500
SINKS = {"mlflow_rest": ("rest", 2_500), "mlflow_batch": ("auto", 10_000)}
"""What to ask for, and how many events: one by one, 10,000 take 80 s."""
VALUES: list[Callable[[int], Any]] = [
    lambda n: n % 2 == 0,
    lambda n: n / 4,
    lambda n: f"text {n} 'quoted' \"twice\" 🎉",
    lambda n: [f"tag-{n}", n, True],
    lambda n: {"accuracy": n / 8, "kind": "ok"},
]
SOURCES = ["HUMAN", "LLM_JUDGE", "CODE"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["mlflow_rest", "mlflow_batch"])
async def test_each_feedback_is_one_assessment(
    settings: Settings, publisher: FeedbackPublisher, consumers: Consumers, name: str
) -> None:
    sink, events = SINKS[name]
    doubles = events // 20
    randomness = random.Random(20_260)
    traces = write_traces(settings, CHATS)
    chats = [
        ChatCompleted(
            client_request_id=trace.request_id,
            trace_id=trace.trace_id,
            session_id=f"s-{number}",
            region=f"region-{number % 3}",
        )
        for number, trace in enumerate(traces)
    ]
    feedback = [_feedback(number, traces[number % CHATS].request_id) for number in range(events - doubles)]
    doubled = randomness.sample(feedback, doubles)
    everything: list[Event] = [*chats, *feedback, *doubled]
    randomness.shuffle(everything)

    await consumers.start("chats")
    running = await consumers.start("feedback", FEEDBACK_MLFLOW_SINK=sink)
    for start in range(0, len(everything), 1000):
        await publisher.publish(*everything[start : start + 1000])
    await wait_until_settled(settings, seconds=400)

    found = assessments(settings)
    assert len(found) == events - doubles
    by_event = {item["metadata"]["feedback.event_id"]: item for item in found}
    trace_of = {trace.request_id: trace.trace_id for trace in traces}
    for number, event in enumerate(feedback):
        item = by_event[str(event.event_id)]
        said = event.assessments[0]
        assert item["trace_id"] == trace_of[event.client_request_id or ""]
        assert item["assessment_name"] == said.name
        assert value_of(item) == said.value
        assert type(value_of(item)) is type(said.value)
        assert item.get("rationale") == said.rationale
        assert item["source"] == {"source_type": event.source.type, "source_id": event.source.id}
        assert item["metadata"]["page"] == f"p{number}"
        assert item["metadata"]["region"] == f"region-{number % CHATS % 3}"
        assert item["metadata"]["session_id"] == f"s-{number % CHATS}"
    assert outcomes(await receipts(settings)) == Counter(logged=events - doubles)
    assert await dead_letters(settings) == []
    assert set(re.findall(r'"sink": "(\w+)"', running.log.read_text())) == {name}


def _feedback(number: int, request_id: str) -> FeedbackSubmitted:
    return FeedbackSubmitted.model_validate(
        {
            "client_request_id": request_id,
            "source": {"type": SOURCES[number % 3], "id": f"user-{number}"},
            "metadata": {"page": f"p{number}"},
            "assessments": [
                {
                    "name": f"name-{number % 7}",
                    "value": VALUES[number % len(VALUES)](number),
                    "rationale": f"because {number}" if number % 2 else None,
                }
            ],
        }
    )
