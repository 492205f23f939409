"""The ports' twins in memory: for tests, for trying things out, held to the same suite as the real ones."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from contracts.events import FeedbackLogged
from pipeline.chat import Chat, merge
from pipeline.outcomes import Dead, Logged, Retry, SinkOutcome, Superseded, Withdrawn
from pipeline.ports import DeadLetter, Pin, Settlement, Standing, Write
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

    def __init__(self) -> None:
        self.rows: dict[UUID, Standing] = {}

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
                )
        return await self.read([version.feedback_id for version in versions])

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
        return pinned

    async def settle(self, settlements: Sequence[Settlement]) -> Collection[UUID]:
        """Keep how versions ended; gives those that were overtaken."""
        overtaken = []
        for settlement in settlements:
            key = settlement.version.feedback_id
            row = self.rows.get(key)
            if row is None or row.order != settlement.version.order:
                overtaken.append(key)
                continue
            is_unresolved = settlement.dead is not None and settlement.dead.reason == "unresolved"
            unpinned = is_unresolved and settlement.written_event is None
            self.rows[key] = replace(
                row,
                state=settlement.state,
                written_event=settlement.written_event,
                dead=settlement.dead,
                trace_id=None if unpinned else row.trace_id,
            )
        return overtaken


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

    async def log(self, writes: Sequence[Write]) -> Sequence[SinkOutcome]:
        """Write a batch."""
        return [self._log(write) for write in writes]

    def _log(self, write: Write) -> SinkOutcome:
        version, key = write.version, (write.trace_id, write.version.assessment_id)
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


@dataclass(slots=True)
class MemoryOutbox:
    """Receipts and dead letters in lists."""

    receipts: list[FeedbackLogged] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)

    async def send(self, receipts: Sequence[FeedbackLogged], dead_letters: Sequence[DeadLetter]) -> None:
        """Keep them."""
        self.receipts.extend(receipts)
        self.dead_letters.extend(dead_letters)
