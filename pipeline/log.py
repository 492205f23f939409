"""log: versions into MLflow through the sink, pinned first; what it cannot tell just now is asked again."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from contracts.events import Segment
from pipeline.outcomes import (
    Away,
    Dead,
    DependencyAwayError,
    Elsewhere,
    Logged,
    NotBegun,
    Outcome,
    SinkOutcome,
    Superseded,
    Withdrawn,
)
from pipeline.patience import Patience
from pipeline.ports import FeedbackStore, Pin, Settlement, Sink, Write
from pipeline.versions import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A version to be written: its trace, unless it is pinned to another, and the event MLflow holds now."""

    version: Version
    trace_id: str
    segment: Segment | None
    written: UUID | None


def assessment_metadata(version: Version, segment: Segment | None) -> dict[str, str]:
    """Give the metadata of the assessment: the event's own, the chat's segment, and our marks.

    The chat's fields win over the event's, so that a client cannot move itself into another segment. The
    key ``mlflow.trace.session`` is never used: it would make the assessment one of the whole session.
    """
    metadata = dict(version.metadata or ())
    if segment is not None:
        metadata |= {key: said for key, said in segment.__dict__.items() if said is not None}
    metadata["feedback.event_id"] = str(version.event_id)
    metadata["feedback.version"] = version.submitted_at.isoformat()
    if version.client_request_id is not None:
        metadata["feedback.client_request_id"] = version.client_request_id
    return metadata


async def log(
    drafts: Sequence[Draft], store: FeedbackStore, sink: Sink, patience: Patience, *, lease: timedelta
) -> dict[UUID, Outcome]:
    """Pin and write a batch, waiting for what is away, and give the outcome by feedback_id.

    Pinned before the first write, as a later trace of the same request must not split the feedback, and again
    once the lease has run out, as somebody may have overtaken us while we waited.

    Raises:
        StoppedError: when told to stop while waiting.

    """
    writing = _Writing(drafts, store, sink, lease)
    if drafts:
        await patience.call(writing.go_on)
    return writing.outcomes


class _Writing:
    """One batch on its way into MLflow, as far as it has come."""

    def __init__(self, drafts: Sequence[Draft], store: FeedbackStore, sink: Sink, lease: timedelta) -> None:
        self.outcomes: dict[UUID, Outcome] = {}
        self._rest = {draft.version.feedback_id: draft for draft in drafts}
        self._store = store
        self._sink = sink
        self._lease = lease.total_seconds()
        self._pinned: Mapping[UUID, str] = {}
        self._until = 0.0
        self._doubtful: set[UUID] = set()
        self._elsewhere: dict[UUID, str] = {}
        self._moved: set[UUID] = set()

    async def go_on(self) -> None:
        """Write what is not written yet.

        Raises:
            DependencyAwayError: when MLflow or the store gives no answer; then call again.

        """
        while self._rest:
            if time.monotonic() >= self._until:
                await self._pin()
            if self._elsewhere:
                await self._move()
            writes = [write_of(draft, self._pinned[key]) for key, draft in self._rest.items()]
            before = len(self._rest)
            away = self._collect(writes, await self._sink.log(writes, until=self._until)) if writes else None
            if writes and away is None and not self._elsewhere and len(self._rest) == before:
                away = Away("mlflow", "no write was answered in time")
            if away is not None:
                raise DependencyAwayError(away.dependency, away.detail)

    async def _pin(self) -> None:
        until = time.monotonic() + self._lease
        self._pinned = await self._store.pin([_pin(draft) for draft in self._rest.values()])
        for key in self._rest.keys() - self._pinned.keys():
            self._end(key, Superseded())
        self._until = until

    async def _move(self) -> None:
        """Pin what stands on another trace to that one: who wrote it there died before he could say so."""
        moving = {
            key: replace(self._rest[key], trace_id=trace)
            for key, trace in self._elsewhere.items()
            if key in self._rest  # not overtaken, when all were pinned again
        }
        await self._store.settle(
            [
                Settlement(
                    version=draft.version,
                    state="open",
                    written_event=None,
                    is_certain=key not in self._doubtful,
                )
                for key, draft in moving.items()
            ]
        )
        pinned = await self._store.pin([_pin(draft) for draft in moving.values()])
        self._rest.update(moving)
        self._pinned = {**self._pinned, **pinned}
        self._moved |= moving.keys()
        self._elsewhere = {}
        for key in moving.keys() - pinned.keys():
            self._end(key, Superseded())

    def _collect(self, writes: Sequence[Write], results: Sequence[SinkOutcome]) -> Away | None:
        away = None
        for write, result in zip(writes, results, strict=True):
            key = write.version.feedback_id
            match result:
                case Away():
                    away = result
                    self._doubtful.add(key)
                case NotBegun():
                    pass
                case Elsewhere() if key in self._moved:
                    self._end(key, Dead("rejected", f"it stands on another trace, {result.trace_id}"))
                case Elsewhere():
                    self._elsewhere[key] = result.trace_id
                case Logged() | Withdrawn() if key in self._doubtful:
                    self._end(key, replace(result, is_certain=False))
                case _:
                    self._end(key, result)
        return away

    def _end(self, key: UUID, outcome: Outcome) -> None:
        self.outcomes[key] = outcome
        del self._rest[key]


def _pin(draft: Draft) -> Pin:
    return Pin(draft.version.feedback_id, draft.version.event_id, draft.trace_id)


def write_of(draft: Draft, trace_id: str) -> Write:
    """Give the write of a draft to the trace that it is pinned to."""
    return Write(
        version=draft.version,
        trace_id=trace_id,
        metadata=assessment_metadata(draft.version, draft.segment),
        may_exist=draft.written is not None,
    )
