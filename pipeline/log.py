"""log: versions into MLflow through the sink; what it cannot tell just now is asked again."""

from collections.abc import Sequence
from uuid import UUID

from contracts.events import Segment
from pipeline.outcomes import Away, DependencyAwayError, Outcome
from pipeline.patience import Patience
from pipeline.ports import Sink, Write
from pipeline.versions import Version


def assessment_metadata(version: Version, segment: Segment | None) -> dict[str, str]:
    """Give the metadata of the assessment: the event's own, the chat's segment, and our marks.

    The chat's fields win over the event's, so that a client cannot move itself into another segment. The
    key ``mlflow.trace.session`` is never used: it would make the assessment one of the whole session.
    """
    said = dict(segment) if segment is not None else {}
    marks = {
        "feedback.event_id": str(version.event_id),
        "feedback.version": version.submitted_at.isoformat(),
        "feedback.client_request_id": version.client_request_id,
    }
    own = version.metadata or {}
    return own | {key: value for key, value in (said | marks).items() if value is not None}


async def log(writes: Sequence[Write], sink: Sink, patience: Patience) -> dict[UUID, Outcome]:
    """Write a batch, waiting for MLflow where it is away, and give the outcome by feedback_id.

    Raises:
        StoppedError: when told to stop while waiting.

    """
    outcomes: dict[UUID, Outcome] = {}

    async def write_the_rest() -> None:
        rest = [write for write in writes if write.version.feedback_id not in outcomes]
        away = _collect(rest, await sink.log(rest), outcomes)
        if away is not None:
            raise DependencyAwayError(away.dependency, away.detail)

    if writes:
        await patience.call(write_the_rest)
    return outcomes


def _collect(
    writes: Sequence[Write], results: Sequence[Outcome | Away], outcomes: dict[UUID, Outcome]
) -> Away | None:
    away = None
    for write, result in zip(writes, results, strict=True):
        if isinstance(result, Away):
            away = result
        else:
            outcomes[write.version.feedback_id] = result
    return away


def write_of(version: Version, trace_id: str, segment: Segment | None, written: UUID | None) -> Write:
    """Give the write of one version."""
    return Write(
        version=version,
        trace_id=trace_id,
        metadata=assessment_metadata(version, segment),
        may_exist=written is not None,
    )
