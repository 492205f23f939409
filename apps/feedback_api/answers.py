"""What is answered to an event: that it was accepted, and what became of each of its assessments."""

from dataclasses import dataclass
from datetime import UTC
from typing import Final

from apps.feedback_api.models import Accepted, FeedbackAnswer, State
from apps.feedback_api.receipts import Expected, Receipt
from contracts.events import FeedbackEvent
from pipeline.versions import Version, versions_of

STATES: Final[dict[str, State]] = {
    "logged": "logged",
    "superseded": "superseded",
    "withdrawn": "withdrawn",
    "dead-lettered": "dead",
}


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and the versions of feedback that it carries."""

    event: FeedbackEvent
    versions: tuple[Version, ...]


def told(event: FeedbackEvent) -> Told:
    """Say what an event tells."""
    return Told(event, versions_of(event))


def accepted(one: Told, status_path: str) -> Accepted:
    """Give the answer to an event that Kafka has acknowledged."""
    event = one.event
    at = event.submitted_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return Accepted(
        event_id=event.event_id,
        client_request_id=event.client_request_id,
        trace_id=event.trace_id,
        feedback=[
            FeedbackAnswer(
                feedback_id=version.feedback_id,
                name=version.name,
                kind=version.kind,
                status_url=f"{status_path}/{version.feedback_id}?event_id={event.event_id}&submitted_at={at}",
            )
            for version in one.versions
        ],
    )


def with_receipts(one: Told, status_path: str, expected: Expected) -> Accepted:
    """Give the answer to an event whose receipts are all there."""
    answer = accepted(one, status_path)
    for item in answer.feedback:
        _fill(item, expected.receipts[str(one.event.event_id), str(item.feedback_id)])
        answer.trace_id = answer.trace_id or item.trace_id
    answer.status = "settled"
    return answer


def _fill(item: FeedbackAnswer, receipt: Receipt) -> None:
    item.status = STATES[str(receipt["outcome"])]
    item.reason = receipt.get("reason")
    item.trace_id = receipt.get("trace_id")
    item.assessment_id = receipt.get("assessment_id")
