"""Bytes or documents to events, with errors that name field and limit and never quote a comment."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from contracts import limits
from contracts.events import ChatCompleted, Event, FeedbackSubmitted, FeedbackWithdrawn
from contracts.fields import looks_like_key
from contracts.topics import EVENT_BYTES
from contracts.values import find_nul, has_nul

M = TypeVar("M", bound=BaseModel)
EventTypes = Mapping[str, type[Event]]

CHAT_EVENTS: Final[EventTypes] = {"ChatCompleted": ChatCompleted}
FEEDBACK_EVENTS: Final[EventTypes] = {
    "FeedbackSubmitted": FeedbackSubmitted,
    "FeedbackWithdrawn": FeedbackWithdrawn,
}
ALL_EVENTS: Final[EventTypes] = {**CHAT_EVENTS, **FEEDBACK_EVENTS}

_SHOWN_ERRORS: Final = 5
_SHOWN_PARTS: Final = 8
_BYTE_ORDER_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


class Problem(NamedTuple):
    """One thing that is wrong: the field's path, as ``assessments.0.name``, and what to mend."""

    field: str
    wrong: str


class ContractError(ValueError):
    """An event breaks the contract; the message names the field and the limit, `problems` has all of them."""

    def __init__(self, *problems: Problem) -> None:
        texts = [f"{problem.field}: {problem.wrong}" for problem in problems[:_SHOWN_ERRORS]]
        more = len(problems) - len(texts)
        super().__init__("; ".join(texts) + (f"; and {more} more" if more else ""))
        self.problems = problems


def parse_event(value: bytes | None, types: EventTypes, *, recorded_at: datetime) -> Event:
    """Decode one record's value.

    Args:
        value: the record's bytes; null and empty are refused, each by its name.
        types: the events that may come here, by the name in ``type``.
        recorded_at: the record's own time; a submitted_at too far ahead of it is refused.

    Raises:
        ContractError: with what is wrong.

    """
    event = validate_document(decode_document(value), types)
    check_clock(event, recorded_at)
    return event


