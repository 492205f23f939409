"""The types of the events' fields: each refuses what the contract refuses and says so in its schema."""

import json
import re
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue

from contracts import limits
from contracts.values import check_text

_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_RFC_3339_PATTERN: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)
_REQUEST_ID: Final = re.compile(limits.REQUEST_ID_PATTERN, re.ASCII)
_TRACE_ID: Final = re.compile(rf"tr-[0-9A-Za-z_-]{{1,{limits.TRACE_ID_LENGTH - 3}}}", re.ASCII)
_BARE_TRACE_ID: Final = re.compile(r"[0-9A-Fa-f]{32}", re.ASCII)
_SPAN_ID: Final = re.compile(rf"[0-9A-Za-z_-]{{1,{limits.SPAN_ID_LENGTH}}}", re.ASCII)
_ENTRY_BYTES: Final = 8  # as JSON: four quotes, a colon, a comma and two spaces
_CHARACTER_BYTES: Final = 6  # at most, however it is escaped
_PLAIN_KEY: Final = re.compile(r"[\w.:/-]{1,64}", re.ASCII)


def _time(value: object) -> object:
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC_3339.fullmatch(value)):
        return value
    msg = "is not an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z"
    raise ValueError(msg)


def _known_year(value: datetime) -> datetime:
    # At the calendar's ends a change of zone overflows, in Python and in what Postgres gives back.
    if not limits.FIRST_YEAR <= value.year <= limits.LAST_YEAR:
        msg = f"lies outside the years {limits.FIRST_YEAR} to {limits.LAST_YEAR}; set the producer's clock"
        raise ValueError(msg)
    return value


def _request_id(value: str) -> str:
    if len(value) > limits.REQUEST_ID_LENGTH:
        msg = (
            f"has {len(value)} characters; the limit is {limits.REQUEST_ID_LENGTH}, the width of MLflow's "
            "column: use a hash of it, in the trace as well"
        )
        raise ValueError(msg)
    if not _REQUEST_ID.fullmatch(value):
        msg = (
            "must be letters, digits and -_.:/=+@ only, at least one: use a hash of it, in the trace as well"
        )
        raise ValueError(msg)
    return value


def _trace_id(value: str) -> str:
    # Both forms in lower case, as MLflow writes them: one trace must not have two identities.
    if _BARE_TRACE_ID.fullmatch(value.removeprefix("tr-")):
        return f"tr-{value.removeprefix('tr-').lower()}"
    if not _TRACE_ID.fullmatch(value):
        msg = "is neither an MLflow trace id (tr-…, up to 50 characters) nor 32 hex digits of OpenTelemetry"
        raise ValueError(msg)
    return value


def _span_id(value: str) -> str:
    if not _SPAN_ID.fullmatch(value):
        msg = f"must be 1 to {limits.SPAN_ID_LENGTH} letters, digits, - and _"
        raise ValueError(msg)
    return value


def _rationale(value: str) -> str:
    check_text(value)
    if (size := len(value.encode())) > limits.RATIONALE_BYTES:
        msg = f"has {size} bytes; the limit is {limits.RATIONALE_BYTES}"
        raise ValueError(msg)
    return value


def _string_map(value: object) -> object:
    """Check a dict of strings; a key is named in the message only when it looks like one."""
    if not isinstance(value, dict):
        msg = "must be an object of strings"
        raise ValueError(msg)  # noqa: TRY004 - pydantic turns only ValueError into its own error
    if (least := _ENTRY_BYTES * len(value)) > limits.METADATA_BYTES:
        msg = f"has at least {least} bytes as JSON; the limit is {limits.METADATA_BYTES}"
        raise ValueError(msg)
    characters = 0
    for key, text in value.items():
        _check_entry(key, text)
        check_text(key)
        check_text(text)
        characters += len(key) + len(text)
    if _CHARACTER_BYTES * characters + least <= limits.METADATA_BYTES:
        return value
    if (size := len(json.dumps(value, ensure_ascii=False).encode())) > limits.METADATA_BYTES:
        msg = f"has {size} bytes as JSON; the limit is {limits.METADATA_BYTES}"
        raise ValueError(msg)
    return value


def looks_like_key(text: str) -> bool:
    """Tell whether a key may be shown in a message: a person's text in its place may not."""
    return _PLAIN_KEY.fullmatch(text) is not None


def _check_entry(key: object, text: object) -> None:
    if not isinstance(key, str) or not 0 < len(key) <= limits.NAME_LENGTH:
        msg = f"{_shown(key)} must be a string of 1 to {limits.NAME_LENGTH} characters"
        raise ValueError(msg)
    if not isinstance(text, str):
        msg = f"{_shown(key)} must hold a string, as MLflow keeps only strings there"
        raise ValueError(msg)  # noqa: TRY004 - as above


def _shown(key: object) -> str:
    return f"key {key!r}" if isinstance(key, str) and looks_like_key(key) else "a key"


def _metadata(value: dict[str, str]) -> dict[str, str]:
    for key in value:
        if key.startswith(limits.RESERVED_METADATA):
            prefix = next(p for p in limits.RESERVED_METADATA if key.startswith(p))
            msg = f"a key begins with {prefix!r}, which is reserved; rename it"
            raise ValueError(msg)
    return value


Time = Annotated[
    AwareDatetime,
    BeforeValidator(_time),
    AfterValidator(_known_year),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": _RFC_3339_PATTERN}),
]
RequestId = Annotated[
    str,
    AfterValidator(_request_id),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": limits.REQUEST_ID_LENGTH,
            "pattern": f"^{limits.REQUEST_ID_PATTERN}$",
        }
    ),
]
TraceId = Annotated[
    str,
    AfterValidator(_trace_id),
    WithJsonSchema({"type": "string", "pattern": "^(tr-[0-9A-Za-z_-]{1,47}|[0-9A-Fa-f]{32})$"}),
]
SpanId = Annotated[
    str,
    AfterValidator(_span_id),
    WithJsonSchema({"type": "string", "pattern": f"^[0-9A-Za-z_-]{{1,{limits.SPAN_ID_LENGTH}}}$"}),
]
Name = Annotated[str, Field(min_length=1, max_length=limits.NAME_LENGTH)]
Rationale = Annotated[
    str,
    AfterValidator(_rationale),
    WithJsonSchema({"type": "string", "maxLength": limits.RATIONALE_BYTES}),
]


def _map_schema(**names: object) -> JsonSchemaValue:
    keys = {"minLength": 1, "maxLength": limits.NAME_LENGTH, **names}
    return {"type": "object", "propertyNames": keys, "additionalProperties": {"type": "string"}}


Tags = Annotated[dict[str, str], BeforeValidator(_string_map), WithJsonSchema(_map_schema())]
Metadata = Annotated[
    dict[str, str],
    BeforeValidator(_string_map),
    AfterValidator(_metadata),
    WithJsonSchema(_map_schema(**{"not": {"pattern": r"^(mlflow|feedback)\."}})),
]
Value = Annotated[
    Any,
    WithJsonSchema({"type": ["boolean", "number", "string", "array", "object"]}),
]
