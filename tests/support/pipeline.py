"""The whole pipeline over ports in memory, with faults where a test wants them."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast
from uuid import UUID

from contracts.events import FeedbackLogged
from pipeline.feedback_pipeline import FeedbackPipeline, Ports
from pipeline.memory import MemoryChats, MemoryFeedback, MemoryOutbox, MemorySink, MemoryTraces
from pipeline.metrics import NoMetrics
from pipeline.outcomes import Dependency
from pipeline.patience import Patience, StoppedError
from pipeline.ports import Parked, Write
from pipeline.records import Record, Visit
from pipeline.redaction import NO_REDACTION
from pipeline.retries import RetryPolicy, RetryStage
from support.samples import NOON, Json, a_chat, records_of

P = TypeVar("P")

Outcomes = dict[tuple[UUID, UUID], set[str]]
"""By event and feedback, what receipts told."""


class Tally(NoMetrics):
    """Keeps what the pipeline counts."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, str]] = []
        self.aways: list[tuple[str, bool]] = []
        self.indexed = 0
        self.dead_chats = 0

    def outcome(self, outcome: str, reason: str, count: int) -> None:
        """Keep it."""
        self.outcomes += [(outcome, reason)] * count

    def chats(self, *, indexed: int, dead: int) -> None:
        """Add it up."""
        self.indexed += indexed
        self.dead_chats += dead

    def away(self, dependency: Dependency, *, is_away: bool) -> None:
        """Keep it."""
        self.aways.append((dependency, is_away))


class QuickPatience(Patience):
    """Waits for nothing but its turn, and keeps how long it was asked to wait."""

    def __init__(self, metrics: Tally | None = None) -> None:
        super().__init__(metrics)
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Let others work."""
        self.waits.append(seconds)
        await asyncio.sleep(0)
        if self._stopping.is_set():
            raise StoppedError


Hook = Callable[[str], Awaitable[None]]
"""Told of each call of a port as ``before feedback.claim`` and ``after feedback.claim``."""


class _Hooked:
    def __init__(self, name: str, port: object, hook: Hook) -> None:
        self._name = name
        self._port = port
        self._hook = hook

    def __getattr__(self, method: str) -> Callable[..., Awaitable[object]]:
        async def call(*args: Any, **kwargs: Any) -> object:
            await self._hook(f"before {self._name}.{method}")
            result = await getattr(self._port, method)(*args, **kwargs)
            await self._hook(f"after {self._name}.{method}")
            return result

        return call


def hooked(name: str, port: P, hook: Hook) -> P:
    """Give the port with a hook around each call."""
    return cast("P", _Hooked(name, port, hook))


DELAY = timedelta(seconds=2)


class Consumer:
    """A consumer of a world and of its retry topic: what it parks comes again when it is due."""

    def __init__(self, world: "World", pipeline: FeedbackPipeline) -> None:
        self._world = world
        self._pipeline = pipeline

    async def run(self, records: Sequence[Record]) -> None:
        """Settle a batch, then what was parked, until nothing is."""
        await self._pipeline.run(records)
        outbox = self._world.outbox
        while outbox.parked:
            due, outbox.parked = list(outbox.parked), []
            self._world.parked += due
            self._world.now = max(item.due_at for item in due)
            await self._pipeline.run([again(item) for item in due])

    async def once(self, records: Sequence[Record]) -> None:
        """Settle a batch; what was parked stays so."""
        await self._pipeline.run(records)


def again(parked: Parked) -> Record:
    """Give the record as it comes from the retry topic."""
    visit = Visit(
        attempt=parked.attempt, first_seen=parked.first_seen, reason=parked.reason, names=parked.names
    )
    return replace(parked.record, visit=visit)


async def no_hook(_step: str) -> None:
    """Do nothing."""


class CrashError(Exception):
    """The process ends here."""


def crash_at(position: int, error: type[Exception]) -> Hook:
    """Give a hook that raises the error at one step, counted from 0."""
    count = 0

    async def hook(_step: str) -> None:
        nonlocal count
        count += 1
        if count == position + 1:
            raise error

    return hook


@dataclass(kw_only=True)
class World:
    """Stores that several consumers may share; every request of ``traces`` has one trace.

    Where it ``is_fenced``, what is the first of its feedback needs no claim.
    """

    attempts: int = 3
    is_fenced: bool = False
    chats: MemoryChats = field(default_factory=MemoryChats)
    feedback: MemoryFeedback = field(init=False)
    traces: MemoryTraces = field(default_factory=MemoryTraces)
    sink: MemorySink = field(default_factory=MemorySink)
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    metrics: Tally = field(default_factory=Tally)
    now: datetime = NOON
    parked: list[Parked] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.feedback = MemoryFeedback(clock=lambda: self.now)
        self.patience: Patience = QuickPatience(self.metrics)

    def knows(self, request_id: str = "req-1", trace_id: str = "tr-1", **segment: str) -> None:
        """Put a chat into the join index."""
        self.chats.chats[request_id] = a_chat(request_id, trace_id, **segment)

    def ports(self, hook: Hook = no_hook, **given: Any) -> Ports:
        """Give the ports, each with the hook around it."""
        names = ("chats", "feedback", "traces", "sink", "outbox")
        ports = {name: given.get(name, getattr(self, name)) for name in names}
        if given.get("is_fenced", self.is_fenced):
            ports["fenced"] = ports["sink"]
        redaction = given.get("redaction", NO_REDACTION)
        return Ports(**{name: hooked(name, port, hook) for name, port in ports.items()}, redaction=redaction)

    def consumer(self, hook: Hook = no_hook, **given: Any) -> Consumer:
        """Give one consumer of this world."""
        policy = RetryPolicy(stages=(RetryStage(DELAY, self.attempts - 1),))
        pipeline = FeedbackPipeline(
            self.ports(hook, **given), self.patience, self.metrics, policy, clock=lambda: self.now
        )
        return Consumer(self, pipeline)

    async def run(self, *documents: Json | bytes | None) -> None:
        """Settle documents as one batch."""
        await self.consumer().run(records_of(documents))

    @property
    def held(self) -> dict[tuple[str, str], Write]:
        """Give what MLflow holds, by trace and assessment."""
        return self.sink.assessments

    @property
    def values(self) -> list[object]:
        """Give the values that MLflow holds."""
        return [write.version.value for write in self.held.values()]

    def told(self) -> list[str]:
        """Give the outcomes that receipts told, in order."""
        return [receipt.outcome for receipt in self.outbox.receipts]

    def outcomes(self) -> Outcomes:
        """Give all outcomes by event and feedback."""
        return outcomes_of(self.outbox.receipts)

    def dead(self) -> list[Record]:
        """Give the records that were dead-lettered."""
        return [letter.record for letter in self.outbox.dead_letters]


def outcomes_of(receipts: Sequence[FeedbackLogged]) -> Outcomes:
    """Give all outcomes by event and feedback."""
    found: Outcomes = {}
    for receipt in receipts:
        found.setdefault((receipt.event_id, receipt.feedback_id), set()).add(receipt.outcome)
    return found


class LateTraces(MemoryTraces):
    """MLflow's traces that are exported only after so many searches."""

    def __init__(self, traces: Mapping[str, Any], *, after: int) -> None:
        super().__init__(traces)
        self.searches: list[datetime | None] = []
        self._after = after

    async def search(self, request_ids: Collection[str], *, since: datetime | None) -> Mapping[str, Any]:
        """Find nothing until it is time."""
        self.searches.append(since)
        return await super().search(request_ids, since=since) if len(self.searches) > self._after else {}
