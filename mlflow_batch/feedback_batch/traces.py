"""Many requests to their traces at once."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlTraceInfo, SqlTraceMetadata, SqlTraceTag
from mlflow.tracing.constant import TraceMetadataKey
from sqlalchemy import Connection, Engine, case, func, select
from sqlalchemy.exc import DBAPIError

from feedback_batch.errors import RequestError
from feedback_batch.wire import Resolve

_IDS_AT_ONCE: Final = {"postgresql": 5_000, "sqlite": 500}
_STATES: Final = {"OK": 0, "ERROR": 1}


class Found(msgspec.Struct, frozen=True):
    """The trace of a request; ``said`` are those of its metadata and tags that were asked for."""

    trace_id: str
    experiment_id: str
    state: str
    timestamp_ms: int
    said: dict[str, str]


class TraceFinder:
    """Finds traces of requests: of several the newest that is OK, else that failed, else the newest."""

    def __init__(self, engine: Engine, workspace: Callable[[], str | None]) -> None:
        self._engine = engine
        self._workspace = workspace

    def find(self, asked: Resolve) -> dict[str, Found]:
        """Give the traces by client request id.

        Raises:
            RequestError: when the database gives no answer.

        """
        experiments = [int(key) for key in asked.experiment_ids]
        size = _IDS_AT_ONCE[self._engine.dialect.name]
        found: dict[str, Found] = {}
        try:
            with self._engine.connect() as connection:
                for ids in _parts(sorted(set(asked.client_request_ids)), size):
                    found |= self._find(connection, ids, experiments, asked)
        except DBAPIError as error:
            raise RequestError.away("the database gives no answer") from error
        return found

    def _find(
        self, connection: Connection, ids: Sequence[str], experiments: Sequence[int], asked: Resolve
    ) -> dict[str, Found]:
        rows = list(connection.execute(self._best(ids, experiments, asked.since_ms)))
        said: dict[str, dict[str, str]] = {row.request_id: {} for row in rows}
        # Metadata over tags, as they cannot be changed later.
        for table in (SqlTraceTag, SqlTraceMetadata) if asked.keys else ():
            query = select(table.request_id, table.key, table.value).where(
                table.request_id.in_(list(said)), table.key.in_(asked.keys)
            )
            for trace_id, key, value in connection.execute(query):
                if value is not None:
                    said[trace_id][key] = value
        if (session := TraceMetadataKey.TRACE_SESSION) in asked.keys:
            # MLflow keeps it in a column of its own, and shows it among the metadata.
            for row in rows:
                if row.session_id is not None:
                    said[row.request_id][session] = row.session_id
        return {
            row.client_request_id: Found(
                row.request_id, str(row.experiment_id), row.status, row.timestamp_ms, said[row.request_id]
            )
            for row in rows
        }

    def _best(self, ids: Sequence[str], experiments: Sequence[int], since_ms: int | None) -> Any:
        info = SqlTraceInfo
        place = func.row_number().over(
            partition_by=info.client_request_id,
            order_by=(
                case(_STATES, value=info.status, else_=len(_STATES)),
                info.timestamp_ms.desc(),
                info.request_id.desc(),
            ),
        )
        conditions = [info.client_request_id.in_(ids), info.experiment_id.in_(experiments)]
        if since_ms is not None:
            conditions.append(info.timestamp_ms > since_ms)
        if (workspace := self._workspace()) is not None:
            here = select(SqlExperiment.experiment_id).where(SqlExperiment.workspace == workspace)
            conditions.append(info.experiment_id.in_(here))
        ranked = (
            select(
                info.request_id,
                info.client_request_id,
                info.experiment_id,
                info.status,
                info.timestamp_ms,
                info.session_id,
                place.label("place"),
            )
            .where(*conditions)
            .subquery()
        )
        return select(ranked).where(ranked.c.place == 1)


def _parts(ids: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
