"""What stands of a feedback, by the table that every claim and settlement goes through."""

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg.errors import UndefinedTable

from apps.feedback_api.models import State, StatusAnswer
from contracts.identity import assessment_id
from pipeline.adapters.postgres import Pool, connection

_STATES: Final[tuple[State, ...]] = ("accepted", "logged", "withdrawn", "dead")
_SELECT: Final = b"""
SELECT feedback_id, event_id, state, trace_id, client_request_id, dead_reason,
       claimed_at < now() - interval '2 seconds', past, version
FROM feedback WHERE feedback_id = ANY(%s)
"""
_REMEMBERED: Final = 20_000


@dataclass(frozen=True, slots=True)
class Stands:
    """One row, and what its feedback is about."""

    answer: StatusAnswer
    version: datetime
    client_request_id: str | None
    past: tuple[str, ...]

    def of_event(self, event_id: UUID, at: datetime | None, *, is_ours: bool) -> StatusAnswer:
        """Give what became of one event: superseded where a newer one stands, else it is not read yet.

        Args:
            event_id: of the event.
            at: when it was submitted, where that is known.
            is_ours: whether this process has accepted it, and nothing newer since.

        """
        if self.answer.event_id == event_id:
            return self.answer
        is_new = is_ours if at is None else (at, str(event_id)) > (self.version, str(self.answer.event_id))
        is_past = any(text.startswith(str(event_id)) for text in self.past)
        state: State = "accepted" if is_new and not is_past else "superseded"
        return StatusAnswer(feedback_id=self.answer.feedback_id, status=state, event_id=event_id)


async def standings(pool: Pool, feedback_ids: Collection[UUID]) -> Mapping[UUID, Stands]:
    """Look feedback up.

    Raises:
        DependencyAwayError: when Postgres is away.

    """
    try:
        async with connection(pool) as conn:
            rows = await (await conn.execute(_SELECT, [list(feedback_ids)])).fetchall()
    except UndefinedTable:
        return {}  # no consumer has run yet
    return {row[0]: _stands(*row) for row in rows}


def _stands(  # noqa: PLR0913, PLR0917 - a row
    feedback_id: UUID,
    event_id: UUID,
    state: int,
    trace_id: str | None,
    client_request_id: str | None,
    dead_reason: str | None,
    is_old: bool,  # noqa: FBT001 - of the row
    past: list[str],
    version: datetime,
) -> Stands:
    named = _STATES[state]
    answer = StatusAnswer(
        feedback_id=feedback_id,
        # Read and not written: its trace is not there yet, or MLflow is away.
        status="parked" if named == "accepted" and is_old else named,
        reason=dead_reason,
        trace_id=trace_id,
        assessment_id=assessment_id(feedback_id) if named == "logged" else None,
        event_id=event_id,
    )
    return Stands(answer, version, client_request_id, tuple(past))


class Remembered:
    """The newest feedback that this process has accepted, which no consumer may have read yet."""

    def __init__(self, most: int = _REMEMBERED) -> None:
        self._most = most
        self._events: OrderedDict[UUID, tuple[UUID, str]] = OrderedDict()

    def add(self, feedback_id: UUID, event_id: UUID, reference: str) -> None:
        """Remember one."""
        self._events[feedback_id] = (event_id, reference)
        self._events.move_to_end(feedback_id)
        while len(self._events) > self._most:
            self._events.popitem(last=False)

    def get(self, feedback_id: UUID) -> tuple[UUID, str] | None:
        """Give its newest event, and what it is about."""
        return self._events.get(feedback_id)
