"""Bytes or documents to events, with errors that name field and limit and never quote a comment."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from contracts import limits
from contracts.events import ChatCompleted, Event, FeedbackSubmitted, FeedbackWithdrawn
from contracts.values import find_nul

M = TypeVar("M", bound=BaseModel)
EventTypes = Mapping[str, type[Event]]

CHAT_EVENTS: Final[EventTypes] = {"ChatCompleted": ChatCompleted}
FEEDBACK_EVENTS: Final[EventTypes] = {
    "FeedbackSubmitted": FeedbackSubmitted,
    "FeedbackWithdrawn": FeedbackWithdrawn,
}
ALL_EVENTS: Final[EventTypes] = {**CHAT_EVENTS, **FEEDBACK_EVENTS}

_SHOWN_ERRORS: Final = 5


class ContractError(ValueError):
    """An event breaks the contract; the message names the field and the limit."""


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
        msg = f"the value is {'null' if value is None else 'empty'}; it must be a JSON object"
        raise ContractError(msg)
    try:
        document = from_json(value, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        msg = f"the value is not JSON: {str(error)[:200]}"
        raise ContractError(msg) from None
    if not isinstance(document, dict):
        msg = f"the value is a JSON {type(document).__name__}; it must be an object"
        raise ContractError(msg)
    if (b"\\u0000" in value or b"\x00" in value) and (path := find_nul(document)) is not None:
        msg = f"{_place(path)}: holds a NUL character, which Postgres cannot store; remove it"
        raise ContractError(msg)
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
        msg = f"type: {said}; here it must be one of {', '.join(types)}"
        raise ContractError(msg)
    return validate(model, document, forbid_unknown=forbid_unknown)


def validate(model: type[M], document: Mapping[str, Any], *, forbid_unknown: bool = False) -> M:
    """Validate a document as one model.

    Raises:
        ContractError: with what is wrong, field by field.

    """
    try:
        return model.model_validate(document, extra="forbid" if forbid_unknown else "ignore")
    except ValidationError as error:
        raise ContractError(describe(error)) from None


def check_clock(event: Event, recorded_at: datetime) -> None:
    """Refuse a submitted_at too far in the future, which would win over every later version.

    Raises:
        ContractError: with how far it is ahead.

    """
    if isinstance(event, ChatCompleted):
        return
    ahead = event.submitted_at - recorded_at
    if ahead > limits.CLOCK_SKEW:
        minutes = int(limits.CLOCK_SKEW / timedelta(minutes=1))
        msg = (
            f"submitted_at: is {int(ahead.total_seconds())} s ahead of the record's own time; "
            f"the limit is {minutes} minutes: set the producer's clock"
        )
        raise ContractError(msg)


def describe(error: ValidationError) -> str:
    """Give a validation error as ``field: what is wrong; …`` without the input."""
    details = [d for d in error.errors(include_url=False, include_input=False) if not _is_echo(d, error)]
    texts = [f"{_place(detail['loc'])}: {_wrong(detail)}" for detail in details[:_SHOWN_ERRORS]]
    more = len(details) - len(texts)
    return "; ".join(texts) + (f"; and {more} more" if more else "")


def _is_echo(detail: ErrorDetails, error: ValidationError) -> bool:
    """Tell whether pydantic calls a list too short only because its items were refused."""
    place = detail["loc"]
    others = (other["loc"] for other in error.errors(include_url=False, include_input=False))
    return detail["type"] == "too_short" and any(
        loc[: len(place)] == place and len(loc) > len(place) for loc in others
    )


def _place(path: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[: limits.NAME_LENGTH] for part in path) or "the event"


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
        case "too_long":
            return f"has {ctx['actual_length']} items; the limit is {ctx['max_length']}"
        case "too_short":
            return f"needs at least {ctx['min_length']} item"
        case "string_unicode":
            return "is not valid Unicode (a lone surrogate)"
        case kind if kind.startswith("uuid"):
            return "is not a UUID"
        case kind if kind.startswith("datetime"):
            return "is not a time that exists"
        case kind if kind.endswith("_type"):
            return f"must be {_ARTICLES.get(kind, 'of another type')}"
        case kind:
            return f"is not valid ({kind})"


_ARTICLES: Final = {
    "string_type": "a string",
    "dict_type": "an object",
    "model_type": "an object",
    "tuple_type": "a list",
}
