"""What became of one event: asked of the table that every claim and settlement goes through."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.errors import UndefinedTable

from contracts.identity import assessment_id
from pipeline.adapters.postgres import Pool, connection

_STATES = ("open", "logged", "withdrawn", "dead-lettered")
_SELECT = b"""
SELECT feedback_id, event_id, kind, name, state, version, settled_at, trace_id, client_request_id,
       dead_reason, dead_detail
FROM feedback WHERE event_id = %s OR feedback_id = %s ORDER BY kind, name
"""


@dataclass(frozen=True, slots=True)
class FeedbackStatus:
    """One feedback as it stands, of the newest event about it."""

    feedback_id: UUID
    event_id: UUID
    kind: str
    name: str
    state: str
    submitted_at: datetime
    settled_at: datetime | None
    trace_id: str | None
    assessment_id: str
    client_request_id: str | None
    dead_reason: str | None
    dead_detail: str | None


async def status_of(pool: Pool, given: UUID) -> list[FeedbackStatus]:
    """Give what stands for an event id or a feedback id; empty when neither is known.

    An event that was superseded is no longer in the table: its receipt in ``feedback-logged`` tells.
    """
    try:
        async with connection(pool) as conn:
            rows = await (await conn.execute(_SELECT, [given, given])).fetchall()
    except UndefinedTable:
        return []  # no consumer has run yet
    return [
        FeedbackStatus(
            feedback_id=row[0],
            event_id=row[1],
            kind=row[2],
            name=row[3],
            state=_STATES[row[4]],
            submitted_at=row[5],
            settled_at=row[6],
            trace_id=row[7],
            assessment_id=assessment_id(row[0]),
            client_request_id=row[8],
            dead_reason=row[9],
            dead_detail=row[10],
        )
        for row in rows
    ]
