"""What of a record a dead letter may hold: all of it, byte for byte, but for what is withheld here.

A value is redacted only where a setting says so. A record that no dead letter has room for (Kafka bounds
records as they are compressed, so what a producer sent can be far larger) loses what is too large.
"""

import hashlib
import json
from dataclasses import replace
from typing import Any, Final

from pydantic_core import from_json

from contracts.events import Segment
from pipeline.ports import DeadLetter
from pipeline.records import ROOM
from pipeline.redaction import Redaction, RedactionFailedError

_ANY: Final = "*"
_KEPT: Final = {
    *((name,) for name in ("type", "event_id", "client_request_id", "trace_id", "span_id", "feedback_id")),
    *((name,) for name in ("submitted_at", "completed_at", *Segment.model_fields)),
    *(("source", name) for name in ("type", "id")),
    *(("assessments", _ANY, name) for name in ("name", "kind")),
    *(("names", _ANY, name) for name in ("name", "kind")),
    ("names", _ANY),
}
"""Where ids, names and times stand: they stay, or a redriven event would be about another feedback."""


def prepared(letter: DeadLetter, redaction: Redaction) -> DeadLetter:
    """Give the dead letter as it may be published; with `NO_REDACTION` and room for it, as it is."""
    return _fitted(_redacted(letter, redaction) if redaction.is_on else letter)


def _redacted(letter: DeadLetter, redaction: Redaction) -> DeadLetter:
    value = letter.record.value
    if not value:
        return letter
    try:
        document = from_json(value, allow_inf_nan=False)
        redacted = _walk(document, (), redaction)
        if redacted == document:
            return letter
        data = json.dumps(redacted, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RedactionFailedError):
        return _withheld(letter, "it cannot be redacted")
    return replace(letter, record=replace(letter.record, value=data))


def _walk(part: Any, path: tuple[str, ...], redaction: Redaction) -> Any:  # noqa: ANN401 - any JSON
    match part:
        case str():
            return part if path in _KEPT else redaction.text(part, _field(path))
        case list():
            return [_walk(item, (*path, _ANY), redaction) for item in part]
        case dict():
            return {
                _key(key, path, redaction): _walk(item, (*path, key), redaction) for key, item in part.items()
            }
        case _:
            return part


def _key(key: str, path: tuple[str, ...], redaction: Redaction) -> str:
    if redaction.text(key, _field(path)) != key:
        # Two keys could become one; what has somebody's text for a key is no event of ours anyway.
        raise RedactionFailedError(_field(path), "a key cannot be redacted")
    return key


def _field(path: tuple[str, ...]) -> str:
    """Give the name by which the hook knows the field in an event that breaks no rule."""
    names = path[2:] if path[:2] == ("assessments", _ANY) else path
    return ".".join(name for name in names if name != _ANY) or "the value"


def _fitted(letter: DeadLetter) -> DeadLetter:
    if letter.record.size > ROOM:
        letter = _withheld(letter, "it has no room here")
    if letter.record.size > ROOM:
        said = replace(letter.dead, detail=f"{letter.dead.detail}; key and headers withheld as well")
        letter = replace(letter, dead=said, record=replace(letter.record, key=b"", headers=()))
    return letter


def _withheld(letter: DeadLetter, why: str) -> DeadLetter:
    value = letter.record.value or b""
    digest = hashlib.sha256(value).hexdigest()
    detail = f"{letter.dead.detail}; value withheld, as {why}: {len(value)} bytes, sha256 {digest}"
    return replace(letter, dead=replace(letter.dead, detail=detail), record=replace(letter.record, value=b""))
