"""The statements for PostgreSQL: whole slices as arrays, and the database decides which version is newer."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection

from feedback_batch.dialects import (
    FORBIDDEN,
    LOGGED,
    OTHER_TRACE,
    SUPERSEDED,
    TOMBSTONES,
    WITHDRAWN,
    Standing,
    Trace,
    outcome_of_standing,
)
from feedback_batch.rows import Gone, Row
from feedback_batch.wire import Outcome

# Many values come as one JSON text: psycopg writes arrays in Python, which takes twenty times as long.
_IDS: Final = "ARRAY(SELECT json_array_elements_text(%s::json))"
_LOCKS: Final = {None: "", "share": "FOR SHARE", "update": "FOR NO KEY UPDATE"}


def _order(table: str) -> str:
    """Give the SQL of `rows.order_of` for a table's metadata; what tells of no version is the oldest."""
    said = f"({table}.assessment_metadata::json ->> 'feedback.version')"
    event = f"({table}.assessment_metadata::json ->> 'feedback.event_id')"
    pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?\+00:00$"
    uuid = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
    return (
        f"(CASE WHEN {table}.assessment_metadata LIKE '%%\"feedback.version\"%%' AND {said} ~ '{pattern}'"
        f" AND {event} ~ '{uuid}'"
        f" THEN left(replace({said}, '+00:00', '') || '.000000', 26) || {event} ELSE '' END"
        ' COLLATE "C")'
    )


_COLUMNS: Final = """
    assessment_id text, trace_id text, name text, assessment_type text, value text, timestamp_ms bigint,
    aggregate_value double precision, is_numeric_value boolean, source_type text, source_id text, run_id text,
    span_id text, rationale text, assessment_metadata text, standing text, experiment_id integer,
    trace_timestamp_ms bigint"""

_INSERT: Final = f"""
INSERT INTO assessments (
    assessment_id, trace_id, name, assessment_type, value, created_timestamp, last_updated_timestamp,
    experiment_id, trace_timestamp_ms, aggregate_value, is_numeric_value, source_type, source_id, run_id,
    span_id, rationale, valid, assessment_metadata)
SELECT
    assessment_id, trace_id, name, assessment_type, value, timestamp_ms, timestamp_ms,
    experiment_id, trace_timestamp_ms, aggregate_value, is_numeric_value, source_type, source_id, run_id,
    span_id, rationale, true, assessment_metadata
FROM json_to_recordset(%s::json) AS item ({_COLUMNS})
WHERE NOT EXISTS (
    SELECT FROM {TOMBSTONES} AS gone
    WHERE gone.assessment_id = item.assessment_id AND gone.trace_id = item.trace_id COLLATE "C"
        AND gone.standing >= item.standing COLLATE "C")
ORDER BY assessment_id COLLATE "C"
ON CONFLICT (assessment_id) DO """

_CREATE: Final = _INSERT + "NOTHING RETURNING assessment_id"

# As update_assessment does; but what is gone is gone, where MLflow would keep it: only its own keys stay.
_UPSERT: Final = (
    _INSERT
    + f"""UPDATE SET
    name = excluded.name, value = excluded.value, error = NULL, last_updated_timestamp = %s,
    rationale = excluded.rationale, aggregate_value = excluded.aggregate_value,
    is_numeric_value = excluded.is_numeric_value,
    assessment_metadata = CASE WHEN assessments.assessment_metadata LIKE '%%"mlflow.%%' THEN (
            (SELECT coalesce(jsonb_object_agg(key, value), '{{}}')
             FROM jsonb_each(assessments.assessment_metadata::jsonb) WHERE key LIKE 'mlflow.%%')
            || excluded.assessment_metadata::jsonb)::text
        ELSE excluded.assessment_metadata END
WHERE assessments.trace_id = excluded.trace_id AND assessments.assessment_type = excluded.assessment_type
    AND {_order("assessments")} < {_order("excluded")}
RETURNING assessment_id"""
)

_STANDING: Final = f"""
SELECT assessment_id, trace_id, assessment_type, assessment_metadata, overrides FROM assessments
WHERE assessment_id = ANY({_IDS})"""

_BURY: Final = f"""
INSERT INTO {TOMBSTONES} AS gone (assessment_id, trace_id, standing, withdrawn_at)
SELECT assessment_id, trace_id, "order", %s
FROM json_to_recordset(%s::json) AS item (assessment_id text, trace_id text, "order" text)
ORDER BY assessment_id COLLATE "C"
ON CONFLICT (assessment_id, trace_id) DO UPDATE
SET standing = excluded.standing, withdrawn_at = excluded.withdrawn_at
WHERE gone.standing < excluded.standing"""

