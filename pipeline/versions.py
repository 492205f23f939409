"""A version: what one event says of one feedback."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

from pydantic import TypeAdapter

from contracts import identity
from contracts.events import AssessmentInput, AssessmentRef, FeedbackEvent, FeedbackSubmitted
from contracts.values import Kind

Op = Literal["log", "withdraw"]
Order = tuple[datetime, UUID]
"""Versions of one feedback are ordered by submitted_at, ties by event_id; the greatest wins."""


@dataclass(slots=True, kw_only=True)  # frozen, it takes twice as long to make
class Version:
    """One assessment of one event: the unit of every promise that the pipeline makes."""

    feedback_id: UUID
    event_id: UUID
    submitted_at: datetime
    op: Op
    client_request_id: str | None
    trace_id: str | None
    span_id: str | None
    kind: Kind
    name: str
    value: Any = None
    rationale: str | None = None
    source_type: Literal["HUMAN", "LLM_JUDGE", "CODE"]
    source_id: str | None
    metadata: dict[str, str] | None = None

    @property
    def order(self) -> Order:
        """Give what decides which of two versions is the newer."""
        return self.submitted_at, self.event_id

    @property
    def reference(self) -> str:
        """Give what the feedback is about."""
        return self.client_request_id or self.trace_id or ""

    @property
    def assessment_id(self) -> str:
        """Give the id of the one assessment that all versions of this feedback share."""
        return identity.assessment_id(self.feedback_id)

    def to_json(self) -> str:
        """Give the version as JSON, all that is needed to write it later."""
        return _adapter().serializer.to_json(self).decode()

    @staticmethod
    def from_json(text: str) -> "Version":
        """Take back what `to_json` gave."""
        return _adapter().validate_json(text)


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Version]:
    return TypeAdapter(Version)


def versions_of(event: FeedbackEvent) -> tuple[Version, ...]:
    """Give a version for each assessment that the event carries or withdraws."""
    if isinstance(event, FeedbackSubmitted):
        return tuple(_logged(event, assessment) for assessment in event.assessments)
    return tuple(_version(event, ref, op="withdraw") for ref in event.names)


def _logged(event: FeedbackSubmitted, assessment: AssessmentInput) -> Version:
    return _version(
        event,
        assessment,
        op="log",
        value=assessment.value,
        rationale=assessment.rationale,
        metadata=event.metadata,
    )


def _version(  # noqa: PLR0913 - what an assessment has and a withdrawal has not
    event: FeedbackEvent,
    part: AssessmentInput | AssessmentRef,
    *,
    op: Op,
    value: object = None,
    rationale: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Version:
    return Version(
        feedback_id=identity.feedback_id(
            reference=event.reference,
            span_id=event.span_id,
            kind=part.kind,
            name=part.name,
            source_type=event.source.type,
            who=event.who,
        ),
        event_id=event.event_id,
        submitted_at=event.submitted_at,
        op=op,
        client_request_id=event.client_request_id,
        trace_id=event.trace_id,
        span_id=event.span_id,
        kind=part.kind,
        name=part.name,
        value=value,
        rationale=rationale,
        source_type=event.source.type,
        source_id=event.source.id,
        metadata=metadata,
    )
