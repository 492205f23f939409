"""What one kind of database does with a slice, inside a transaction of its own."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from feedback_batch.rows import Gone, Row
from feedback_batch.wire import Outcome

TOMBSTONES = "feedback_batch_tombstones"
"""Our own table, beside MLflow's: what was withdrawn, from which trace, and as which version.

Of one trace alone: who may withdraw there decides nothing about the traces of others.
"""


class Trace(NamedTuple):
    """What an assessment keeps of its trace."""

    experiment_id: int
    timestamp_ms: int


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


LOGGED = Outcome("logged")
ALREADY_THERE = Outcome("already_there")
SUPERSEDED = Outcome("superseded")
WITHDRAWN = Outcome("withdrawn")
NO_SUCH_TRACE = Outcome("no_such_trace")
FORBIDDEN = Outcome("forbidden")
OTHER_TRACE = Outcome("invalid", "assessment_id: stands on another trace, or as another type")


def outcome_of_standing(row: Row, standing: str | None, *, is_alike: bool) -> Outcome:
    """Say what became of a row that was not written.

    Args:
        row: what was to be written.
        standing: the version of what stands there, None where it tells of none.
        is_alike: whether what stands there is of the same trace and type.

    """
    if not is_alike:
        return OTHER_TRACE
    if standing == row.order:
        return ALREADY_THERE
    return SUPERSEDED if standing is not None and standing > row.order else FORBIDDEN
