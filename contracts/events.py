"""The events, as JSON that any language can write; a field's docstring is its description in the JSON Schema.

A field with a default factory is one that Python's publisher fills in and that the wire must carry
(`contracts.parse.sender_fields`). Consumers ignore fields that they do not know; publishers and
``feedback contracts check`` refuse them.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self
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
from contracts.shapes import NEEDS_AUTHOR, NEEDS_REFERENCE, VALUE_BY_KIND
from contracts.values import Kind, check_value

SourceType = Literal["HUMAN", "LLM_JUDGE", "CODE"]
Outcome = Literal["logged", "superseded", "withdrawn", "dead-lettered"]
_set = object.__setattr__


def _now() -> datetime:
    return datetime.now(UTC)


class _Model(BaseModel):
    # hide_input_in_errors: a validation error must never carry a comment into a log.
    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    @classmethod
    def trusted(cls, fields: dict[str, Any]) -> Self:
        """Make one of all its fields, in their order, which are known to be valid.

        As `model_construct`, in a fifth of the time; none of its fields counts as set.
        """
        made = cls.__new__(cls)
        _set(made, "__dict__", fields)
        _set(made, "__pydantic_fields_set__", set())
        _set(made, "__pydantic_extra__", None)
        _set(made, "__pydantic_private__", None)
        return made


class Segment(_Model):
    """What the chat says of itself; quality can be cut by each of these fields."""

    session_id: Name | None = None
    """The conversation that the chat belongs to."""
    user_id: Name | None = None
    """Who asked; not who gives feedback, which is `source.id`."""
    environment: Name | None = None
    """Such as production or staging."""
    app_version: Name | None = None
    """The version of the application that answered."""
    deployment_id: Name | None = None
    """The deployment, model or experiment arm that answered."""
    region: Name | None = None
    """Where the application runs."""


class ChatCompleted(Segment):
    """A chat request was answered; says which trace it left."""

    type: Literal["ChatCompleted"] = "ChatCompleted"
    """Names the event."""
    event_id: UUID = Field(default_factory=uuid4)
    """Made once by the sender, and the same again when the event is sent again."""
    client_request_id: RequestId
    """The request's id in your system, as in the trace; its hash where it has more or other characters."""
    trace_id: TraceId | None = None
    """The trace that the request left; needed where the trace came by OTLP, which carries no request id."""
    completed_at: Time = Field(default_factory=_now)
    """When the answer was complete; of several events for one request the newest counts."""
    tags: Tags | None = None
    """Anything else to cut quality by: strings under keys of 1 to 250 characters, 32 KiB in all."""


class Source(_Model):
    """Who gives the feedback: a person, an LLM judge or code."""

    type: SourceType
    """HUMAN for a person, LLM_JUDGE for a model that judges, CODE for a program."""
    id: Name | None = None
    """The person's, judge's or program's id; one source.id has one feedback of each name on a chat."""


class AssessmentInput(_Model):
    """One thing that somebody said: a name, a value and, for feedback, a rationale."""

    model_config = ConfigDict(json_schema_extra=VALUE_BY_KIND)

    name: Name
    """What is assessed, such as helpful or correct."""
    kind: Kind = "feedback"
    """feedback is an opinion about the answer; expectation is what the answer should have been."""
    value: Value
    """A feedback takes a boolean, number, string, or a flat list or object of those; an expectation may nest.

    At most 60 KiB as JSON; integers up to 2^53 either way; no NUL characters.
    """
    rationale: Rationale | None = None
    """The comment; at most 16 KiB in UTF-8; only for feedback."""

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
    """The assessment's name, as it was submitted."""
    kind: Kind = "feedback"
    """The assessment's kind, as it was submitted."""


def plain_name(value: object) -> object:
    """Give the object that a plain name of something to withdraw stands for."""
    return {"name": value} if isinstance(value, str) else value


def few(value: object) -> object:
    """Refuse a list that is too long before pydantic looks at its items.

    A record can hold half a million, each with its own error.
    """
    if isinstance(value, list | tuple) and len(value) > limits.ASSESSMENTS:
        msg = f"has {len(value)} items; the limit is {limits.ASSESSMENTS}"
        raise ValueError(msg)
    return value


