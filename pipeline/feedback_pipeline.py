"""The way of a batch of feedback, from its records to the moment when its offsets may be committed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from contracts.events import FeedbackLogged, Segment
from pipeline.chat import Chat
from pipeline.claim import judge, newest
from pipeline.decode import Decoded, decode
from pipeline.join import join
from pipeline.log import log, write_of
from pipeline.metrics import Metrics, timed
from pipeline.outcomes import Logged, Outcome, Retry, Settled, Superseded, Withdrawn
from pipeline.patience import Patience
from pipeline.ports import ChatIndex, FeedbackStore, Outbox, Pin, Sink, Standing, Traces
from pipeline.records import Record
from pipeline.resolve import Work, resolve
from pipeline.settle import dead_letters_of, receipt_of, settlement_of, unresolved
from pipeline.versions import Version

REWRITES: Final = 20
"""How often in a row a settle may find itself overtaken; each time somebody else has just written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a version without a trace is tried within its batch before it is dead-lettered.

    Attempts are spaced exponentially, with jitter, from ``first_wait`` to ``longest_wait`` seconds; all
    but the last search MLflow only as far back as ``window``.
    """

    attempts: int = 6
    first_wait: float = 0.25
    longest_wait: float = 4.0
    window: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the pipeline works with."""

    chats: ChatIndex
    feedback: FeedbackStore
    traces: Traces
    sink: Sink
    outbox: Outbox


class Ended(NamedTuple):
    """How a version ended, in which attempt, and whether this batch wrote it."""

    outcome: Settled
    attempts: int
    is_written: bool = False


@dataclass(slots=True)
class Batch:
    """One batch on its way: its records decoded, the newest version of each feedback, and what is known."""

    decoded: Sequence[Decoded]
    newest: Mapping[UUID, Version]
    standings: Mapping[UUID, Standing] = field(default_factory=dict)
    chats: dict[UUID, Chat] = field(default_factory=dict)
    ended: dict[UUID, Ended] = field(default_factory=dict)

    def segment(self, feedback_id: UUID) -> Segment | None:
        """Give the segment of the feedback's chat, where that is known."""
        chat = self.chats.get(feedback_id)
        return chat.segment if chat else None

    def end(self, version: Version) -> Ended:
        """Say how a version ended; all but the newest of its feedback are superseded."""
        ended = self.ended[version.feedback_id]
        is_newest = version.order == self.newest[version.feedback_id].order
        return ended if is_newest else Ended(Superseded(), 1)


class _NotYetError(Exception):
    """Some of the batch is to be tried again."""


