"""What `feedback contracts check FILE` says of the events in a file: what is refused, where, and the mend."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal

from contracts.events import ChatCompleted, Event, FeedbackSubmitted
from contracts.fields import looks_like_key
from contracts.parse import (
    ALL_EVENTS,
    ContractError,
    Problem,
    check_clock,
    decode_document,
    validate_document,
)

_OPENING: Final = (b"{", b"[")
"""A first line that is this alone begins one document over many lines, not JSON lines."""

_UNKNOWN: Final = "is not a field of this event"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to mend (an error: the event would be refused) or to think about (a warning)."""

    place: str
    severity: Literal["error", "warning"]
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """The findings, and how many events passed and did not."""

    ok: int
    bad: int
    findings: tuple[Finding, ...]

    def as_json(self) -> str:
        """Give the report as one JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False)


def check(data: bytes, *, now: datetime) -> Report:
    """Check one event, a JSON list of events, or JSON lines.

    Args:
        data: the file's bytes; what they are is seen from them, not from the file's name.
        now: what a record's own time would be, to find clocks that are ahead.

    """
    findings = [(place, _findings(place, value, now)) for place, value in _split(data)]
    bad = sum(any(found.severity == "error" for found in of_one) for _, of_one in findings)
    said = tuple(found for _, of_one in findings for found in of_one)
    return Report(ok=len(findings) - bad, bad=bad, findings=said)


def _split(data: bytes) -> list[tuple[str, bytes]]:
    """Give each event's place and its own bytes."""
    if not data.strip():
        return [("the file", b"")]
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError):
        if data.lstrip().split(b"\n", 1)[0].strip() in _OPENING:
            return [("the file", data)]
        lines = enumerate(data.split(b"\n"), start=1)
        return [(f"line {number}", line) for number, line in lines if line.strip()]
    if isinstance(whole, list):
        return [(f"index {index}", _dump(part)) for index, part in enumerate(whole)]
    return [("line 1", data)]


def _dump(document: object) -> bytes:
    # Escaped, so that what json took and the contract does not (lone surrogates, NaN) is found again.
    return json.dumps(document).encode()


def _findings(place: str, value: bytes, now: datetime) -> list[Finding]:
    try:
        document = decode_document(value)
    except ContractError as error:
        return [Finding(place, "error", *problem) for problem in error.problems]
    errors, event = _validated(document, now)
    refused = {problem.field for problem in errors}
    advice = _advice(document, event)
    return [
        *(Finding(place, "error", *problem) for problem in errors),
        *(Finding(place, "warning", *problem) for problem in advice if problem.field not in refused),
    ]


def _validated(document: dict[str, Any], now: datetime) -> tuple[list[Problem], Event | None]:
    try:
        event = validate_document(document, ALL_EVENTS, forbid_unknown=True)
        check_clock(event, now)
    except ContractError as error:
        return [_with_guess(problem, document) for problem in error.problems], None
    return [], event


def _with_guess(problem: Problem, document: dict[str, Any]) -> Problem:
    """Add what the sender may have meant by a field or a type that does not exist."""
    *parents, name = problem.field.split(".")
    said: object = document.get("type")
    if problem.wrong == _UNKNOWN:
        known = _known_fields(str(said), parents)
        mend = _guess(name, known) or f"; the fields here are {', '.join(known)}"
    elif problem.field == "type" and isinstance(said, str):
        mend = _guess(said, ALL_EVENTS)
    else:
        mend = ""
    return Problem(problem.field, problem.wrong + mend)


def _guess(word: str, known: Iterable[str]) -> str:
    by_fold = {_fold(name): name for name in known}
    near = difflib.get_close_matches(_fold(word), by_fold, n=1, cutoff=0.7) if looks_like_key(word) else []
    return f"; did you mean {by_fold[near[0]]}?" if near else ""


def _fold(name: str) -> str:
    """Make clientRequestId, client-request-id and client_request_id alike."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _known_fields(event: str, parents: list[str]) -> list[str]:
    """Give the fields of the event's part where an unknown one stands."""
    owner = next((part for part in reversed(parents) if not part.isdigit()), None)
    match owner:
        case None:
            return [*ALL_EVENTS[event].model_fields]
        case "source":
            return ["type", "id"]
        case "assessments":
            return ["name", "kind", "value", "rationale"]
        case _:
            return ["name", "kind"]


def _advice(document: dict[str, Any], event: Event | None) -> Iterator[Problem]:
    match event:
        case ChatCompleted(trace_id=None):
            wrong = (
                "is missing; without it the trace is searched in MLflow by client_request_id, "
                "which a trace that came by OTLP does not carry"
            )
            yield Problem("trace_id", wrong)
        case FeedbackSubmitted(feedback_id=None) if event.source.id is None:
            wrong = (
                "is missing, as is source.id: every click counts as another person; "
                "make one feedback_id for each answer and keep it over edits"
            )
            yield Problem("feedback_id", wrong)
        case _:
            pass
    if event is not None and str(event.event_id) != document["event_id"]:
        yield Problem("event_id", f"is better written as lower-case hex with dashes, {event.event_id}")
