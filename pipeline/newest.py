"""The newest version written over whatever came too late, until nobody else has overtaken it."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from contracts.events import Segment
from pipeline.log import Draft, log
from pipeline.outcomes import Logged, Superseded, Withdrawn
from pipeline.patience import Patience
from pipeline.ports import FeedbackStore, Sink
from pipeline.settle import settlement_of

_log = structlog.get_logger(__name__)

REWRITES: Final = 20
"""How often in a row a settle may find itself overtaken; each time somebody else has just written."""


class NewestWriter:
    """Sees to it that MLflow holds what stands in the store."""

    def __init__(self, store: FeedbackStore, sink: Sink, patience: Patience, *, lease: timedelta) -> None:
        self._store = store
        self._sink = sink
        self._patience = patience
        self._lease = lease

    async def write(self, feedback_ids: Sequence[UUID], segment: Callable[[UUID], Segment | None]) -> None:
        """Write what stands now, of what was ever to be written.

        Args:
            feedback_ids: of which feedback.
            segment: gives the segment of a feedback's chat, where that is known.

        """
        for _ in range(REWRITES):
            if not feedback_ids:
                return
            feedback_ids = await self._write_once(feedback_ids, segment)
        _log.error("newest_not_written", feedback=len(feedback_ids), why="MLflow is ahead of the store")

    async def _write_once(
        self, feedback_ids: Sequence[UUID], segment: Callable[[UUID], Segment | None]
    ) -> list[UUID]:
        """Write what stands now; gives those that were overtaken meanwhile."""
        standings = await self._patience.call(lambda: self._store.read(feedback_ids))
        drafts = [
            Draft(
                version=standing.version,
                trace_id=standing.trace_id,
                segment=segment(key),
                written=standing.version.event_id,
            )
            for key, standing in standings.items()
            if standing.trace_id is not None and standing.state != "dead"
        ]
        outcomes = await log(drafts, self._store, self._sink, self._patience, lease=self._lease)
        settlements = [
            settlement
            for key, outcome in outcomes.items()
            if isinstance(outcome, Logged | Withdrawn)
            and (settlement := settlement_of(standings[key].version, outcome, None))
        ]
        settle = self._store.settle
        overtaken = await self._patience.call(lambda: settle(settlements)) if settlements else ()
        return [key for key, outcome in outcomes.items() if key in overtaken or outcome == Superseded()]
