"""park: what cannot be settled yet, or must be looked at again, as records for the retry topics."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from pipeline.batch import Batch
from pipeline.decode import Decoded
from pipeline.outcomes import ParkReason
from pipeline.ports import Parked, Standing
from pipeline.retries import RetryPolicy
from pipeline.versions import Version


def parked_of(batch: Batch, policy: RetryPolicy, *, now: datetime) -> list[Parked]:
    """Give a parked record for each of the batch of which an assessment waits, naming those that do."""
    parked: list[Parked] = []
    for item in batch.decoded if batch.waiting else ():
        waiting = [v for v in item.versions if batch.is_newest(v) and v.feedback_id in batch.waiting]
        if waiting:
            # A record that came twice in the batch is as far as the further one, which was not the last.
            attempt = max(batch.attempts[version.feedback_id] for version in waiting)
            delay = policy.delay_after(attempt) or policy.stages[-1].delay
            reason = batch.waiting[waiting[0].feedback_id]
            parked.append(_parked(item, waiting, reason, attempt + 1, delay, now))
    return parked


def waiting_for_a_look(
    decoded: Sequence[Decoded], standings: Mapping[UUID, Standing], policy: RetryPolicy, *, now: datetime
) -> list[Parked]:
    """Give a parked record for each whose version stands, while an older one may still arrive over it."""
    parked: list[Parked] = []
    for item in decoded if standings else ():
        late = [v for v in item.versions if _may_be_overwritten(v, standings.get(v.feedback_id), now)]
        if late:
            visit = item.record.visit
            parked.append(_parked(item, late, "look_again", visit.attempt, policy.look_again_after, now))
    return parked


def _may_be_overwritten(version: Version, standing: Standing | None, now: datetime) -> bool:
    return (
        standing is not None
        and standing.order == version.order
        and standing.late_until is not None
        and standing.late_until > now
    )


def _parked(  # noqa: PLR0913, PLR0917 - what a parked record has
    item: Decoded,
    versions: Sequence[Version],
    reason: ParkReason,
    attempt: int,
    delay: timedelta,
    now: datetime,
) -> Parked:
    return Parked(
        record=item.record,
        delay=delay,
        attempt=attempt,
        first_seen=item.record.visit.first_seen or now,
        due_at=now + delay,
        reason=reason,
        names=tuple((version.kind, version.name) for version in versions),
    )
