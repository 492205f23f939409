"""What the routes take and give, in the contract's own types."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from contracts import limits
from contracts.events import AssessmentInput, AssessmentRef, Source, few, plain_name
from contracts.fields import Metadata, Name, Rationale, RequestId, SpanId, TraceId
from contracts.values import Kind

EVENTS_AT_ONCE = 100
_UNKNOWN = 3
"""Unknown fields that are still named one by one."""

State = Literal["accepted", "parked", "logged", "superseded", "withdrawn", "dead"]


class FewFields(BaseModel):
    """Refuses an object of many fields at once: a megabyte of unknown ones would be an error for each."""

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, value: object) -> object:
        if isinstance(value, dict) and len(value) > len(cls.model_fields) + _UNKNOWN:
            msg = f"has {len(value)} fields; there are only {len(cls.model_fields)}"
            raise ValueError(msg)
        return value


class _In(FewFields):
    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class _Source(FewFields, Source):
    model_config = ConfigDict(extra="forbid")


class _Assessment(FewFields, AssessmentInput):
    model_config = ConfigDict(extra="forbid")


class _Ref(FewFields, AssessmentRef):
    model_config = ConfigDict(extra="forbid")


class _Reference(_In):
    client_request_id: RequestId | None = None
    """The request that the feedback is about; with a token it may be left out."""
    trace_id: TraceId | None = None
    """The trace that it is about; this or the request is needed, and both are better."""
    span_id: SpanId | None = None
    """A span of the trace; without it, all of it."""
    feedback_id: Name | None = None
    """The page's id of one answer of somebody who is not signed in: the same again is an edit."""
    source: _Source | None = None
    """Who gives it; with a token always its user."""


class FeedbackIn(_Reference):
    """Feedback to give, or to change."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "client_request_id": "req-1",
                    "source": {"type": "HUMAN", "id": "anna"},
                    "assessments": [{"name": "user_feedback", "value": True, "rationale": "to the point"}],
                }
            ]
        }
    )

    metadata: Metadata | None = None
    """Strings that MLflow keeps with each assessment."""
    assessments: Annotated[
        list[_Assessment], Field(min_length=1, max_length=limits.ASSESSMENTS), BeforeValidator(few)
    ]
    """What is said: 1 to 32, no kind and name twice."""


class WithdrawalIn(_Reference):
    """Feedback to take back."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "client_request_id": "req-1",
                    "source": {"type": "HUMAN", "id": "anna"},
                    "names": ["user_feedback"],
                }
            ]
        }
    )

    names: Annotated[
        list[Annotated[_Ref, BeforeValidator(plain_name, json_schema_input_type=Name | _Ref)]],
        Field(min_length=1, max_length=limits.ASSESSMENTS),
        BeforeValidator(few),
    ]
    """What is taken back: 1 to 32 names, or objects of name and kind."""


def _one_or_many(value: object) -> str:
    return "many" if isinstance(value, list) else "one"


OneOrMany = Annotated[
    Annotated[FeedbackIn, Tag("one")]
    | Annotated[list[FeedbackIn], Field(min_length=1, max_length=EVENTS_AT_ONCE), Tag("many")],
    Discriminator(_one_or_many),
]


class Thumbs(_In):
    """A thumb, up or down, and what is said to it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"is_correct": False, "comment": "That menu does not exist"}]}
    )

    is_correct: bool
    comment: Rationale | None = None


class FeedbackAnswer(BaseModel):
    """What became of one assessment; its state where it is known."""

    feedback_id: UUID
    name: str
    kind: Kind
    status_url: str
    status: State | None = None
    reason: str | None = None
    trace_id: str | None = None
    assessment_id: str | None = None


class Accepted(BaseModel):
    """An event that Kafka has acknowledged."""

    status: Literal["accepted", "settled"] = "accepted"
    """accepted; settled once all receipts are there."""
    event_id: UUID
    client_request_id: str | None = None
    trace_id: str | None = None
    feedback: list[FeedbackAnswer]


class DetailedAccepted(Accepted):
    """As `Accepted`, with the ratings as they were given."""

    feedback_recorded: dict[str, int]


class StatusAnswer(BaseModel):
    """What stands of one feedback."""

    feedback_id: UUID
    status: State
    reason: str | None = None
    trace_id: str | None = None
    assessment_id: str | None = None
    event_id: UUID | None = None


def without_none(model: BaseModel) -> Any:  # noqa: ANN401 - JSON
    """Give a model as JSON's types, without what is not known."""
    return model.model_dump(mode="json", exclude_none=True)