_DELETE: Final = f"""
DELETE FROM assessments
USING json_to_recordset(%s::json) AS item (assessment_id text, trace_id text, "order" text)
WHERE assessments.assessment_id = item.assessment_id AND assessments.trace_id = item.trace_id
    AND {_order("assessments")} < item."order" COLLATE "C"
RETURNING assessments.overrides"""


class Postgres:
    """`Dialect` for PostgreSQL, by psycopg or psycopg2."""

    name = "postgresql"

    def prepare(self, connection: Connection) -> None:
        """Create our own table where it is not there; two servers may start at once."""
        # Looked for first: who may not create a table may not say IF NOT EXISTS either.
        if connection.exec_driver_sql("SELECT to_regclass(%s)", (TOMBSTONES,)).scalar() is not None:
            return
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('feedback_batch'))")
        connection.exec_driver_sql(
            f"CREATE TABLE IF NOT EXISTS {TOMBSTONES} ("
            ' assessment_id varchar(50) COLLATE "C", trace_id varchar(50) COLLATE "C",'
            ' standing varchar(62) COLLATE "C" NOT NULL, withdrawn_at bigint NOT NULL,'
            " PRIMARY KEY (assessment_id, trace_id))"
        )

    def traces(
        self, connection: Connection, trace_ids: Collection[str], workspace: str | None, *, lock: str | None
    ) -> dict[str, Trace]:
        """Read the traces, locked in the order of their ids, as MLflow locks them itself."""
        within, params = "", [_json(list(trace_ids))]
        if workspace is not None:
            within = "AND experiment_id IN (SELECT experiment_id FROM experiments WHERE workspace = %s)"
            params.append(workspace)
        found = connection.exec_driver_sql(
            "SELECT request_id, experiment_id, timestamp_ms FROM trace_info"
            f" WHERE request_id = ANY({_IDS}) {within} ORDER BY request_id {_LOCKS[lock]}",
            tuple(params),
        )
        return {row[0]: Trace(int(row[1]), row[2]) for row in found}

    def log(
        self, connection: Connection, rows: Sequence[Row], *, may_edit: bool, now_ms: int
    ) -> dict[str, Outcome]:
        """Create, or edit what is older, in one statement."""
        given = _json(rows)
        statement, params = (_UPSERT, (given, now_ms)) if may_edit else (_CREATE, (given,))
        written = connection.exec_driver_sql(statement, params)
        outcomes = {row[0]: LOGGED for row in written}
        if len(outcomes) < len(rows):
            rest = [row for row in rows if row.assessment_id not in outcomes]
            outcomes |= self._not_written(connection, rest, may_edit=may_edit)
        return outcomes

    def _not_written(
        self, connection: Connection, rest: Sequence[Row], *, may_edit: bool
    ) -> dict[str, Outcome]:
        standing = self.standing(connection, [row.assessment_id for row in rest])
        outcomes = {}
        for row in rest:
            there = standing.get(row.assessment_id)
            # What is not there, and yet was not written, was withdrawn.
            outcome = SUPERSEDED if there is None else outcome_of_standing(row, there)
            # So was what is older, and may be edited, if MLflow's own endpoint put it there again.
            outcomes[row.assessment_id] = SUPERSEDED if may_edit and outcome is FORBIDDEN else outcome
        return outcomes

    def withdraw(self, connection: Connection, gone: Sequence[Gone], *, now_ms: int) -> dict[str, Outcome]:
        """Delete what is older and leave tombstones."""
        ids, given = [item.assessment_id for item in gone], _json(gone)
        connection.exec_driver_sql(_BURY, (now_ms, given))
        deleted = connection.exec_driver_sql(_DELETE, (given,))
        if overridden := [row[0] for row in deleted if row[0]]:
            connection.exec_driver_sql(
                f"UPDATE assessments SET valid = true WHERE assessment_id = ANY({_IDS})", (_json(overridden),)
            )
        standing = self.standing(connection, ids)
        outcomes = {}
        for item in gone:
            there = standing.get(item.assessment_id)
            if there is None:
                outcomes[item.assessment_id] = WITHDRAWN
            else:
                outcomes[item.assessment_id] = SUPERSEDED if there.trace_id == item.trace_id else OTHER_TRACE
        return outcomes

    def standing(self, connection: Connection, assessment_ids: Sequence[str]) -> Mapping[str, Standing]:
        """Read what stands."""
        found = connection.exec_driver_sql(_STANDING, (_json(assessment_ids),))
        return {row[0]: Standing(*row[1:]) for row in found}


def _json(values: object) -> str:
    return msgspec.json.encode(values).decode()
