"""settle: how a version ended is kept, then told; what was overtaken meanwhile is written anew."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import assert_never
from uuid import UUID

from contracts.events import Outcome as OutcomeName
from contracts.events import Segment
from pipeline.decode import Decoded
from pipeline.outcomes import Dead, Logged, Retry, Settled, Superseded, Withdrawn
from pipeline.ports import DeadLetter, Settlement
from pipeline.receipt import Receipt
from pipeline.versions import Version


def settlement_of(version: Version, outcome: Settled, written: UUID | None) -> Settlement | None:
    """Give what the store keeps of an outcome; None for superseded, whose row belongs to another version."""
    match outcome:
        case Logged():
            return Settlement(
                version=version,
                state="logged",
                written_event=version.event_id,
                is_certain=outcome.is_certain,
            )
        case Withdrawn():
            return Settlement(
                version=version, state="withdrawn", written_event=None, is_certain=outcome.is_certain
            )
        case Dead():
            # Of what MLflow failed to store one try may still arrive; what has no trace has nowhere to.
            is_certain = outcome.reason == "unresolved"
            return Settlement(
                version=version, state="dead", written_event=written, dead=outcome, is_certain=is_certain
            )
        case Superseded():
            return None
        case _:
            assert_never(outcome)


def receipt_of(
    version: Version, outcome: Settled, segment: Segment | None, *, now: datetime, attempts: int
) -> Receipt:
    """Give the receipt of one assessment of one event."""
    name, reason, trace_id = _told(outcome)
    return Receipt(
        version=version,
        outcome=name,
        reason=reason,
        trace_id=trace_id,
        segment=segment,
        logged_at=now,
        attempts=attempts,
    )


def _told(outcome: Settled) -> tuple[OutcomeName, str | None, str | None]:
    match outcome:
        case Logged():
            return "logged", None, outcome.trace_id
        case Withdrawn():
            return "withdrawn", None, outcome.trace_id
        case Superseded():
            return "superseded", None, None
        case Dead():
            return "dead-lettered", outcome.reason, None
        case _:
            assert_never(outcome)


def unresolved(retry: Retry, version: Version) -> Dead:
    """Say why a version that was tried to the end is dead, and what a person can do."""
    match retry.reason:
        case "no_trace":
            detail = (
                f"no chat event and no trace in MLflow with client_request_id {version.client_request_id}; "
                "check that the chat service sets it on the trace, and FEEDBACK_MLFLOW_EXPERIMENTS"
            )
        case "trace_missing":
            detail = (
                "its trace is not in MLflow; check that the chat service exports its traces to this server"
            )
        case _:
            assert_never(retry.reason)
    return Dead("unresolved", detail)


def dead_letters_of(decoded: Sequence[Decoded], end: Callable[[Version], Settled | None]) -> list[DeadLetter]:
    """Give a dead letter for each record of which an assessment is dead, naming those that are."""
    letters = []
    for item in decoded:
        ends = [(version, end(version)) for version in item.versions]
        dead = [(version, outcome) for version, outcome in ends if isinstance(outcome, Dead)]
        if dead:
            names = tuple((version.kind, version.name) for version, _ in dead)
            letters.append(DeadLetter(item.record, dead[0][1], names))
    return letters
