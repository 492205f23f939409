"""The way of a batch of feedback, from its records to the moment when its offsets may be committed."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from pipeline.batch import Batch, Ended
from pipeline.claim import judge
from pipeline.decode import Decoded, decode
from pipeline.first import write_first
from pipeline.join import join
from pipeline.log import Draft, log
from pipeline.metrics import Metrics, timed
from pipeline.newest import NewestWriter
from pipeline.outcomes import Logged, Outcome, Retry, Settled, Superseded, Withdrawn
from pipeline.park import parked_of, waiting_for_a_look
from pipeline.patience import Patience
from pipeline.ports import (
    ChatIndex,
    DeadLetter,
    FeedbackStore,
    FencedSink,
    Outbox,
    Parked,
    Settlement,
    Sink,
    Traces,
)
from pipeline.receipt import Receipt
from pipeline.records import Record
from pipeline.redaction import NO_REDACTION, Redaction
from pipeline.resolve import Work, resolve
from pipeline.retries import RetryPolicy
from pipeline.settle import dead_letters_of, receipt_of, settlement_of, unresolved
from pipeline.versions import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the pipeline works with."""

    chats: ChatIndex
    feedback: FeedbackStore
    traces: Traces
    sink: Sink
    outbox: Outbox
    redaction: Redaction = NO_REDACTION
    fenced: FencedSink | None = None


