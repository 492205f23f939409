"""A receipt on its way out: what `FeedbackLogged` tells, in a quarter of the time that its model takes."""

from dataclasses import dataclass
from datetime import datetime

from contracts import identity
from contracts.events import FeedbackLogged, Outcome, Segment
from pipeline.json_bytes import json_bytes
from pipeline.versions import Version


@dataclass(slots=True, kw_only=True)  # frozen, it takes twice as long to make
class Receipt:
    """How one version ended; ``trace_id`` is where its assessment stands, ``reason`` why it is dead."""

    version: Version
    outcome: Outcome
    reason: str | None
    trace_id: str | None
    segment: Segment | None
    logged_at: datetime
    attempts: int

    @property
    def key(self) -> bytes:
        """Give the key of its record, that of the event that it answers."""
        version = self.version
        return (
            version.client_request_id or self.trace_id or version.trace_id or str(version.feedback_id)
        ).encode()

    def to_json(self) -> bytes:
        """Give the event `FeedbackLogged`, without nulls."""
        version = self.version
        fields: dict[str, object] = {
            "type": "FeedbackLogged",
            "receipt_id": identity.receipt_id(version.event_id, version.feedback_id, self.outcome),
            "event_id": version.event_id,
            "feedback_id": version.feedback_id,
            "outcome": self.outcome,
            "kind": version.kind,
            "name": version.name,
            "source": {"type": version.source_type},
            "submitted_at": version.submitted_at,
            "logged_at": self.logged_at,
            "attempts": self.attempts,
        }
        if version.source_id is not None:
            fields["source"] = {"type": version.source_type, "id": version.source_id}
        if version.client_request_id is not None:
            fields["client_request_id"] = version.client_request_id
        if (trace_id := self.trace_id or version.trace_id) is not None:
            fields["trace_id"] = trace_id
        if self.trace_id is not None:
            fields["assessment_id"] = version.assessment_id
        if version.value is not None:
            fields["value"] = version.value
        if self.reason is not None:
            fields["reason"] = self.reason
        if self.segment is not None:
            fields |= {key: said for key, said in self.segment.__dict__.items() if said is not None}
        return json_bytes(fields)

    def event(self) -> FeedbackLogged:
        """Give the event itself."""
        return FeedbackLogged.model_validate_json(self.to_json())
