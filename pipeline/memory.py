"""The ports' twins in memory: for tests, for trying things out, held to the same suite as the real ones."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from contracts.events import FeedbackLogged
from pipeline.chat import Chat, merge
from pipeline.outcomes import (
    Dead,
    Elsewhere,
    Logged,
    NotBegun,
    Retry,
    Settled,
    SinkOutcome,
    Superseded,
    Withdrawn,
)
from pipeline.ports import (
    PAST_KEPT,
    TOLD_BEFORE,
    DeadLetter,
    Entry,
    Parked,
    Pin,
    Settlement,
    Standing,
    State,
    Write,
)
from pipeline.receipt import Receipt
from pipeline.versions import Version


class MemoryChats:
    """A chat index in a dict."""

    def __init__(self) -> None:
        self.chats: dict[str, Chat] = {}

    async def upsert(self, chats: Sequence[Chat]) -> None:
        """Merge chats in."""
        for chat in chats:
            known = self.chats.get(chat.client_request_id)
            self.chats[chat.client_request_id] = merge(known, chat) if known else chat

    async def find(self, request_ids: Collection[str]) -> Mapping[str, Chat]:
        """Look chats up by client request id."""
        return {key: self.chats[key] for key in request_ids if key in self.chats}

    async def find_by_trace(self, trace_ids: Collection[str]) -> Mapping[str, Chat]:
        """Look chats up by trace id."""
        return {
            chat.trace_id: chat
            for chat in self.chats.values()
            if chat.trace_id is not None and chat.trace_id in trace_ids
        }


class MemoryFeedback:
    """A feedback store in a dict."""

    def __init__(
        self,
        lifetime: timedelta = timedelta(minutes=1),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.rows: dict[UUID, Standing] = {}
        self._begun: dict[UUID, tuple[int, datetime]] = {}
        self._lifetime = lifetime
        self._clock = clock

    async def known(self, feedback_ids: Collection[UUID]) -> Collection[UUID]:
        """Give those of which anything stands."""
        return {key for key in feedback_ids if key in self.rows}

    async def enter(self, entries: Sequence[Entry]) -> Collection[UUID]:
        """Keep logged versions of feedback of which nothing stands; gives those of which something does."""
        known = await self.known([entry.version.feedback_id for entry in entries])
        for version, trace_id in ((entry.version, entry.trace_id) for entry in entries):
            if version.feedback_id in known:
                continue
            self.rows[version.feedback_id] = Standing(
                version=version, state="logged", trace_id=trace_id, written_event=version.event_id, dead=None
            )
        return known

    async def claim(self, versions: Sequence[Version]) -> Mapping[UUID, Standing]:
        """Write the newer versions, then read what stands."""
        for version in versions:
            row = self.rows.get(version.feedback_id)
            if row is None or version.order > row.order:
                self.rows[version.feedback_id] = Standing(
                    version=version,
                    state="open",
                    trace_id=row.trace_id if row else None,
                    written_event=row.written_event if row else None,
                    dead=None,
                    late_until=self._late_until(row),
                    past=_past(row),
                )
                self._begun.pop(version.feedback_id, None)
        return await self.read([version.feedback_id for version in versions])

    def _late_until(self, row: Standing | None) -> datetime | None:
        if row is None:
            return None
        begun = self._begun.get(row.version.feedback_id)
        times = [row.late_until, begun and begun[1] + self._lifetime]
        return max((time for time in times if time is not None), default=None)

    async def read(self, feedback_ids: Collection[UUID]) -> Mapping[UUID, Standing]:
        """Read what stands."""
        return {key: self.rows[key] for key in feedback_ids if key in self.rows}

    async def pin(self, pins: Sequence[Pin]) -> Mapping[UUID, str]:
        """Tie feedback to its trace, the first one for good."""
        pinned = {}
        for pin in pins:
            row = self.rows.get(pin.feedback_id)
            if row is not None and row.version.event_id == pin.event_id:
                pinned[pin.feedback_id] = row.trace_id or pin.trace_id
                self.rows[pin.feedback_id] = replace(row, trace_id=pinned[pin.feedback_id])
                times, _ = self._begun.get(pin.feedback_id, (0, None))
                self._begun[pin.feedback_id] = times + 1, self._clock()
        return pinned

    async def settle(self, settlements: Sequence[Settlement]) -> Collection[UUID]:
        """Keep how versions ended; gives those that were overtaken."""
        overtaken = []
        for settlement in settlements:
            key = settlement.version.feedback_id
            row = self.rows.get(key)
            if row is None or row.order != settlement.version.order or not _may_follow(settlement, row):
                overtaken.append(key)
                continue
            if settlement.is_certain and self._begun.get(key, (0,))[0] == 1:
                del self._begun[key]
            is_unresolved = settlement.state == "open" or (
                settlement.dead is not None and settlement.dead.reason == "unresolved"
            )
            unpinned = is_unresolved and settlement.written_event is None
            self.rows[key] = replace(
                row,
                state=settlement.state,
                written_event=settlement.written_event,
                dead=settlement.dead,
                trace_id=None if unpinned else row.trace_id,
            )
        return overtaken


def _may_follow(settlement: Settlement, row: Standing) -> bool:
    """Tell whether an end may replace what stands: what was written is not undone by who found nothing."""
    return row.state in {"open", settlement.state} or settlement.state in {"logged", "withdrawn"}


def _past(row: Standing | None) -> Mapping[UUID, Settled]:
    """Give how the versions before a new one ended."""
    if row is None or row.state == "open":
        return row.past if row else {}
    version = row.version
    ends: dict[State, Settled] = {
        "logged": Logged(row.trace_id or "", version.assessment_id),
        "withdrawn": Withdrawn(row.trace_id, version.assessment_id),
        "dead": Dead(row.dead.reason if row.dead else "unresolved", TOLD_BEFORE),
    }
    past = {**row.past, version.event_id: ends[row.state]}
    return dict(list(past.items())[-PAST_KEPT:])


class MemoryTraces:
    """MLflow's traces in a dict by request id."""

    def __init__(self, traces: Mapping[str, Chat] | None = None) -> None:
        self.traces = dict(traces or {})

    async def search(self, request_ids: Collection[str], *, since: datetime | None) -> Mapping[str, Chat]:
        """Find the traces of requests."""
        return {
            key: chat
            for key in request_ids
            if (chat := self.traces.get(key)) and (since is None or chat.completed_at >= since)
        }


