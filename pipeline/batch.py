"""One batch on its way through the pipeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self
from uuid import UUID

from contracts.events import Segment
from pipeline.chat import Chat
from pipeline.claim import judge, newest
from pipeline.decode import Decoded
from pipeline.outcomes import RetryReason, Settled, Superseded
from pipeline.ports import Standing
from pipeline.versions import Version


class Ended(NamedTuple):
    """How a version ended, and whether this batch wrote it."""

    outcome: Settled
    is_written: bool = False


@dataclass(slots=True)
class Batch:
    """Its records decoded, the newest version of each feedback, and what is known of them.

    ``attempts`` is which attempt the newest version of each feedback is in, ``ended`` how it ended,
    ``waiting`` why it did not.
    """

    decoded: Sequence[Decoded]
    newest: Mapping[UUID, Version]
    attempts: Mapping[UUID, int]
    standings: dict[UUID, Standing] = field(default_factory=dict)
    chats: dict[UUID, Chat] = field(default_factory=dict)
    ended: dict[UUID, Ended] = field(default_factory=dict)
    waiting: dict[UUID, RetryReason] = field(default_factory=dict)

    @classmethod
    def of(cls, decoded: Sequence[Decoded]) -> Self:
        """Begin with decoded records."""
        best = newest(version for item in decoded for version in item.versions)
        attempts: dict[UUID, int] = {}
        for item in decoded:
            for version in item.versions:
                newest_one = best[version.feedback_id]
                if version is newest_one or version.order == newest_one.order:
                    known = attempts.get(version.feedback_id, 0)
                    attempts[version.feedback_id] = max(known, item.record.visit.attempt)
        return cls(decoded, best, attempts)

    def segment(self, feedback_id: UUID) -> Segment | None:
        """Give the segment of the feedback's chat, where that is known."""
        chat = self.chats.get(feedback_id)
        return chat.segment if chat else None

    def is_newest(self, version: Version) -> bool:
        """Tell whether a version is the newest of its feedback in the batch."""
        newest_one = self.newest[version.feedback_id]
        return version is newest_one or version.order == newest_one.order

    def settled(self, version: Version) -> Settled | None:
        """Say how a version ended; None while it waits."""
        key = version.feedback_id
        if self.is_newest(version):
            return None if key in self.waiting else self.ended[key].outcome
        standing = self.standings.get(key)
        return (standing and judge(version, standing)) or Superseded()
