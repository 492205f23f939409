"""What the JSON Schemas say beyond types: rules between fields, which Python checks in its validators."""

from typing import Final

from pydantic import JsonValue

JsonObject = dict[str, JsonValue]


def _present(field: str) -> JsonObject:
    return {"required": [field], "properties": {field: {"type": "string"}}}


NEEDS_REFERENCE: Final[list[JsonValue]] = [_present("client_request_id"), _present("trace_id")]
"""One of these: a feedback needs something that it is about."""

NEEDS_AUTHOR: Final[list[JsonValue]] = [
    _present("feedback_id"),
    {"properties": {"source": {"required": ["id"], "properties": {"id": {"type": "string"}}}}},
]
"""One of these: a withdrawal needs to say whose feedback it withdraws."""

_SCALARS: Final[list[JsonValue]] = ["boolean", "number", "string"]

VALUE_BY_KIND: Final[JsonObject] = {
    "if": {"required": ["kind"], "properties": {"kind": {"const": "expectation"}}},
    "then": {"properties": {"rationale": {"type": "null"}}},
    "else": {
        "properties": {
            "value": {
                "items": {"type": [*_SCALARS]},
                "additionalProperties": {"type": [*_SCALARS]},
            }
        }
    },
}
"""An expectation may nest and has no rationale; a feedback is flat."""
