"""What must have become of each record, from Kafka's own log and the plan, without the pipeline's code."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from chaos.kafka_log import Held
from chaos.traffic import UNSTORABLE, Plan, Request
from contracts import identity

Json = dict[str, Any]
Unit = tuple[UUID, UUID]
"""One assessment of one event: event_id and feedback_id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One thing that one event says, and where its record first stands in the log."""

    feedback_id: UUID
    event_id: UUID
    submitted_at: datetime
    is_withdrawal: bool
    kind: str
    name: str
    value: Any
    rationale: str | None
    metadata: Mapping[str, str]
    source_type: str
    source_id: str | None
    request_id: str | None
    trace_id: str | None
    first: Held

    @property
    def unit(self) -> Unit:
        """Give what an outcome is of."""
        return self.event_id, self.feedback_id

    @property
    def order(self) -> tuple[datetime, UUID]:
        """Give what decides which version is the newest."""
        return self.submitted_at, self.event_id


@dataclass(slots=True)
class Truth:
    """All versions of all feedback, the nonsense, and when each trace could be found (Unix seconds)."""

    versions: dict[UUID, list[Version]] = field(default_factory=dict)
    nonsense: list[Held] = field(default_factory=list)
    units_of: dict[tuple[str, int, int], tuple[Unit, ...]] = field(default_factory=dict)
    found_from: dict[str, float] = field(default_factory=dict)
    traces_of: dict[str, set[str]] = field(default_factory=dict)
    segments: dict[str, dict[str, str]] = field(default_factory=dict)
    sure_seconds: float = 0.0

    def newest(self, feedback_id: UUID) -> Version:
        """Give the version that must stand in the end."""
        return max(self.versions[feedback_id], key=lambda version: version.order)

    def own_outcomes(self, version: Version) -> set[str]:
        """Give how a version may end by itself: more than one where its trace came too late to be sure."""
        if version.is_withdrawal:
            return {"withdrawn"}
        if version.name == UNSTORABLE:
            return {"dead-lettered"}
        found = self._found_from(version)
        if found is None:
            return {"dead-lettered"}
        late = found - version.first.milliseconds / 1000 > self.sure_seconds
        return {"logged", "dead-lettered"} if late else {"logged"}

    def outcomes(self, version: Version) -> set[str]:
        """Give how a version may end; all but the newest may be superseded as well."""
        own = self.own_outcomes(version)
        return own if version.order == self.newest(version.feedback_id).order else own | {"superseded"}

    def reason(self, version: Version) -> str:
        """Give why a version is dead-lettered, if it is."""
        return "rejected" if version.name == UNSTORABLE else "unresolved"

    def traces(self, version: Version) -> set[str]:
        """Give the traces that the assessment may stand on."""
        own = {version.trace_id} if version.trace_id else set()
        return own | self.traces_of.get(version.request_id or "", set())

    def _found_from(self, version: Version) -> float | None:
        times = [self.found_from.get(version.trace_id or ""), self.found_from.get(version.request_id or "")]
        return min((time for time in times if time is not None), default=None)


def read_truth(
    log: Iterable[Held],
    plan: Plan,
    *,
    exported: Mapping[str, float],
    indexed: Mapping[str, float],
    sure_seconds: float,
) -> Truth:
    """Compute the truth.

    Args:
        log: all records of the feedback topic.
        plan: the traffic, which knows what is nonsense and which traces a request leaves.
        exported: by trace, when MLflow had it for certain.
        indexed: by request, when its chat event with its trace was committed.
        sure_seconds: for so long every attempt to find a trace goes on, at the least.

    """
    truth = Truth(sure_seconds=sure_seconds)
    nonsense = {send.key for send in plan.sends if send.event is None}
    for held in log:
        if held.key in nonsense:
            truth.nonsense.append(held)
        else:
            _add(truth, held, json.loads(held.value or b""))
    for request in plan.requests.values():
        _place(truth, request, exported, indexed.get(request.request_id))
    return truth


def _place(truth: Truth, request: Request, exported: Mapping[str, float], indexed: float | None) -> None:
    """Note the traces of a request, and when whoever looks for them was certain to find them."""
    names = {trace.trace_id for trace in request.traces}
    for key in (request.request_id, *names):
        truth.segments[key] = dict(request.segment)
    truth.traces_of[request.request_id] = names
    truth.found_from |= {name: exported[name] for name in names}
    if request.traces:
        # Of two the later one: a feedback may be pinned to it before it is exported.
        there = max(exported[name] for name in names)
        is_named = all(trace.request_id for trace in request.traces)
        if is_named or indexed is not None:
            truth.found_from[request.request_id] = there if is_named else max(there, indexed or 0.0)


def _add(truth: Truth, held: Held, event: Json) -> None:
    units = []
    for said in event.get("assessments") or event["names"]:
        version = _version(held, event, {"name": said} if isinstance(said, str) else said)
        units.append(version.unit)
        versions = truth.versions.setdefault(version.feedback_id, [])
        known = next((other for other in versions if other.event_id == version.event_id), None)
        if known is None:
            versions.append(version)
        elif held.milliseconds < known.first.milliseconds:
            versions[versions.index(known)] = version
    truth.units_of[held.topic, held.partition, held.offset] = tuple(units)


def _version(held: Held, event: Json, said: Json) -> Version:
    event_id = UUID(event["event_id"])
    kind = said.get("kind", "feedback")
    source = event["source"]
    reference = event.get("client_request_id") or event["trace_id"]
    return Version(
        feedback_id=identity.feedback_id(
            reference=reference,
            span_id=event.get("span_id"),
            kind=kind,
            name=said["name"],
            source_type=source["type"],
            who=event.get("feedback_id") or source.get("id") or str(event_id),
        ),
        event_id=event_id,
        submitted_at=datetime.fromisoformat(event["submitted_at"]),
        is_withdrawal=event["type"] == "FeedbackWithdrawn",
        kind=kind,
        name=said["name"],
        value=said.get("value"),
        rationale=said.get("rationale"),
        metadata=event.get("metadata") or {},
        source_type=source["type"],
        source_id=source.get("id"),
        request_id=event.get("client_request_id"),
        trace_id=event.get("trace_id"),
        first=held,
    )
