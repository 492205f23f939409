"""Items as rows of MLflow's ``assessments`` table: just what ``create_assessment`` would have stored."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from mlflow.store.tracking.utils.trace_analytics import assessment_aggregate
from mlflow.tracing.constant import AssessmentMetadataKey

from feedback_batch.wire import EVENT_KEY, VERSION_KEY, Item, Log, Outcome, Withdraw

_ID_LENGTH: Final = 50
_NAME_LENGTH: Final = 250
_RUN_ID_LENGTH: Final = 32
_NESTING: Final = 25
"""Levels of a feedback's value: with 50 MLflow can read no trace of the experiment, with 48 its client."""
_BIGGEST_TIME: Final = 253_402_300_799_999
"""Milliseconds: the end of the year 9999."""

_VERSION: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{6})?\+00:00", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Row(msgspec.Struct):
    """One assessment, by the columns of the table; what it takes of its trace is filled in once it is known.

    ``standing`` sorts as text as versions do: the time in microseconds, then the event.
    """

    assessment_id: str
    trace_id: str
    name: str
    assessment_type: str
    value: str
    timestamp_ms: int
    aggregate_value: float | None
    is_numeric_value: bool
    source_type: str
    source_id: str | None
    run_id: str | None
    span_id: str | None
    rationale: str | None
    assessment_metadata: str
    standing: str
    experiment_id: int = 0
    trace_timestamp_ms: int = 0

    @property
    def order(self) -> str:
        """Give what decides which version is the newer."""
        return self.standing


@dataclass(frozen=True, slots=True)
class Gone:
    """One withdrawal."""

    assessment_id: str
    trace_id: str
    order: str


def row_of(item: Item) -> Row | Gone | Outcome:
    """Give what is to be stored for an item, or why it never can be."""
    order = order_of(item.metadata)
    if order is None:
        return Outcome(
            "invalid",
            f"metadata: {VERSION_KEY} must be a time in UTC and {EVENT_KEY} a UUID, both in lower case",
        )
    if isinstance(item, Withdraw):
        wrong = _wrong_text("assessment_id", item.assessment_id, _ID_LENGTH) or _wrong_text(
            "trace_id", item.trace_id, _ID_LENGTH
        )
        return Outcome("invalid", wrong) if wrong else Gone(item.assessment_id, item.trace_id, order)
    if wrong := _wrong(item):
        return Outcome("invalid", wrong)
    try:
        return _row(item, order)
    except OverflowError:
        return Outcome("invalid", "value: the number is too large")
    except RecursionError:
        return Outcome("invalid", "value: is nested too deeply")


def order_of(metadata: dict[str, str] | None) -> str | None:
    """Give the version that metadata tell of, or None when they tell of none."""
    if not metadata:
        return None
    version = _VERSION.fullmatch(metadata.get(VERSION_KEY, ""))
    event = metadata.get(EVENT_KEY, "")
    if version is None or not _UUID.fullmatch(event):
        return None
    return f"{version[1]}{version[2] or '.000000'}{event}"


def standing_of(text: str | None) -> str | None:
    """Give the version that stored metadata tell of, or None when they tell of none."""
    try:
        metadata = json.loads(text) if text else None
    except ValueError:
        return None
    return order_of(metadata) if isinstance(metadata, dict) else None


def merged(old: str | None, new: str) -> str:
    """Give the metadata of an edit: the new ones, and of the old ones those that are MLflow's own."""
    if not old or '"mlflow.' not in old:
        return new
    kept = {key: value for key, value in json.loads(old).items() if key.startswith("mlflow.")}
    return json.dumps(kept | json.loads(new))


def _row(item: Log, order: str) -> Row:
    value = _as_stored(item.value, item.kind)
    aggregate, is_numeric = assessment_aggregate(value)
    return Row(
        item.assessment_id,
        item.trace_id,
        item.name,
        item.kind,
        json.dumps(value),
        item.timestamp_ms,
        aggregate,
        is_numeric,
        item.source_type,
        item.source_id or None,
        item.metadata.get(AssessmentMetadataKey.SOURCE_RUN_ID),
        item.span_id or None,
        (item.rationale or None) if item.kind == "feedback" else None,
        json.dumps(item.metadata),
        order,
    )


def _as_stored(value: Any, kind: str) -> Any:
    """Give a value as MLflow's client and server make it: numbers are floats, but not within expectations."""
    if kind == "expectation" and isinstance(value, list | dict):
        return value
    return _with_floats(value, _NESTING)


def _with_floats(value: Any, levels: int) -> Any:
    if type(value) is int:
        return float(value)
    if isinstance(value, list | dict) and not levels:
        raise RecursionError
    if isinstance(value, list):
        return [_with_floats(part, levels - 1) for part in value]
    if isinstance(value, dict):
        return {key: _with_floats(part, levels - 1) for key, part in value.items()}
    return value


def _wrong(item: Log) -> str | None:
    if item.value is None and item.kind == "expectation":
        return "value: an expectation needs one"
    if not 0 < item.timestamp_ms <= _BIGGEST_TIME:
        return "timestamp_ms: must be milliseconds since 1970"
    run_id = item.metadata.get(AssessmentMetadataKey.SOURCE_RUN_ID)
    wrong = (
        _wrong_text("assessment_id", item.assessment_id, _ID_LENGTH)
        or _wrong_text("trace_id", item.trace_id, _ID_LENGTH)
        or _wrong_text("name", item.name, _NAME_LENGTH)
        or _wrong_text("source_id", item.source_id or "-", _NAME_LENGTH)
        or _wrong_text("span_id", item.span_id or "-", _ID_LENGTH)
        or _wrong_text("rationale", item.rationale or "-", None)
        or _wrong_text(AssessmentMetadataKey.SOURCE_RUN_ID, run_id or "-", _RUN_ID_LENGTH)
    )
    if wrong is None and any("\0" in key or "\0" in text for key, text in item.metadata.items()):
        return "metadata: holds NUL"
    return wrong


def _wrong_text(field: str, text: str, longest: int | None) -> str | None:
    if not text:
        return f"{field}: is empty"
    if longest is not None and len(text) > longest:
        return f"{field}: has {len(text)} characters; the limit is {longest}"
    return f"{field}: holds NUL" if "\0" in text else None