class FeedbackPipeline:
    """decode, join, claim, resolve, log, settle: a batch at a time, holding no state between batches."""

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
        self._newest = NewestWriter(ports.feedback, ports.sink, patience, lease=self._retries.lease)

    async def run(self, records: Sequence[Record]) -> None:
        """Settle a batch; when this returns, all of it is told to Kafka and its offsets may be committed.

        Raises:
            StoppedError: when told to stop; then nothing of the batch may be committed.

        """
        new = [record for record in records if not _is_look(record)]
        decoded, undecodable = decode(new, self._ports.redaction)
        # What is looked at again is written as the store has it, which was redacted before.
        again, _ = decode([record for record in records if _is_look(record)])
        batch = Batch.of(decoded)
        if batch.newest:
            await self._join(batch)
            await self._write_first(batch)
            await self._claim(batch)
            await self._write(batch)
            await self._look_at_older(batch)
        parked = self._park(batch) + await self._look_again(again)
        receipts = self._receipts(batch)
        is_any_dead = any(receipt.outcome == "dead-lettered" for receipt in receipts)
        letters = undecodable + (dead_letters_of(decoded, batch.settled) if is_any_dead else [])
        with timed(self._metrics, "settle", len(records)):
            await self._patience.call(lambda: self._ports.outbox.send(receipts, letters, parked))
        self._count(receipts, parked, undecodable)

    async def _join(self, batch: Batch) -> None:
        with timed(self._metrics, "join", len(batch.newest)):
            batch.chats = await self._patience.call(lambda: join(batch.newest.values(), self._ports.chats))

    async def _write_first(self, batch: Batch) -> None:
        """Write what is the first of its feedback, where no claim is needed to guard it."""
        ports = self._ports
        if ports.fenced is not None:
            with timed(self._metrics, "first", len(batch.newest)):
                batch.ended |= await write_first(batch, ports.feedback, ports.fenced, self._patience)

    async def _claim(self, batch: Batch) -> None:
        versions = [version for key, version in batch.newest.items() if key not in batch.ended]
        if not versions:
            return
        with timed(self._metrics, "claim", len(versions)):
            batch.standings |= await self._patience.call(lambda: self._ports.feedback.claim(versions))
        for version in versions:
            key = version.feedback_id
            if (outcome := judge(version, batch.standings[key])) is not None:
                batch.ended[key] = Ended(outcome)

    async def _write(self, batch: Batch) -> None:
        """Try the open versions once; those that are not ready yet wait, or are dead in the last attempt."""
        work = [
            Work(version, batch.standings[key], batch.chats.get(key))
            for key, version in batch.newest.items()
            if key not in batch.ended
        ]
        work = await self._resolve(batch, work)
        outcomes = await self._log(batch, work)
        ended = {key: self._unless_last(batch, key, outcome) for key, outcome in outcomes.items()}
        batch.waiting = {key: out.reason for key, out in ended.items() if isinstance(out, Retry)}
        settled = {key: out for key, out in ended.items() if not isinstance(out, Retry)}
        await self._let_go(batch)
        await self._settle(batch, settled)
        batch.ended |= {key: Ended(outcome, is_written=True) for key, outcome in settled.items()}

    def _unless_last(self, batch: Batch, key: UUID, outcome: Outcome) -> Outcome:
        is_last = self._retries.delay_after(batch.attempts[key]) is None
        if isinstance(outcome, Retry) and is_last:
            return unresolved(outcome, batch.newest[key])
        return outcome

    async def _resolve(self, batch: Batch, work: Sequence[Work]) -> list[Work]:
        """Search for the traces that are not known; the last attempt of each stage looks everywhere."""
        recent: list[Work] = []
        everywhere: list[Work] = []
        for item in work:
            attempt = batch.attempts[item.version.feedback_id]
            (everywhere if self._retries.searches_everything(attempt) else recent).append(item)
        since = min((item.version.submitted_at for item in recent), default=None)
        bound = since and since - self._retries.window
        resolved: list[Work] = []
        searched = sum(item.trace_id is None for item in work)
        with timed(self._metrics, "resolve", searched):
            for part, start in ((recent, bound), (everywhere, None)):
                resolved += await self._search(part, since=start)
        batch.chats |= {item.version.feedback_id: item.chat for item in resolved if item.chat}
        return resolved

    async def _search(self, work: Sequence[Work], *, since: datetime | None) -> list[Work]:
        ports = self._ports
        return await self._patience.call(lambda: resolve(work, ports.traces, ports.chats, since=since))

    async def _log(self, batch: Batch, work: Sequence[Work]) -> dict[UUID, Outcome]:
        outcomes = {item.version.feedback_id: _without_trace(item.version) for item in work}
        drafts = [
            Draft(
                version=item.version,
                trace_id=item.trace_id,
                segment=batch.segment(item.version.feedback_id),
                written=item.standing.written_event,
            )
            for item in work
            if item.trace_id is not None
        ]
        ports = self._ports
        with timed(self._metrics, "log", len(drafts)):
            written = await log(drafts, ports.feedback, ports.sink, self._patience, lease=self._retries.lease)
        return outcomes | written

    async def _let_go(self, batch: Batch) -> None:
        """Let go of traces that are not in MLflow: the request may get another one before they come."""
        settlements = [
            Settlement(version=batch.newest[key], state="open", written_event=None)
            for key, reason in batch.waiting.items()
            if reason == "trace_missing" and batch.standings[key].written_event is None
        ]
        if settlements:
            await self._patience.call(lambda: self._ports.feedback.settle(settlements))

    async def _settle(self, batch: Batch, outcomes: dict[UUID, Settled]) -> None:
        """Keep the outcomes; of those that were overtaken meanwhile the newest is written."""
        settlements = [
            settlement
            for key, outcome in outcomes.items()
            if (settlement := settlement_of(batch.newest[key], outcome, batch.standings[key].written_event))
        ]
        store = self._ports.feedback
        overtaken = await self._patience.call(lambda: store.settle(settlements)) if settlements else ()
        touched = [key for key in overtaken if isinstance(outcomes[key], Logged | Withdrawn)]
        outcomes.update({key: Superseded() for key in overtaken})
        await self._newest.write(touched, batch.segment)
        await self._judge_again(batch, outcomes)

    async def _judge_again(self, batch: Batch, outcomes: dict[UUID, Settled]) -> None:
        """Tell of what was superseded how it had ended before, if another consumer had it and settled it."""
        superseded = [key for key, outcome in outcomes.items() if outcome == Superseded()]
        store = self._ports.feedback
        standings = await self._patience.call(lambda: store.read(superseded)) if superseded else {}
        for key, standing in standings.items():
            outcomes[key] = judge(batch.newest[key], standing) or Superseded()

    async def _look_at_older(self, batch: Batch) -> None:
        """See to it that MLflow holds the newest where an older version came, perhaps for the second time.

        Whoever had it first may have written it late, over the newest, and died before it could settle. The
        same where the newest comes again: whoever had it may have died before it parked it for a look.
        """
        mine = {key for key, ended in batch.ended.items() if ended.is_written} | batch.waiting.keys()
        doubtful = {
            version.feedback_id
            for item in batch.decoded
            for version in item.versions
            if version.feedback_id not in mine
            and (
                version.order < (standing := batch.standings[version.feedback_id]).order
                or standing.late_until is not None
            )
        }
        await self._newest.write(sorted(doubtful), batch.segment)

    def _park(self, batch: Batch) -> list[Parked]:
        now = self._clock()
        return parked_of(batch, self._retries, now=now) + waiting_for_a_look(
            batch.decoded, batch.standings, self._retries, now=now
        )

    async def _look_again(self, decoded: Sequence[Decoded]) -> list[Parked]:
        """Look once more at what was settled while an older write was under way, once that can not arrive."""
        if not decoded:
            return []
        batch = Batch.of(decoded)
        store = self._ports.feedback
        batch.standings |= await self._patience.call(lambda: store.read(list(batch.newest)))
        await self._join(batch)
        now = self._clock()
        due = [
            key
            for key, version in batch.newest.items()
            if (standing := batch.standings.get(key)) is not None
            and standing.order == version.order
            and (standing.late_until is None or standing.late_until <= now)
        ]
        await self._newest.write(due, batch.segment)
        return waiting_for_a_look(decoded, batch.standings, self._retries, now=now)

    def _receipts(self, batch: Batch) -> list[Receipt]:
        now = self._clock()
        return [
            receipt_of(
                version,
                outcome,
                batch.segment(version.feedback_id),
                now=now,
                attempts=item.record.visit.attempt,
            )
            for item in batch.decoded
            for version in item.versions
            if (outcome := batch.settled(version)) is not None
        ]

    def _count(
        self, receipts: Sequence[Receipt], parked: Sequence[Parked], undecodable: Sequence[DeadLetter]
    ) -> None:
        told = Counter((receipt.outcome, receipt.reason or "") for receipt in receipts)
        told.update(("dead-lettered", letter.dead.reason) for letter in undecodable)
        for (outcome, reason), count in told.items():
            self._metrics.outcome(outcome, reason, count)
        for item in parked:
            self._metrics.parked(item.reason, item.delay.total_seconds())


def _is_look(record: Record) -> bool:
    return record.visit.reason == "look_again"


def _without_trace(version: Version) -> Outcome:
    """Say what becomes of a version whose trace is not known: a withdrawal has nothing to take back."""
    return Retry("no_trace") if version.op == "log" else Withdrawn(None, version.assessment_id)
