"""What MLflow and the join index hold, read from their tables: faster than asking, and without any cache."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from chaos.traffic import UNSTORABLE, Trace
from local.postgres import MLFLOW_DATABASE

_LOOK_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """One row of MLflow's table."""

    assessment_id: str
    trace_id: str
    name: str
    kind: str
    value: Any
    rationale: str | None
    metadata: dict[str, str]
    source_type: str
    source_id: str | None
    is_valid: bool


def assessments(postgres: str, experiment: str) -> list[Assessment]:
    """Read all assessments on the traces of an experiment."""
    with psycopg.connect(postgres, dbname=MLFLOW_DATABASE) as connection:
        rows = connection.execute(
            "SELECT a.assessment_id, a.trace_id, a.name, a.assessment_type, a.value, a.rationale,"
            " a.assessment_metadata, a.source_type, a.source_id, a.valid"
            " FROM assessments a JOIN trace_info t ON t.request_id = a.trace_id"
            " WHERE t.experiment_id = %s",
            [int(experiment)],
        ).fetchall()
    return [
        Assessment(
            assessment_id=key,
            trace_id=trace_id,
            name=name,
            kind=kind,
            value=json.loads(value),
            rationale=rationale,
            metadata=json.loads(metadata or "{}"),
            source_type=source_type,
            source_id=source_id,
            is_valid=is_valid,
        )
        for key, trace_id, name, kind, value, rationale, metadata, source_type, source_id, is_valid in rows
    ]


def refuse_unstorable(postgres: str) -> None:
    """Make MLflow's database refuse one name, by a rule of its own: a real error of a real part."""
    rule = "chaos_refuses"
    with psycopg.connect(postgres, dbname=MLFLOW_DATABASE, autocommit=True) as connection:
        connection.execute(f"ALTER TABLE assessments DROP CONSTRAINT IF EXISTS {rule}".encode())
        check = f"ALTER TABLE assessments ADD CONSTRAINT {rule} CHECK (name <> '{UNSTORABLE}')"
        connection.execute(check.encode())


def put_traces(postgres: str, experiment: str, traces: Sequence[Trace]) -> None:
    """Put traces into MLflow's table, of now: by its API thousands of them would take longer than the run."""
    now_ms = int(time.time() * 1000)
    columns = b"request_id, experiment_id, timestamp_ms, execution_time_ms, status, client_request_id"
    with (
        psycopg.connect(postgres, dbname=MLFLOW_DATABASE) as connection,
        connection.cursor().copy(b"COPY trace_info (" + columns + b") FROM STDIN") as copy,
    ):
        for trace in traces:
            copy.write_row((trace.trace_id, int(experiment), now_ms, 100, "OK", trace.request_id))


@dataclass(frozen=True, slots=True)
class Blocked:
    """A lock that no write to the assessments gets past."""

    _asker: psycopg.Connection[Any]

    def waiting(self) -> int:
        """Give how many transactions of MLflow stand before the lock."""
        row = self._asker.execute(
            "SELECT count(DISTINCT pid) FROM pg_locks"
            " WHERE NOT granted AND relation = 'assessments'::regclass"
        ).fetchone()
        return int(row[0]) if row else 0

    def wait_for_one(self, seconds: float) -> int:
        """Give how many stand there once there is one, or 0 when none has come in time."""
        deadline = time.monotonic() + seconds
        while not (found := self.waiting()) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        return found


@contextmanager
def blocked_writes(postgres: str) -> Iterator[Blocked]:
    """Have all writes to the assessments wait within their transactions; reading goes on."""
    with (
        psycopg.connect(postgres, dbname=MLFLOW_DATABASE, autocommit=True) as asker,
        psycopg.connect(postgres, dbname=MLFLOW_DATABASE) as holder,
    ):
        holder.execute("LOCK TABLE assessments IN SHARE ROW EXCLUSIVE MODE")
        yield Blocked(asker)
        holder.rollback()


def chats(postgres: str, schema: str) -> dict[str, str | None]:
    """Read the join index: the trace of each request."""
    with psycopg.connect(postgres) as connection:
        connection.execute("SELECT set_config('search_path', %s, false)", [schema])
        rows = connection.execute("SELECT client_request_id, trace_id FROM chats").fetchall()
    return dict(rows)
