"""What the pipeline needs of the world, as Protocols; `pipeline.memory` has a twin of each.

Every method raises `DependencyAwayError` when it cannot know whether it worked; calling again is safe.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from contracts.events import FeedbackLogged
from pipeline.chat import Chat
from pipeline.outcomes import Dead, SinkOutcome
from pipeline.records import Record
from pipeline.versions import Order, Version

State = Literal["open", "logged", "withdrawn", "dead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What stands in the store for one feedback: its newest version and how far that one is.

    ``trace_id`` is the pinned trace, ``written_event`` the event whose version MLflow was last seen to
    hold, ``dead`` why the version was dead-lettered (state ``dead``).
    """

    version: Version
    state: State
    trace_id: str | None
    written_event: UUID | None
    dead: Dead | None

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
    """How a version ended; kept only while it is still the newest of its feedback."""

    version: Version
    state: State
    written_event: UUID | None
    dead: Dead | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
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
    names: tuple[tuple[str, str], ...] = ()


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

    async def claim(self, versions: Sequence[Version]) -> Mapping[UUID, Standing]:
        """Write the versions that are newer than what stands, then read what stands now.

        Each feedback at most once in the batch.
        """

    async def read(self, feedback_ids: Collection[UUID]) -> Mapping[UUID, Standing]:
        """Read what stands."""

    async def pin(self, pins: Sequence[Pin]) -> Mapping[UUID, str]:
        """Tie feedback to its trace, the first one for good, and give the pinned traces.

        A version that was overtaken is not in the answer.
        """

    async def settle(self, settlements: Sequence[Settlement]) -> Collection[UUID]:
        """Keep how versions ended and give the feedback ids of those that were overtaken meanwhile.

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

    async def log(self, writes: Sequence[Write]) -> Sequence[SinkOutcome]:
        """Write a batch, each feedback at most once; an outcome for each, in order; never raises."""


class Outbox(Protocol):
    """Where receipts and dead letters go."""

    async def send(self, receipts: Sequence[FeedbackLogged], dead_letters: Sequence[DeadLetter]) -> None:
        """Publish, and return once all of it is acknowledged."""
