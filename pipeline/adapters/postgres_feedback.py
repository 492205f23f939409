"""The newest version of every feedback in Postgres: claims and settlements, a batch in one statement."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID

from pipeline.adapters.postgres import Pool, connection
from pipeline.json_bytes import json_bytes
from pipeline.outcomes import Dead, DeadReason, Logged, Settled, Withdrawn
from pipeline.ports import TOLD_BEFORE, Entry, Pin, Settlement, Standing, State
from pipeline.versions import Version

_STATES: Final[tuple[State, ...]] = ("open", "logged", "withdrawn", "dead")

# Sorted by feedback_id everywhere: two batches that lock the same rows in one order cannot deadlock.
_CLAIM = b"""
INSERT INTO feedback AS old (feedback_id, version, event_id, op, state, payload, reference, client_request_id,
                             span_id, kind, name, source_type, source_id)
SELECT feedback_id, version, event_id, op, 0, payload, reference, client_request_id,
       span_id, kind, name, source_type, source_id
FROM json_to_recordset(%s::json)
    AS new (feedback_id uuid, version timestamptz, event_id uuid, op text, payload text, reference text,
            client_request_id text, span_id text, kind text, name text, source_type text, source_id text)
ORDER BY feedback_id
ON CONFLICT (feedback_id) DO UPDATE SET
    version = excluded.version, event_id = excluded.event_id, op = excluded.op, state = 0,
    payload = excluded.payload, claimed_at = now(), settled_at = NULL, dead_reason = NULL, dead_detail = NULL,
    source_id = excluded.source_id, pinned_at = NULL, pins = 0,
    late_until = greatest(old.late_until, old.pinned_at + %s),
    past = CASE old.state WHEN 0 THEN old.past ELSE
        (old.past || concat_ws(' ', old.event_id, old.state, old.dead_reason))[cardinality(old.past) - 30:]
    END
WHERE (excluded.version, excluded.event_id) > (old.version, old.event_id)
RETURNING feedback_id, trace_id, written_event, late_until, past
"""
# As a rule it gives no row: reading a thousand ids would take as long as all the rest.
_ENTER = b"""
WITH new AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s::json)
        AS new (feedback_id uuid, version timestamptz, event_id uuid, payload text, trace_id text,
                client_request_id text, span_id text, kind text, name text, source_type text, source_id text)
), kept AS (
    INSERT INTO feedback (feedback_id, version, event_id, op, state, payload, trace_id, written_event,
                          settled_at, reference, client_request_id, span_id, kind, name, source_type,
                          source_id)
    SELECT feedback_id, version, event_id, 'log', 1, payload, trace_id, event_id, now(),
           coalesce(client_request_id, trace_id), client_request_id, span_id, kind, name, source_type,
           source_id
    FROM new
    ORDER BY feedback_id
    ON CONFLICT (feedback_id) DO NOTHING
    RETURNING feedback_id
)
SELECT feedback_id FROM new EXCEPT SELECT feedback_id FROM kept
"""
_KNOWN = b"""
SELECT feedback_id FROM feedback
WHERE feedback_id = ANY(ARRAY(SELECT value::uuid FROM json_array_elements_text(%s::json)))
"""
_READ = b"""
SELECT feedback_id, payload, state, trace_id, written_event, dead_reason, dead_detail, late_until, past
FROM feedback
WHERE feedback_id = ANY(ARRAY(SELECT value::uuid FROM json_array_elements_text(%s::json)))
"""
_PIN = b"""
WITH pins AS MATERIALIZED (
    SELECT old.feedback_id, new.trace_id
    FROM feedback old
    JOIN json_to_recordset(%s::json) AS new (feedback_id uuid, event_id uuid, trace_id text)
        ON old.feedback_id = new.feedback_id AND old.event_id = new.event_id
    ORDER BY old.feedback_id
    FOR UPDATE OF old
)
UPDATE feedback AS old SET
    trace_id = coalesce(old.trace_id, pins.trace_id), pinned_at = now(), pins = old.pins + 1
FROM pins WHERE old.feedback_id = pins.feedback_id
RETURNING old.feedback_id, old.trace_id
"""
_SETTLE = b"""
WITH ended AS MATERIALIZED (
    SELECT old.feedback_id, new.state, new.written_event, new.dead_reason, new.dead_detail, new.is_certain
    FROM feedback old
    JOIN json_to_recordset(%s::json)
        AS new (feedback_id uuid, version timestamptz, event_id uuid, state smallint, written_event uuid,
                dead_reason text, dead_detail text, is_certain boolean)
        ON old.feedback_id = new.feedback_id AND old.version = new.version AND old.event_id = new.event_id
        -- Of two who had it at once, what one has written is not undone by the other who found nothing.
        AND (old.state = 0 OR new.state = old.state OR new.state IN (1, 2))
    ORDER BY old.feedback_id
    FOR UPDATE OF old
)
UPDATE feedback AS old SET
    state = ended.state, written_event = ended.written_event,
    settled_at = CASE WHEN ended.state > 0 THEN now() END,
    dead_reason = ended.dead_reason, dead_detail = ended.dead_detail,
    pinned_at = CASE WHEN ended.is_certain AND old.pins = 1 THEN NULL ELSE old.pinned_at END,
    pins = CASE WHEN ended.is_certain AND old.pins = 1 THEN 0 ELSE old.pins END,
    trace_id = CASE WHEN (ended.state = 0 OR ended.dead_reason = 'unresolved') AND ended.written_event IS NULL
                    THEN NULL
                    ELSE old.trace_id END
