"""Batches into the tracking store's database: slices, rights, and the one item that cannot be stored."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import sqlalchemy
from mlflow.store.tracking.utils.sql_trace_rollups import (
    RollupFamily,
    enqueue_rollup_rebuild_partitions,
    rollups_enabled,
)
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from feedback_batch.dialects import (
    FORBIDDEN,
    NO_SUCH_TRACE,
    OTHER_TRACE,
    SUPERSEDED,
    TOMBSTONES,
    Dialect,
    Trace,
)
from feedback_batch.errors import RequestError
from feedback_batch.rights import Rights
from feedback_batch.rows import Gone, Row, row_of
from feedback_batch.wire import Item, Outcome

SLICE: Final = 1_000
"""Rows in a transaction: more are hardly faster, and hold their locks for longer."""

_TRIES: Final = 5
_NO_RIGHT: Final = "42501"
_AGAIN: Final = {"40001", "40P01", "55P03"}
"""SQLSTATEs of a transaction that would have worked alone: serialization, deadlock, lock not available."""

_ROW_CLASSES: Final = ("21", "22", "23", "44", "54", "P0", "XX")
"""SQLSTATE classes that may be a row's fault: data, constraints, limits, triggers, a broken page.

All others, as a missing right or table, are the whole database's: no row is dead-lettered on their account.
"""

_STANDS: Final = ("logged", "already_there", "superseded", "withdrawn")
"""What became of the newest version, where it or a newer one now stands, or was withdrawn."""

Work = Row | Gone
Some = TypeVar("Some", Row, Gone)


class Writer:
    """Writes batches, each slice in a transaction of its own.

    Args:
        engine: the tracking store's.
        dialect: the statements for its database.
        workspace: gives the active workspace, None where the server has none.

    """

    def __init__(self, engine: Engine, dialect: Dialect, workspace: Callable[[], str | None]) -> None:
        self._engine = engine
        self._dialect = dialect
        self._workspace = workspace

    def prepare(self) -> None:
        """Create our own table where it is not there.

        Raises:
            RequestError: when the database is away, or does not let us.

        """
        try:
            with self._engine.begin() as connection:
                self._dialect.prepare(connection)
        except DBAPIError as error:
            said = f"the database does not let us create our table {TOMBSTONES} ({_code(error)})"
            if _code(error) == _NO_RIGHT:
                raise RequestError.unsupported(f"{said}: create it as the README says") from error
            raise RequestError.away(said) from error

    def write(self, items: Sequence[Item | Outcome], rights: Rights) -> list[Outcome]:
        """Write a batch and give the outcome of each item, in their order.

        Of several versions of one assessment only the newest is written.

        Raises:
            RequestError: when the database gives no answer; what is not told may be written or not, and
                all of it may be sent again.

        """
        outcomes: list[Outcome | None] = [None] * len(items)
        work: dict[int, Work] = {}
        for number, item in enumerate(items):
            found = item if isinstance(item, Outcome) else row_of(item)
            if isinstance(found, Outcome):
                outcomes[number] = found
                continue
            work[number] = found
        while work:
            decided = self._newest(work.values(), rights)
            left = {}
            for number, one in work.items():
                best, outcome = decided[one.assessment_id]
                if _is_same(one, best):
                    outcomes[number] = outcome
                elif one.trace_id == best.trace_id and outcome.status in _STANDS:
                    outcomes[number] = SUPERSEDED
                else:
                    # The newest was not to be written: what is older is not superseded by it.
                    left[number] = one
            work = left
        return [outcome for outcome in outcomes if outcome is not None]

    def _newest(self, work: Iterable[Work], rights: Rights) -> dict[str, tuple[Work, Outcome]]:
        """Write the newest version of each assessment."""
        newest: dict[str, Work] = {}
        for one in work:
            known = newest.get(one.assessment_id)
            if known is None or known.order < one.order:
                newest[one.assessment_id] = one
        chosen = list(newest.values())
        told: dict[str, Outcome] = {}
        for start in range(0, len(chosen), SLICE):
            told |= self._slice(chosen[start : start + SLICE], rights)
        return {key: (one, told[key]) for key, one in newest.items()}

    def _slice(self, work: Sequence[Work], rights: Rights) -> dict[str, Outcome]:
        """Write a slice; where the database refuses it, halve it until the one bad row is found."""
        for attempt in range(_TRIES):
            try:
                return self._once(work, rights)
            except _RoutingChangedError:
                continue
            except DBAPIError as error:
                code = _code(error)
                if code in _AGAIN and attempt + 1 < _TRIES:
                    continue
                if _is_away(error, code):
                    raise RequestError.away(f"the database gives no answer ({code})") from error
                if len(work) == 1:
                    return {work[0].assessment_id: Outcome("invalid", f"the database refuses it ({code})")}
                middle = len(work) // 2
                return self._slice(work[:middle], rights) | self._slice(work[middle:], rights)
        raise RequestError.away("its traces move all the time")

    def _once(self, work: Sequence[Work], rights: Rights) -> dict[str, Outcome]:
        now_ms = time.time_ns() // 1_000_000
        with self._engine.begin() as connection:
            traces = self._locked_traces(connection, work)
            outcomes: dict[str, Outcome] = {}
            creates: list[Row] = []
            upserts: list[Row] = []
            gone: list[Gone] = []
            allowed = (
                {
                    experiment: rights.of(str(experiment), trace_id)
                    for trace_id, (experiment, _) in traces.items()
                }
                if rights.is_needed
                else {}
            )
            for one in work:
                trace = traces.get(one.trace_id)
                if trace is None:
                    outcomes[one.assessment_id] = NO_SUCH_TRACE
                    continue
                may = allowed.get(trace.experiment_id, rights.all)
                if isinstance(one, Gone):
                    if may.delete:
                        gone.append(one)
                        continue
                elif may.create:
                    one.experiment_id, one.trace_timestamp_ms = trace
                    (upserts if may.edit else creates).append(one)
                    continue
                outcomes[one.assessment_id] = FORBIDDEN
            if gone:
                outcomes |= self._dialect.withdraw(connection, gone, now_ms=now_ms)
            for rows, may_edit in ((upserts, True), (creates, False)):
                if rows:
                    outcomes |= self._dialect.log(connection, rows, may_edit=may_edit, now_ms=now_ms)
            missed = [one for one in work if outcomes[one.assessment_id] in (NO_SUCH_TRACE, OTHER_TRACE)]
            if missed:
                outcomes |= self._elsewhere(connection, missed, outcomes, rights)
        return outcomes

    def _elsewhere(
        self, connection: Connection, work: Sequence[Work], outcomes: Mapping[str, Outcome], rights: Rights
    ) -> dict[str, Outcome]:
        """Tell on which other traces assessments stand, where the caller may do there what he came for."""
        standing = self._dialect.standing(connection, [one.assessment_id for one in work])
        trace_ids = {there.trace_id for there in standing.values()}
        traces = self._dialect.traces(connection, trace_ids, self._workspace(), lock=None)
        found = {}
        for one in work:
            there = standing.get(one.assessment_id)
            trace = traces.get(there.trace_id) if there else None
            if there is None or trace is None:
                continue
            may = rights.of(str(trace.experiment_id), there.trace_id) if rights.is_needed else rights.all
            if may.delete if isinstance(one, Gone) else may.create:
                told = outcomes[one.assessment_id]
                found[one.assessment_id] = Outcome(told.status, told.reason, there.trace_id)
        return found

    def _locked_traces(self, connection: Connection, work: Iterable[Work]) -> dict[str, Trace]:
        ids = {one.trace_id for one in work}
        lock = "update" if any(isinstance(one, Gone) for one in work) else "share"
        workspace = self._workspace()
        if not rollups_enabled():
            return self._dialect.traces(connection, ids, workspace, lock=lock)
        # As create_assessment does: what is to be counted again is said before the traces are locked.
        before = self._dialect.traces(connection, ids, workspace, lock=None)
        days: dict[int, list[int]] = {}
        for trace in before.values():
            days.setdefault(trace.experiment_id, []).append(trace.timestamp_ms)
        with Session(bind=connection, join_transaction_mode="rollback_only") as session:
            enqueue_rollup_rebuild_partitions(
                session, [(RollupFamily.ASSESSMENT, key, times) for key, times in days.items()]
            )
            session.flush()
            traces = self._dialect.traces(connection, ids, workspace, lock=lock)
            session.expunge_all()
        if any(before.get(key) != trace for key, trace in traces.items()):
            raise _RoutingChangedError
        return traces


def _is_same(one: Work, other: Work) -> bool:
    return (type(one), one.trace_id, one.order) == (type(other), other.trace_id, other.order)


class _RoutingChangedError(Exception):
    """A trace moved to another experiment or time while it was not locked yet."""


def _code(error: DBAPIError) -> str:
    """Give the SQLSTATE, or the class of an error that has none; never its text, which quotes values."""
    original: Any = error.orig
    code = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    return str(code) if code else type(original).__name__


def _is_away(error: DBAPIError, code: str) -> bool:
    if error.connection_invalidated:
        return True
    if len(code) == len("40001") and not code.endswith("Error"):
        return not code.startswith(_ROW_CLASSES)
    return not isinstance(error, sqlalchemy.exc.IntegrityError | sqlalchemy.exc.DataError)
