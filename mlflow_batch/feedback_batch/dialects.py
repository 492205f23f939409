"""What one kind of database does with a slice, inside a transaction of its own."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from feedback_batch.rows import Gone, Row, standing_of
from feedback_batch.wire import Outcome

TOMBSTONES = "feedback_batch_tombstones"
"""Our own table, beside MLflow's: what was withdrawn, from which trace, and as which version.

Of one trace alone: who may withdraw there decides nothing about the traces of others.
"""


class Trace(NamedTuple):
    """What an assessment keeps of its trace."""

    experiment_id: int
    timestamp_ms: int


class Standing(NamedTuple):
    """What stands under an assessment's id."""

    trace_id: str
    assessment_type: str
    metadata: str | None
    overrides: str | None


class Dialect(Protocol):
    """The statements for one kind of database.

    Every method runs in the transaction of ``connection``. Those that write take rows of different
    assessments whose traces are locked, and give an outcome for each, by assessment id.
    """

    name: str

    def prepare(self, connection: Connection) -> None:
        """Create our own table where it is not there."""

    def traces(
        self, connection: Connection, trace_ids: Collection[str], workspace: str | None, *, lock: str | None
    ) -> dict[str, Trace]:
        """Read the traces that are there, in their order, and lock them: ``share``, ``update`` or not."""

    def log(
        self, connection: Connection, rows: Sequence[Row], *, may_edit: bool, now_ms: int
    ) -> dict[str, Outcome]:
        """Create, or edit what is older; without ``may_edit`` only create."""

    def withdraw(self, connection: Connection, gone: Sequence[Gone], *, now_ms: int) -> dict[str, Outcome]:
        """Delete what is older, and keep that nothing older may come back."""

    def standing(self, connection: Connection, assessment_ids: Sequence[str]) -> Mapping[str, Standing]:
        """Read what stands, by assessment id."""


LOGGED = Outcome("logged")
ALREADY_THERE = Outcome("already_there")
SUPERSEDED = Outcome("superseded")
WITHDRAWN = Outcome("withdrawn")
NO_SUCH_TRACE = Outcome("no_such_trace")
FORBIDDEN = Outcome("forbidden")
OTHER_TRACE = Outcome("invalid", "assessment_id: stands on another trace")
OTHER_TYPE = Outcome("invalid", "assessment_id: stands as another type")


def outcome_of_standing(row: Row, there: Standing) -> Outcome:
    """Say what became of a row that was not written, by what stands there; forbidden where that is older."""
    if there.trace_id != row.trace_id:
        return OTHER_TRACE
    if there.assessment_type != row.assessment_type:
        return OTHER_TYPE
    order = standing_of(there.metadata)
    if order == row.order:
        return ALREADY_THERE
    return SUPERSEDED if order is not None and order > row.order else FORBIDDEN