class MemorySink:
    """Assessments in a dict by trace and id; ``traces`` are those that exist, all where None.

    What ``rejects`` says yes to is refused for good, as MLflow's database refuses some values.
    """

    def __init__(self, traces: Collection[str] | None = None) -> None:
        self.traces = traces
        self.assessments: dict[tuple[str, str], Write] = {}
        self.rejected_names: set[str] = set()

    async def log(self, writes: Sequence[Write], *, until: float) -> Sequence[SinkOutcome]:
        """Write a batch."""
        return [self._log(write) if time.monotonic() < until else NotBegun() for write in writes]

    async def create(self, writes: Sequence[Write]) -> Sequence[bool]:
        """Write a batch; tells which are there for certain."""
        return [isinstance(self._log(write), Logged) for write in writes]

    def _log(self, write: Write) -> SinkOutcome:
        version, key = write.version, (write.trace_id, write.version.assessment_id)
        other = self._other_trace(write)
        if other is not None:
            return Elsewhere(other)
        if version.op == "withdraw":
            self.assessments.pop(key, None)
            return Withdrawn(write.trace_id, version.assessment_id)
        if self.traces is not None and write.trace_id not in self.traces:
            return Retry("trace_missing")
        if version.name in self.rejected_names:
            return Dead("rejected", "the name is refused")
        standing = self.assessments.get(key)
        if standing is not None and standing.version.order > version.order:
            return Superseded()
        self.assessments[key] = write
        return Logged(write.trace_id, version.assessment_id)

    def _other_trace(self, write: Write) -> str | None:
        ids = (trace for trace, key in self.assessments if key == write.version.assessment_id)
        return next((trace for trace in ids if trace != write.trace_id), None)


@dataclass(slots=True)
class MemoryOutbox:
    """Receipts, dead letters and parked records in lists."""

    receipts: list[FeedbackLogged] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)

    async def send(
        self,
        receipts: Sequence[Receipt],
        dead_letters: Sequence[DeadLetter],
        parked: Sequence[Parked] = (),
    ) -> None:
        """Keep them."""
        self.receipts.extend(receipt.event() for receipt in receipts)
        self.dead_letters.extend(dead_letters)
        self.parked.extend(parked)