def decode_document(value: bytes | None) -> dict[str, Any]:
    """Decode JSON (UTF-8, an object at the top, no NaN) and refuse NUL in any string.

    Raises:
        ContractError: with what is wrong.

    """
    if not value:
        raise ContractError(
            Problem(_WHOLE, f"is {'null' if value is None else 'empty'}; it must be a JSON object")
        )
    if len(value) > EVENT_BYTES:
        # Kafka bounds a batch as it is compressed: what is in it can be a thousand times as large.
        raise ContractError(Problem(_WHOLE, f"has {len(value)} bytes; the limit is {EVENT_BYTES}"))
    try:
        document = from_json(value, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise ContractError(Problem(_WHOLE, f"is not JSON in UTF-8: {_why_not_json(value, error)}")) from None
    if not isinstance(document, dict):
        raise ContractError(Problem(_WHOLE, f"is a JSON {type(document).__name__}; it must be an object"))
    if has_nul(value):
        wrong = "holds a NUL character, which Postgres cannot store; remove it"
        raise ContractError(Problem(_place(find_nul(document), whole=_WHOLE), wrong))
    return document


def validate_document(
    document: Mapping[str, Any], types: EventTypes, *, forbid_unknown: bool = False
) -> Event:
    """Turn a decoded document into the event that its ``type`` names.

    Raises:
        ContractError: with what is wrong, field by field.

    """
    name = document.get("type")
    model = types.get(name) if isinstance(name, str) else None
    if model is None:
        said = "is missing" if name is None else "is not the name of an event"
        raise ContractError(Problem("type", f"{said}; here it must be one of {', '.join(types)}"))
    return validate(model, document, forbid_unknown=forbid_unknown, on_wire=True)


def validate(
    model: type[M], document: Mapping[str, Any], *, forbid_unknown: bool = False, on_wire: bool = False
) -> M:
    """Validate a document as one model.

    Args:
        model: the event.
        document: its fields.
        forbid_unknown: refuse fields that the model does not have.
        on_wire: refuse a document without the fields that only its sender can fill in.

    Raises:
        ContractError: with what is wrong, field by field.

    """
    missing = _not_sent(model, document) if on_wire else []
    try:
        event = model.model_validate(document, extra="forbid" if forbid_unknown else "ignore")
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        raise ContractError(*missing, *problems_of(details)) from None
    if missing:
        raise ContractError(*missing)
    return event


@cache
def sender_fields(model: type[BaseModel]) -> tuple[str, ...]:
    """Give the fields that Python fills in; the wire must carry them, or a redelivery were another event."""
    return tuple(name for name, field in model.model_fields.items() if field.default_factory is not None)


def _not_sent(model: type[BaseModel], document: Mapping[str, Any]) -> list[Problem]:
    return [
        Problem(name, _SENDERS.get(name, "is missing"))
        for name in sender_fields(model)
        if name not in document
    ]


def check_clock(event: Event, recorded_at: datetime) -> None:
    """Refuse a submitted_at or completed_at too far in the future, which would win over every later version.

    Raises:
        ContractError: with how far it is ahead.

    """
    field = "completed_at" if isinstance(event, ChatCompleted) else "submitted_at"
    ahead = getattr(event, field) - recorded_at
    if ahead > limits.CLOCK_SKEW:
        minutes = int(limits.CLOCK_SKEW / timedelta(minutes=1))
        wrong = (
            f"is {int(ahead.total_seconds())} s ahead of the record's own time; "
            f"the limit is {minutes} minutes: set the producer's clock"
        )
        raise ContractError(Problem(field, wrong))


def problems_of(details: Sequence[ErrorDetails]) -> list[Problem]:
    """Give a validation's errors field by field, without the input."""
    refused = _parents(detail["loc"] for detail in details)
    return [
        Problem(_place(detail["loc"]), _wrong(detail)) for detail in details if not _is_echo(detail, refused)
    ]


def _parents(places: Iterable[tuple[int | str, ...]]) -> set[tuple[int | str, ...]]:
    return {place[:end] for place in places for end in range(len(place))}


def _is_echo(detail: ErrorDetails, refused: set[tuple[int | str, ...]]) -> bool:
    """Tell whether pydantic calls a list too short only because its items were refused."""
    return detail["type"] == "too_short" and detail["loc"] in refused


def _why_not_json(value: bytes, error: ValueError) -> str:
    if value.startswith(_BYTE_ORDER_MARKS) or b"\x00" in value[:2]:
        return "begins as UTF-16 or UTF-32, or with a byte order mark; encode it as UTF-8 without one"
    return str(error)[:200]


def _place(path: tuple[int | str, ...], whole: str = "the event") -> str:
    """Give a path as ``a.0.b``, without what may be somebody's text: the inside of a value, and odd keys."""
    end = path.index("value") + 1 if "value" in path else len(path)
    parts = [str(part) if looks_like_key(str(part)) else "(a key)" for part in path[:end]]
    shown = parts[:_SHOWN_PARTS] + ["…"] * (len(parts) > _SHOWN_PARTS)
    return ".".join(shown) or whole


def _wrong(detail: ErrorDetails) -> str:
    ctx = detail.get("ctx", {})
    match detail["type"]:
        case "value_error":
            return str(ctx["error"])
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not a field of this event"
        case "literal_error":
            return f"must be one of {ctx['expected']}"
        case "string_too_long":
            return f"has more than {ctx['max_length']} characters, the limit"
        case "string_too_short":
            return "is empty"
        case "too_short":
            return f"needs at least {ctx['min_length']} item"
        case "string_unicode":
            return "holds a lone surrogate, which is not valid Unicode"
        case "timezone_aware":
            return "is a time without an offset; give it a time zone, such as UTC"
        case kind if kind.startswith("uuid"):
            return "is not a UUID"
        case kind if kind.startswith("datetime"):
            return "is not a time that exists"
        case kind if kind.endswith("_type"):
            return f"must be {_ARTICLES.get(kind, 'of another type')}"
        case kind:
            return f"is not valid ({kind})"


_WHOLE: Final = "the value"

_SENDERS: Final = {
    "event_id": "is missing; send a UUID that stays the same when you send the event again",
    "submitted_at": "is missing; send when the feedback was given: the newest wins",
    "completed_at": "is missing; send when the answer was complete",
}

_ARTICLES: Final = {
    "string_type": "a string",
    "dict_type": "an object",
    "model_type": "an object",
    "tuple_type": "a list",
}
