"""The events, as JSON that any language can write.

Consumers ignore fields that they do not know; publishers and ``feedback contracts check`` refuse them.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self
from uuid import UUID, uuid4

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from contracts import limits
from contracts.fields import Metadata, Name, Rationale, RequestId, SpanId, Tags, Time, TraceId, Value
from contracts.values import Kind, check_value

SourceType = Literal["HUMAN", "LLM_JUDGE", "CODE"]
Outcome = Literal["logged", "superseded", "withdrawn", "dead-lettered"]


def _now() -> datetime:
    return datetime.now(UTC)


class _Model(BaseModel):
    # hide_input_in_errors: a validation error must never carry a comment into a log.
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, allow_inf_nan=False)


class Segment(_Model):
    """What the chat says of itself; quality can be cut by each of these fields."""

    session_id: Name | None = None
    user_id: Name | None = None
    environment: Name | None = None
    app_version: Name | None = None
    deployment_id: Name | None = None
    region: Name | None = None


class ChatCompleted(Segment):
    """A chat request was answered; says which trace it left."""

    type: Literal["ChatCompleted"] = "ChatCompleted"
    event_id: UUID = Field(default_factory=uuid4)
    client_request_id: RequestId
    trace_id: TraceId | None = None
    completed_at: Time = Field(default_factory=_now)
    tags: Tags | None = None


class Source(_Model):
    """Who gives the feedback: a person, an LLM judge or code."""

    type: SourceType
    id: Name | None = None


class AssessmentInput(_Model):
    """One thing that somebody said: a name, a value and, for feedback, a rationale."""

    name: Name
    kind: Kind = "feedback"
    value: Value
    rationale: Rationale | None = None

    @field_validator("value")
    @classmethod
    def _check_value(cls, value: object, info: ValidationInfo) -> object:
        check_value(value, info.data.get("kind", "feedback"))
        return value

    @model_validator(mode="after")
    def _check_rationale(self) -> Self:
        if self.kind == "expectation" and self.rationale is not None:
            msg = "rationale is given for an expectation, which MLflow drops; put it into metadata"
            raise ValueError(msg)
        return self


class AssessmentRef(_Model):
    """The name of an assessment to withdraw; a plain string means a feedback of that name."""

    name: Name
    kind: Kind = "feedback"


def _plain_name(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class _FeedbackEvent(_Model):
    event_id: UUID = Field(default_factory=uuid4)
    client_request_id: RequestId | None = None
    trace_id: TraceId | None = None
    span_id: SpanId | None = None
    feedback_id: Name | None = None
    source: Source
    submitted_at: Time = Field(default_factory=_now)

    @model_validator(mode="after")
    def _check_reference(self) -> Self:
        if self.client_request_id is None and self.trace_id is None:
            msg = "no reference: client_request_id or trace_id is needed to find the trace"
            raise ValueError(msg)
        return self

    @property
    def reference(self) -> str:
        """Give what the feedback is about: the request id, or the trace id where there is none."""
        return self.client_request_id or self.trace_id or ""

    @property
    def who(self) -> str:
        """Give who says it: feedback_id, else source.id, else event_id (anonymous)."""
        return self.feedback_id or self.source.id or str(self.event_id)


class FeedbackSubmitted(_FeedbackEvent):
    """Somebody gave feedback on a chat, or changed it."""

    type: Literal["FeedbackSubmitted"] = "FeedbackSubmitted"
    metadata: Metadata | None = None
    assessments: Annotated[tuple[AssessmentInput, ...], Field(min_length=1, max_length=limits.ASSESSMENTS)]

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        _refuse_doubles([(a.kind, a.name) for a in self.assessments], "assessments")
        return self


class FeedbackWithdrawn(_FeedbackEvent):
    """Somebody took feedback back."""

    type: Literal["FeedbackWithdrawn"] = "FeedbackWithdrawn"
    names: Annotated[
        tuple[Annotated[AssessmentRef, BeforeValidator(_plain_name)], ...],
        Field(min_length=1, max_length=limits.ASSESSMENTS),
    ]

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        _refuse_doubles([(r.kind, r.name) for r in self.names], "names")
        if self.source.id is None and self.feedback_id is None:
            msg = "source.id or feedback_id is needed to say whose feedback is withdrawn"
            raise ValueError(msg)
        return self


def _refuse_doubles(names: list[tuple[str, str]], field: str) -> None:
    if len(set(names)) < len(names):
        msg = f"{field} holds one name and kind twice; send one of them, or give them different names"
        raise ValueError(msg)


class FeedbackLogged(Segment):
    """The receipt of what became of one assessment of one event."""

    type: Literal["FeedbackLogged"] = "FeedbackLogged"
    receipt_id: UUID
    event_id: UUID
    feedback_id: UUID
    outcome: Outcome
    reason: str | None = None
    client_request_id: str | None = None
    trace_id: str | None = None
    assessment_id: str | None = None
    kind: Kind
    name: str
    value: Value | None = None
    source: Source
    submitted_at: Time
    logged_at: Time
    attempts: int


FeedbackEvent = FeedbackSubmitted | FeedbackWithdrawn
Event = ChatCompleted | FeedbackSubmitted | FeedbackWithdrawn
EVENTS: tuple[type[BaseModel], ...] = (ChatCompleted, FeedbackSubmitted, FeedbackWithdrawn, FeedbackLogged)
