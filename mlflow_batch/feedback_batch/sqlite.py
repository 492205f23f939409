"""The statements for SQLite, which has one writer at a time: read, decide and write."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

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
from feedback_batch.rows import Gone, Row, merged, standing_of
from feedback_batch.wire import Outcome

_VARIABLES: Final = 500
"""Ids in a statement; older SQLite takes 999 variables."""

_INSERT: Final = """
INSERT INTO assessments (
    assessment_id, trace_id, name, assessment_type, value, created_timestamp, last_updated_timestamp,
    experiment_id, trace_timestamp_ms, aggregate_value, is_numeric_value, source_type, source_id, run_id,
    span_id, rationale, valid, assessment_metadata)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)"""

_UPDATE: Final = """
UPDATE assessments SET name = ?, value = ?, error = NULL, last_updated_timestamp = ?, rationale = ?,
    aggregate_value = ?, is_numeric_value = ?, assessment_metadata = ?
WHERE assessment_id = ?"""

_BURY: Final = f"""
INSERT INTO {TOMBSTONES} (assessment_id, trace_id, standing, withdrawn_at) VALUES (?, ?, ?, ?)
ON CONFLICT (assessment_id, trace_id) DO UPDATE
SET standing = excluded.standing, withdrawn_at = excluded.withdrawn_at
WHERE {TOMBSTONES}.standing < excluded.standing"""


class Sqlite:
    """`Dialect` for SQLite."""

    name = "sqlite"

    def prepare(self, connection: Connection) -> None:
        """Create our own table where it is not there."""
        connection.exec_driver_sql(
            f"CREATE TABLE IF NOT EXISTS {TOMBSTONES} (assessment_id VARCHAR(50) NOT NULL,"
            " trace_id VARCHAR(50) NOT NULL, standing VARCHAR(62) NOT NULL, withdrawn_at BIGINT NOT NULL,"
            " PRIMARY KEY (assessment_id, trace_id))"
        )

    def traces(
        self, connection: Connection, trace_ids: Collection[str], workspace: str | None, *, lock: str | None
    ) -> dict[str, Trace]:
        """Read the traces; to lock them, the whole database is locked for writing."""
        if lock is not None:
            connection.exec_driver_sql(f"DELETE FROM {TOMBSTONES} WHERE 0")
        within = (
            ""
            if workspace is None
            else (" AND experiment_id IN (SELECT experiment_id FROM experiments WHERE workspace = ?)")
        )
        found: dict[str, Trace] = {}
        for ids in _parts(list(trace_ids)):
            rows = connection.exec_driver_sql(
                f"SELECT request_id, experiment_id, timestamp_ms FROM trace_info"
                f" WHERE request_id IN ({_marks(ids)}){within}",
                (*ids, *([] if workspace is None else [workspace])),
            )
            found |= {row[0]: Trace(int(row[1]), row[2]) for row in rows}
        return found

    def log(
        self, connection: Connection, rows: Sequence[Row], *, may_edit: bool, now_ms: int
    ) -> dict[str, Outcome]:
        """Create, or edit what is older."""
        ids = [row.assessment_id for row in rows]
        standing, buried = self.standing(connection, ids), _buried(connection, ids)
        outcomes: dict[str, Outcome] = {}
        inserts, updates = [], []
        for row in rows:
            there = standing.get(row.assessment_id)
            if buried.get((row.assessment_id, row.trace_id), "") >= row.order:
                outcome = SUPERSEDED
            elif there is None:
                inserts.append(_values(row))
                outcome = LOGGED
            else:
                outcome = outcome_of_standing(row, there)
                if may_edit and outcome is FORBIDDEN:
                    updates.append(_changes(row, there.metadata, now_ms))
                    outcome = LOGGED
            outcomes[row.assessment_id] = outcome
        for statement, many in ((_INSERT, inserts), (_UPDATE, updates)):
            if many:
                connection.exec_driver_sql(statement, many)
        return outcomes

    def withdraw(self, connection: Connection, gone: Sequence[Gone], *, now_ms: int) -> dict[str, Outcome]:
        """Delete what is older and leave tombstones."""
        connection.exec_driver_sql(
            _BURY, [(item.assessment_id, item.trace_id, item.order, now_ms) for item in gone]
        )
        standing = self.standing(connection, [item.assessment_id for item in gone])
        outcomes: dict[str, Outcome] = {}
        for item in gone:
            there = standing.get(item.assessment_id)
            if there is None:
                outcome = WITHDRAWN
            elif there.trace_id != item.trace_id:
                outcome = OTHER_TRACE
            elif (standing_of(there.metadata) or "") >= item.order:
                outcome = SUPERSEDED
            else:
                _delete(connection, item.assessment_id, there.overrides)
                outcome = WITHDRAWN
            outcomes[item.assessment_id] = outcome
        return outcomes

    def standing(self, connection: Connection, assessment_ids: Sequence[str]) -> Mapping[str, Standing]:
        """Read what stands."""
        found: dict[str, Standing] = {}
        for ids in _parts(assessment_ids):
            rows = connection.exec_driver_sql(
                "SELECT assessment_id, trace_id, assessment_type, assessment_metadata, overrides"
                f" FROM assessments WHERE assessment_id IN ({_marks(ids)})",
                tuple(ids),
            )
            found |= {row[0]: Standing(*row[1:]) for row in rows}
        return found


def _buried(connection: Connection, ids: Sequence[str]) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for some in _parts(ids):
        rows = connection.exec_driver_sql(
            f"SELECT assessment_id, trace_id, standing FROM {TOMBSTONES}"
            f" WHERE assessment_id IN ({_marks(some)})",
            tuple(some),
        )
        found |= {(row[0], row[1]): row[2] for row in rows}
    return found


def _values(row: Row) -> tuple[object, ...]:
    return (
        row.assessment_id,
        row.trace_id,
        row.name,
        row.assessment_type,
        row.value,
        row.timestamp_ms,
        row.timestamp_ms,
        row.experiment_id,
        row.trace_timestamp_ms,
        row.aggregate_value,
        row.is_numeric_value,
        row.source_type,
        row.source_id,
        row.run_id,
        row.span_id,
        row.rationale,
        row.assessment_metadata,
    )


def _changes(row: Row, old_metadata: str | None, now_ms: int) -> tuple[object, ...]:
    return (
        row.name,
        row.value,
        now_ms,
        row.rationale,
        row.aggregate_value,
        row.is_numeric_value,
        merged(old_metadata, row.assessment_metadata),
        row.assessment_id,
    )


def _delete(connection: Connection, assessment_id: str, overridden: str | None) -> None:
    connection.exec_driver_sql("DELETE FROM assessments WHERE assessment_id = ?", (assessment_id,))
    if overridden:
        connection.exec_driver_sql("UPDATE assessments SET valid = 1 WHERE assessment_id = ?", (overridden,))


def _parts(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + _VARIABLES] for start in range(0, len(ids), _VARIABLES)]


def _marks(ids: Sequence[str]) -> str:
    return ", ".join("?" * len(ids))
