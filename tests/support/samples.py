"""Versions, chats, events and records as the tests need them, each with something changed."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from aiokafka import ConsumerRecord

from consumers.lenient import RawRecord
from contracts import identity
from contracts.events import Segment
from pipeline.chat import Chat
from pipeline.log import Draft
from pipeline.records import Record
from pipeline.versions import Version

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
SECRET = "s3cret-comment-of-a-person"  # noqa: S105 - a comment that no message may quote

Json = dict[str, Any]


def at(seconds: float) -> datetime:
    """Give the time so many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def new_id(prefix: str = "req") -> str:
    """Give an id that nobody else has."""
    return f"{prefix}-{uuid4().hex}"


def a_version(**fields: Any) -> Version:
    """Give a version, of a feedback of its own unless feedback_id is given."""
    known: dict[str, Any] = {
        "feedback_id": uuid4(),
        "event_id": uuid4(),
        "submitted_at": NOON,
        "op": "log",
        "client_request_id": "req-1",
        "trace_id": None,
        "span_id": None,
        "kind": "feedback",
        "name": "helpful",
        "source_type": "HUMAN",
        "source_id": "anna",
    }
    if fields.get("op", "log") == "log":
        known["value"] = True
    return Version(**(known | fields))


def a_draft(version: Version, segment: Segment | None = None, *, written: UUID | None = None) -> Draft:
    """Give a draft, of trace tr-1."""
    return Draft(version=version, trace_id="tr-1", segment=segment, written=written)


def a_chat(request_id: str = "req-1", trace_id: str | None = "tr-1", **fields: Any) -> Chat:
    """Give a chat; fields of its segment may stand among its own."""
    segment = {name: fields.pop(name) for name in Segment.model_fields if name in fields}
    known: dict[str, Any] = {"completed_at": NOON, "event_id": uuid4(), "segment": Segment(**segment)}
    return Chat(**({"client_request_id": request_id, "trace_id": trace_id} | known | fields))


def submitted(**fields: Any) -> Json:
    """Give a FeedbackSubmitted as a document; ``value`` and ``rationale`` are its one assessment's."""
    assessment = {"name": "helpful", "value": fields.pop("value", True)}
    if "rationale" in fields:
        assessment["rationale"] = fields.pop("rationale")
    known: Json = {
        "type": "FeedbackSubmitted",
        "event_id": str(uuid4()),
        "client_request_id": "req-1",
        "source": {"type": "HUMAN", "id": "anna"},
        "submitted_at": NOON.isoformat(),
        "assessments": [assessment],
    }
    return known | fields


def withdrawn(**fields: Any) -> Json:
    """Give a FeedbackWithdrawn as a document."""
    known: Json = {
        "type": "FeedbackWithdrawn",
        "event_id": str(uuid4()),
        "client_request_id": "req-1",
        "source": {"type": "HUMAN", "id": "anna"},
        "submitted_at": NOON.isoformat(),
        "names": ["helpful"],
    }
    return known | fields


def completed(**fields: Any) -> Json:
    """Give a ChatCompleted as a document."""
    known: Json = {
        "type": "ChatCompleted",
        "event_id": str(uuid4()),
        "client_request_id": "req-1",
        "trace_id": "tr-1",
        "completed_at": NOON.isoformat(),
    }
    return known | fields


def a_record(value: Json | bytes | None, *, offset: int = 0, **fields: Any) -> Record:
    """Give the record of a document or of raw bytes."""
    raw = json.dumps(value).encode() if isinstance(value, dict) else value
    known: dict[str, Any] = {
        "topic": "feedback-submitted",
        "partition": 0,
        "offset": offset,
        "timestamp": int(at(60).timestamp() * 1000),
        "key": b"req-1",
        "value": raw,
    }
    return Record(**(known | fields))


def records_of(documents: Sequence[Json | bytes | None]) -> list[Record]:
    """Give the records of documents, one after the other."""
    return [a_record(document, offset=offset) for offset, document in enumerate(documents)]


def feedback_id_of(document: Json, name: str = "helpful", kind: str = "feedback") -> UUID:
    """Give the feedback that a document is about, by the rule that producers in any language follow."""
    who = document.get("feedback_id") or document["source"].get("id") or document["event_id"]
    return identity.feedback_id(
        reference=document.get("client_request_id") or document["trace_id"],
        span_id=document.get("span_id"),
        kind=kind,
        name=name,
        source_type=document["source"]["type"],
        who=who,
    )


def as_raw(record: Record) -> RawRecord:
    """Give a record as the consumer's client hands it out."""
    headers: Any = tuple(record.headers)
    return ConsumerRecord(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        timestamp_type=0,
        key=record.key,
        value=record.value,
        checksum=None,
        serialized_key_size=len(record.key or b""),
        serialized_value_size=len(record.value or b""),
        headers=headers,
    )
