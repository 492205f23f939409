"""What stands on another trace: who overtakes meanwhile, and a sink that says so again and again."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from support.pipeline import QuickPatience
from support.samples import a_version, at

from pipeline.log import Draft, log
from pipeline.memory import MemoryFeedback
from pipeline.outcomes import Dead, Elsewhere, Outcome, SinkOutcome, Superseded
from pipeline.ports import Write
from pipeline.versions import Version


class ElsewhereSink:
    """Says of everything that it stands on another trace; before that, somebody may have a newer version."""

    def __init__(self, store: MemoryFeedback, newer: Version | None) -> None:
        self._store = store
        self._newer = newer
        self.tried: list[str] = []

    async def log(self, writes: Sequence[Write], *, until: float) -> Sequence[SinkOutcome]:
        """Say so."""
        del until
        self.tried += [write.trace_id for write in writes]
        if self._newer is not None:
            await self._store.claim([self._newer])
        return [Elsewhere("tr-first") for _ in writes]


async def logged(version: Version, newer: Version | None, lease: timedelta) -> tuple[Outcome, list[str]]:
    store = MemoryFeedback()
    await store.claim([version])
    sink = ElsewhereSink(store, newer)
    draft = Draft(version=version, trace_id="tr-second", segment=None, written=None)
    outcomes = await log([draft], store, sink, QuickPatience(), lease=lease)
    return outcomes[version.feedback_id], sink.tried


@pytest.mark.parametrize("lease", [timedelta(0), timedelta(minutes=1)])
async def test_who_is_overtaken_before_the_move_is_superseded(lease: timedelta) -> None:
    version = a_version()
    newer = replace(version, event_id=uuid4(), submitted_at=at(60))
    assert await logged(version, newer, lease) == (Superseded(), ["tr-second"])


async def test_it_is_followed_once() -> None:
    outcome, tried = await logged(a_version(), None, timedelta(minutes=1))
    assert isinstance(outcome, Dead)
    assert "another trace, tr-first" in outcome.detail
    assert tried == ["tr-second", "tr-first"]
