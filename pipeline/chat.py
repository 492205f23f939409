"""A chat as the join index keeps it."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from contracts.events import ChatCompleted, Segment


@dataclass(slots=True, kw_only=True)  # frozen, it takes twice as long to make
class Chat:
    """Which trace a request left, and what can be said of it."""

    client_request_id: str
    trace_id: str | None
    completed_at: datetime
    event_id: UUID
    segment: Segment
    tags: dict[str, str] | None = None


def chat_of(event: ChatCompleted) -> Chat:
    """Give the chat that an event tells of."""
    return Chat(
        client_request_id=event.client_request_id,
        trace_id=event.trace_id,
        completed_at=event.completed_at,
        event_id=event.event_id,
        segment=Segment.trusted({name: getattr(event, name) for name in Segment.model_fields}),
        tags=event.tags,
    )


def merge(old: Chat, new: Chat) -> Chat:
    """Give what the index holds after both: the newer one, except that no null replaces a trace.

    The order of the two does not matter. The Postgres upsert says the same in SQL.
    """
    is_newer = (new.completed_at, new.event_id) > (old.completed_at, old.event_id)
    older, newer = (old, new) if is_newer else (new, old)
    return newer if newer.trace_id else replace(newer, trace_id=older.trace_id)