FROM ended WHERE old.feedback_id = ended.feedback_id
RETURNING old.feedback_id
"""


class PostgresFeedback:
    """`FeedbackStore` on the table ``feedback``.

    Args:
        pool: connections.
        lifetime: how long after it was begun a write may still arrive in MLflow.

    """

    def __init__(self, pool: Pool, *, lifetime: timedelta = timedelta(minutes=1)) -> None:
        self._pool = pool
        self._lifetime = lifetime

    async def known(self, feedback_ids: Collection[UUID]) -> Collection[UUID]:
        """Give those that have a row."""
        return {row[0] for row in await self._run(_KNOWN, _json(list(feedback_ids)))}

    async def enter(self, entries: Sequence[Entry]) -> Collection[UUID]:
        """Insert logged versions of feedback that has no row; gives those that have one."""
        rows = [_entered(entry) for entry in entries]
        return {row[0] for row in await self._run(_ENTER, _json(rows))}

    async def claim(self, versions: Sequence[Version]) -> Mapping[UUID, Standing]:
        """Write the newer versions, then read what stands of the others: no transaction around the two."""
        rows = [_row(version) for version in versions]
        by_id = {version.feedback_id: version for version in versions}
        standings = {
            key: Standing(
                version=by_id[key],
                state="open",
                trace_id=trace_id,
                written_event=written_event,
                dead=None,
                late_until=late_until,
                past=_past(past, trace_id, by_id[key].assessment_id),
            )
            for key, trace_id, written_event, late_until, past in await self._run(
                _CLAIM, _json(rows), self._lifetime
            )
        }
        rest = by_id.keys() - standings.keys()
        return {**standings, **await self.read(rest)} if rest else standings

    async def read(self, feedback_ids: Collection[UUID]) -> Mapping[UUID, Standing]:
        """Read what stands."""
        rows = await self._run(_READ, _json(list(feedback_ids)))
        return {row[0]: _standing(row) for row in rows}

    async def pin(self, pins: Sequence[Pin]) -> Mapping[UUID, str]:
        """Tie feedback to its trace, the first one for good."""
        rows = [
            {"feedback_id": pin.feedback_id, "event_id": pin.event_id, "trace_id": pin.trace_id}
            for pin in pins
        ]
        return dict(await self._run(_PIN, _json(rows)))

    async def settle(self, settlements: Sequence[Settlement]) -> Collection[UUID]:
        """Keep how versions ended, by compare-and-set on version and event_id; gives the overtaken ones."""
        rows = [
            {
                "feedback_id": s.version.feedback_id,
                "version": s.version.submitted_at,
                "event_id": s.version.event_id,
                "state": _STATES.index(s.state),
                "written_event": s.written_event,
                "dead_reason": s.dead.reason if s.dead else None,
                "dead_detail": s.dead.detail if s.dead else None,
                "is_certain": s.is_certain,
            }
            for s in settlements
        ]
        kept = {row[0] for row in await self._run(_SETTLE, _json(rows))}
        return [s.version.feedback_id for s in settlements if s.version.feedback_id not in kept]

    async def _run(self, statement: bytes, *params: object) -> list[tuple[Any, ...]]:
        async with connection(self._pool) as conn:
            cursor = await conn.execute(statement, params)
            return await cursor.fetchall() if cursor.description else []


def _entered(entry: Entry) -> dict[str, object]:
    """Give the row of a logged version; what the statement says by itself, and nulls, take time to parse."""
    version = entry.version
    row: dict[str, object] = {
        "feedback_id": version.feedback_id,
        "version": version.submitted_at,
        "event_id": version.event_id,
        "payload": version.to_json(),
        "trace_id": entry.trace_id,
        "kind": version.kind,
        "name": version.name,
        "source_type": version.source_type,
    }
    if version.client_request_id is not None:
        row["client_request_id"] = version.client_request_id
    if version.span_id is not None:
        row["span_id"] = version.span_id
    if version.source_id is not None:
        row["source_id"] = version.source_id
    return row


def _row(version: Version) -> dict[str, object]:
    return {
        "feedback_id": version.feedback_id,
        "version": version.submitted_at,
        "event_id": version.event_id,
        "op": version.op,
        "payload": version.to_json(),
        "reference": version.reference,
        "client_request_id": version.client_request_id,
        "span_id": version.span_id,
        "kind": version.kind,
        "name": version.name,
        "source_type": version.source_type,
        "source_id": version.source_id,
    }


def _json(values: object) -> str:
    """Give many rows as one text: psycopg writes arrays in Python, which takes twenty times as long."""
    return json_bytes(values).decode()


def _standing(row: tuple[Any, ...]) -> Standing:
    _, payload, state, trace_id, written_event, dead_reason, dead_detail, late_until, past = row
    dead = Dead(cast("DeadReason", dead_reason), dead_detail or "") if dead_reason else None
    version = Version.from_json(payload)
    return Standing(
        version=version,
        state=_STATES[state],
        trace_id=trace_id,
        written_event=written_event,
        dead=dead,
        late_until=late_until,
        past=_past(past, trace_id, version.assessment_id),
    )


def _past(past: Sequence[str], trace_id: str | None, assessment_id: str) -> dict[UUID, Settled]:
    return dict(_told(text, trace_id, assessment_id) for text in past)


def _told(text: str, trace_id: str | None, assessment_id: str) -> tuple[UUID, Settled]:
    """Read how an older version ended: its event, state and, where it is dead, the reason."""
    event_id, state, *reason = text.split(" ")
    match _STATES[int(state)]:
        case "withdrawn":
            return UUID(event_id), Withdrawn(trace_id, assessment_id)
        case "dead":
            return UUID(event_id), Dead(cast("DeadReason", reason[0]), TOLD_BEFORE)
        case _:
            return UUID(event_id), Logged(trace_id or "", assessment_id)
