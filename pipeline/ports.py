"""What the pipeline needs of the world, as Protocols; `pipeline.memory` has a twin of each.

Every method raises `DependencyAwayError` when it cannot know whether it worked; calling again is safe.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, Protocol
from uuid import UUID

from pipeline.chat import Chat
from pipeline.outcomes import Dead, ParkReason, Settled, SinkOutcome
from pipeline.receipt import Receipt
from pipeline.records import Names, Record
from pipeline.versions import Order, Version

TOLD_BEFORE: Final = "a newer version has come since; the first dead letter tells more"
"""The detail of a dead version that comes again after it was superseded: the store keeps its reason alone."""

PAST_KEPT: Final = 32
"""Of how many older versions the store keeps how they ended."""

State = Literal["open", "logged", "withdrawn", "dead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What stands in the store for one feedback: its newest version and how far that one is.

    ``trace_id`` is the pinned trace, ``written_event`` the event whose version MLflow was last seen to
    hold, ``dead`` why the version was dead-lettered (state ``dead``).

    Until ``late_until`` an older version may still arrive in MLflow: its write was begun and nobody knows how
    it ended. ``past`` is how older versions ended before they were superseded, by event.
    """

    version: Version
    state: State
    trace_id: str | None
    written_event: UUID | None
    dead: Dead | None
    late_until: datetime | None = None
    past: Mapping[UUID, Settled] = field(default_factory=dict)

    @property
    def order(self) -> Order:
        """Give what decides which version is the newer."""
        return self.version.order


@dataclass(frozen=True, slots=True)
class Pin:
    """The trace that a version is about to be written to."""

    feedback_id: UUID
    event_id: UUID
    trace_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How a version ended; kept only while it is still the newest of its feedback.

    ``is_certain`` unless a write of it had no answer and may still arrive.
    """

    version: Version
    state: State
    written_event: UUID | None
    dead: Dead | None = None
    is_certain: bool = True


class Entry(NamedTuple):
    """A version that is in MLflow already, and its trace."""

    version: Version
    trace_id: str


@dataclass(slots=True, kw_only=True)  # frozen, it takes twice as long to make
class Write:
    """One version to be written to MLflow: where, with which metadata, and whether it may be there."""

    version: Version
    trace_id: str
    metadata: Mapping[str, str]
    may_exist: bool


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be logged, whole, and why; ``names`` are its assessments that are dead."""

    record: Record
    dead: Dead
    names: Names = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A record that is to come again after ``delay``, as which attempt, why, and for which assessments."""

    record: Record
    delay: timedelta
    attempt: int
    first_seen: datetime
    due_at: datetime
    reason: ParkReason
    names: Names


class ChatIndex(Protocol):
    """Which trace belongs to which request."""

    async def upsert(self, chats: Sequence[Chat]) -> None:
        """Merge chats in, as `pipeline.chat.merge` says; each request at most once in the batch."""

    async def find(self, request_ids: Collection[str]) -> Mapping[str, Chat]:
        """Look chats up by client request id."""

    async def find_by_trace(self, trace_ids: Collection[str]) -> Mapping[str, Chat]:
        """Look chats up by trace id."""


class FeedbackStore(Protocol):
    """The newest version of every feedback."""

    async def known(self, feedback_ids: Collection[UUID]) -> Collection[UUID]:
        """Give those of which anything stands."""

    async def enter(self, entries: Sequence[Entry]) -> Collection[UUID]:
        """Keep logged versions of feedback of which nothing stands; gives those of which something does."""

    async def claim(self, versions: Sequence[Version]) -> Mapping[UUID, Standing]:
        """Write the versions that are newer than what stands, then read what stands now.

        Each feedback at most once in the batch. Overtaking a version whose write may not have arrived yet
        sets ``late_until``; how it ended, if it did, is kept in ``past``.
        """

    async def read(self, feedback_ids: Collection[UUID]) -> Mapping[UUID, Standing]:
        """Read what stands."""

    async def pin(self, pins: Sequence[Pin]) -> Mapping[UUID, str]:
        """Tie feedback to its trace, the first one for good, and give the pinned traces.

        A version that was overtaken is not in the answer. A pin says that a write begins now: it stays begun
        until a certain settlement, unless there were two.
        """

    async def settle(self, settlements: Sequence[Settlement]) -> Collection[UUID]:
        """Keep how versions ended and give the feedback ids of those that were overtaken meanwhile.

        Overtaken is also who found no trace, or was refused, where another had written the same version.
        State ``open`` keeps that it has not ended, and lets go of a trace that is not in MLflow.

        An unresolved version of which nothing was ever written loses its pin, as its trace is not in MLflow,
        so that a mended one can have another. A rejected one keeps it: an older version may have been
        written there before a crash.
        """


class Traces(Protocol):
    """MLflow's traces."""

    async def search(self, request_ids: Collection[str], *, since: datetime | None) -> Mapping[str, Chat]:
        """Find the traces of requests, no older than ``since`` where given.

        Of several for one request: the newest that is OK, else the newest that failed, else the newest.
        """


class Sink(Protocol):
    """Where assessments are written."""

    async def log(self, writes: Sequence[Write], *, until: float) -> Sequence[SinkOutcome]:
        """Write a batch, each feedback at most once; an outcome for each, in order; never raises.

        Args:
            writes: what to write.
            until: in seconds of `time.monotonic`; no request is begun later.

        """


class FencedSink(Protocol):
    """A sink in which no version ever replaces a newer one, however late its write arrives."""

    async def create(self, writes: Sequence[Write]) -> Sequence[bool]:
        """Try to write a batch once, each feedback at most once; tells which are there for certain."""


class Outbox(Protocol):
    """Where receipts, dead letters and parked records go."""

    async def send(
        self,
        receipts: Sequence[Receipt],
        dead_letters: Sequence[DeadLetter],
        parked: Sequence[Parked] = (),
    ) -> None:
        """Publish, and return once all of it is acknowledged."""