class _FeedbackEvent(_Model):
    event_id: UUID = Field(default_factory=uuid4)
    """Made once by the sender, and the same again when the event is sent again."""
    client_request_id: RequestId | None = None
    """The request that the feedback is about; this or trace_id is needed, and whoever has both sends both."""
    trace_id: TraceId | None = None
    """The trace that the feedback is about: MLflow's id, or OpenTelemetry's 32 hex digits."""
    span_id: SpanId | None = None
    """The span that the feedback is about; without it, the whole trace."""
    feedback_id: Name | None = None
    """One answer of one person: the same id again is an edit.

    Needed from anonymous people, who have no source.id: else each click counts as another person.
    """
    source: Source
    """Who gives the feedback."""
    submitted_at: Time = Field(default_factory=_now)
    """When it was given: the newest wins. At most 10 minutes ahead of the record's own time."""

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

    model_config = ConfigDict(json_schema_extra={"anyOf": [*NEEDS_REFERENCE]})

    type: Literal["FeedbackSubmitted"] = "FeedbackSubmitted"
    """Names the event."""
    metadata: Metadata | None = None
    """Strings that MLflow keeps with each assessment, 32 KiB in all.

    Keys have 1 to 250 characters and do not begin with mlflow. or feedback.
    """
    assessments: Annotated[
        tuple[AssessmentInput, ...],
        Field(min_length=1, max_length=limits.ASSESSMENTS),
        BeforeValidator(few),
    ]
    """What was said: 1 to 32, no kind and name twice."""

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        _refuse_doubles([(a.kind, a.name) for a in self.assessments], "assessments")
        return self


class FeedbackWithdrawn(_FeedbackEvent):
    """Somebody took feedback back."""

    model_config = ConfigDict(
        json_schema_extra={"allOf": [{"anyOf": [*NEEDS_REFERENCE]}, {"anyOf": [*NEEDS_AUTHOR]}]}
    )

    type: Literal["FeedbackWithdrawn"] = "FeedbackWithdrawn"
    """Names the event."""
    names: Annotated[
        tuple[
            Annotated[
                AssessmentRef, BeforeValidator(plain_name, json_schema_input_type=Name | AssessmentRef)
            ],
            ...,
        ],
        Field(min_length=1, max_length=limits.ASSESSMENTS),
        BeforeValidator(few),
    ]
    """What is withdrawn: 1 to 32 names, or objects of name and kind; a plain name means kind feedback."""

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        _refuse_doubles([(r.kind, r.name) for r in self.names], "names")
        if self.source.id is None and self.feedback_id is None:
            msg = "source.id or feedback_id is needed to say whose feedback is withdrawn"
            raise ValueError(msg)
        return self


def _refuse_doubles(names: list[tuple[str, str]], field: str) -> None:
    if len(names) > 1 and len(set(names)) < len(names):
        msg = f"{field} holds one name and kind twice; send one of them, or give them different names"
        raise ValueError(msg)


class FeedbackLogged(Segment):
    """The receipt of what became of one assessment of one event."""

    type: Literal["FeedbackLogged"] = "FeedbackLogged"
    """Names the event."""
    receipt_id: UUID
    """The same again when the receipt is written again after a redelivery: drop doubles by it."""
    event_id: UUID
    """The event that this is the receipt of."""
    feedback_id: UUID
    """Who said something about what: the same for all versions of one feedback."""
    outcome: Outcome
    """logged, superseded by a newer version, withdrawn, or dead-lettered."""
    reason: str | None = None
    """Why it was dead-lettered."""
    client_request_id: str | None = None
    """The request that the feedback is about."""
    trace_id: str | None = None
    """The trace that the assessment stands on."""
    assessment_id: str | None = None
    """The assessment's id in MLflow."""
    kind: Kind
    """feedback or expectation."""
    name: str
    """The assessment's name."""
    value: Value | None = None
    """The assessment's value; not there after a withdrawal."""
    source: Source
    """Who gave the feedback."""
    submitted_at: Time
    """When the feedback was given."""
    logged_at: Time
    """When the outcome was certain."""
    attempts: int
    """How often the trace was looked for or the assessment written."""


FeedbackEvent = FeedbackSubmitted | FeedbackWithdrawn
Event = ChatCompleted | FeedbackSubmitted | FeedbackWithdrawn
EVENTS: tuple[type[BaseModel], ...] = (ChatCompleted, FeedbackSubmitted, FeedbackWithdrawn, FeedbackLogged)