class FeedbackPipeline:
    """decode, claim, join, resolve, log, settle: a batch at a time, holding no state between batches."""

    def __init__(
        self,
        ports: Ports,
        patience: Patience,
        metrics: Metrics,
        retries: RetryPolicy | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ports = ports
        self._patience = patience
        self._metrics = metrics
        self._retries = retries or RetryPolicy()
        self._clock = clock

    async def run(self, records: Sequence[Record]) -> None:
        """Settle a batch; when this returns, all of it is told to Kafka and its offsets may be committed.

        Raises:
            StoppedError: when told to stop; then nothing of the batch may be committed.

        """
        decoded, undecodable = decode(records)
        batch = Batch(decoded, newest(version for item in decoded for version in item.versions))
        if batch.newest:
            await self._claim(batch)
            await self._join(batch)
            await self._write(batch)
            await self._look_again(batch)
        receipts = self._receipts(batch)
        letters = undecodable + dead_letters_of(decoded, lambda version: batch.end(version).outcome)
        with timed(self._metrics, "settle", len(records)):
            await self._patience.call(lambda: self._ports.outbox.send(receipts, letters))
        self._count(receipts, undecodable=len(undecodable))

    async def _claim(self, batch: Batch) -> None:
        with timed(self._metrics, "claim", len(batch.newest)):
            versions = list(batch.newest.values())
            batch.standings = await self._patience.call(lambda: self._ports.feedback.claim(versions))
        for key, version in batch.newest.items():
            if (outcome := judge(version, batch.standings[key])) is not None:
                batch.ended[key] = Ended(outcome, 1)

    async def _join(self, batch: Batch) -> None:
        with timed(self._metrics, "join", len(batch.newest)):
            batch.chats = await self._patience.call(lambda: join(batch.newest.values(), self._ports.chats))

    async def _write(self, batch: Batch) -> None:
        """Bring the open versions to their end, in as many attempts as the policy allows."""
        work = [
            Work(version, batch.standings[key], batch.chats.get(key))
            for key, version in batch.newest.items()
            if key not in batch.ended
        ]
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_NotYetError),
            stop=stop_after_attempt(self._retries.attempts),
            wait=wait_exponential(multiplier=self._retries.first_wait, max=self._retries.longest_wait)
            + wait_random(0, self._retries.first_wait),
            sleep=self._patience.sleep,
        )
        async for attempt in retrying:
            with attempt:
                work = await self._attempt(batch, work, attempt.retry_state.attempt_number)
                if work:
                    raise _NotYetError

    async def _attempt(self, batch: Batch, work: Sequence[Work], number: int) -> list[Work]:
        """Try once; gives what is to be tried again, which the last attempt turns into dead letters."""
        is_last = number >= self._retries.attempts
        if number > 1:
            work = await self._join_again(batch, work)
        work = await self._resolve(batch, work, is_last=is_last)
        outcomes = await self._log(batch, work)
        ended = {
            key: unresolved(outcome, batch.newest[key]) if isinstance(outcome, Retry) else outcome
            for key, outcome in outcomes.items()
            if is_last or not isinstance(outcome, Retry)
        }
        await self._settle(batch, ended)
        batch.ended |= {key: Ended(outcome, number, is_written=True) for key, outcome in ended.items()}
        return [item for item in work if item.version.feedback_id not in batch.ended]

    async def _join_again(self, batch: Batch, work: Sequence[Work]) -> list[Work]:
        """Look again for the chats that were not known: their event may have come after the feedback."""
        missing = [item.version for item in work if item.trace_id is None]
        if missing:
            batch.chats |= await self._patience.call(lambda: join(missing, self._ports.chats))
        return [replace(item, chat=batch.chats.get(item.version.feedback_id)) for item in work]

    async def _resolve(self, batch: Batch, work: Sequence[Work], *, is_last: bool) -> list[Work]:
        since = None if is_last else self._clock() - self._retries.window
        ports = self._ports
        with timed(self._metrics, "resolve", len(work)):
            resolved = await self._patience.call(
                lambda: resolve(work, ports.traces, ports.chats, since=since)
            )
        batch.chats |= {item.version.feedback_id: item.chat for item in resolved if item.chat}
        return resolved

    async def _log(self, batch: Batch, work: Sequence[Work]) -> dict[UUID, Outcome]:
        outcomes = {item.version.feedback_id: _without_trace(item.version) for item in work}
        pins = [
            Pin(item.version.feedback_id, item.version.event_id, item.trace_id)
            for item in work
            if item.trace_id is not None
        ]
        # Pinned before the first write: a later trace of the same request must not split the feedback.
        pinned = await self._patience.call(lambda: self._ports.feedback.pin(pins)) if pins else {}
        outcomes |= {pin.feedback_id: Superseded() for pin in pins if pin.feedback_id not in pinned}
        writes = [
            write_of(
                batch.newest[key], trace_id, batch.segment(key), written=batch.standings[key].written_event
            )
            for key, trace_id in pinned.items()
        ]
        with timed(self._metrics, "log", len(writes)):
            return outcomes | await log(writes, self._ports.sink, self._patience)

    async def _settle(self, batch: Batch, outcomes: dict[UUID, Settled]) -> None:
        """Keep the outcomes; those that were overtaken meanwhile become superseded, the newest is written."""
        settlements = [
            settlement
            for key, outcome in outcomes.items()
            if (settlement := settlement_of(batch.newest[key], outcome, batch.standings[key].written_event))
        ]
        store = self._ports.feedback
        overtaken = await self._patience.call(lambda: store.settle(settlements)) if settlements else ()
        touched = [key for key in overtaken if isinstance(outcomes[key], Logged | Withdrawn)]
        outcomes.update({key: Superseded() for key in overtaken})
        await self._write_until_kept(batch, touched)

    async def _look_again(self, batch: Batch) -> None:
        """See to it that MLflow holds the newest where an older version came, perhaps for the second time.

        Whoever had it first may have written it late, over the newest, and died before it could settle.
        """
        older = {
            version.feedback_id
            for item in batch.decoded
            for version in item.versions
            if version.order < batch.standings[version.feedback_id].order
        }
        mine = {key for key, ended in batch.ended.items() if ended.is_written}
        await self._write_until_kept(batch, sorted(older - mine))

    async def _write_until_kept(self, batch: Batch, feedback_ids: Sequence[UUID]) -> None:
        for _ in range(REWRITES):
            if not feedback_ids:
                return
            feedback_ids = await self._write_newest(batch, feedback_ids)

    async def _write_newest(self, batch: Batch, feedback_ids: Sequence[UUID]) -> list[UUID]:
        """Write what stands now over what we wrote too late; gives those that were overtaken again."""
        store = self._ports.feedback
        standings = await self._patience.call(lambda: store.read(feedback_ids))
        writes = [
            write_of(
                standing.version, standing.trace_id, batch.segment(key), written=standing.version.event_id
            )
            for key, standing in standings.items()
            if standing.trace_id is not None and standing.state != "dead"
        ]
        outcomes = await log(writes, self._ports.sink, self._patience)
        settlements = [
            settlement
            for key, outcome in outcomes.items()
            if isinstance(outcome, Logged | Withdrawn)
            and (settlement := settlement_of(standings[key].version, outcome, None))
        ]
        return list(await self._patience.call(lambda: store.settle(settlements))) if settlements else []

    def _receipts(self, batch: Batch) -> list[FeedbackLogged]:
        now = self._clock()
        return [
            receipt_of(
                version, ended.outcome, batch.segment(version.feedback_id), now=now, attempts=ended.attempts
            )
            for item in batch.decoded
            for version in item.versions
            for ended in (batch.end(version),)
        ]

    def _count(self, receipts: Sequence[FeedbackLogged], *, undecodable: int) -> None:
        for receipt in receipts:
            self._metrics.outcome(receipt.outcome, receipt.reason or "")
        for _ in range(undecodable):
            self._metrics.outcome("dead-lettered", "undecodable")


def _without_trace(version: Version) -> Outcome:
    """Say what becomes of a version whose trace is not known: a withdrawal has nothing to take back."""
    return Retry("no_trace") if version.op == "log" else Withdrawn(None, version.assessment_id)
