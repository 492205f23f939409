"""Whatever the order, the batches, the redeliveries and the consumers at once: the newest stands, once."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from support.pipeline import CrashError, World, crash_at
from support.samples import Json, a_chat, at, feedback_id_of, records_of, submitted, withdrawn

from contracts.identity import assessment_id
from pipeline.memory import MemorySink
from pipeline.outcomes import Logged, SinkOutcome, Superseded, Withdrawn
from pipeline.ports import Write

NAMES = ["helpful", "correct"]
PEOPLE = ["anna", "ben"]
Story = tuple[list[Json], list[list[int]]]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Give events, and batches of their indices: each event at least once, in any order."""
    shapes = draw(
        st.lists(
            st.tuples(
                st.sampled_from(PEOPLE),
                st.sets(st.sampled_from(NAMES), min_size=1),
                st.sampled_from(["log", "log", "withdraw"]),
                st.integers(0, 3),
            ),
            min_size=1,
            max_size=8,
        )
    )
    events = [_event(number, *shape) for number, shape in enumerate(shapes)]
    indices = st.integers(0, len(events) - 1)
    again = draw(st.lists(indices, max_size=6))
    order = draw(st.permutations([*range(len(events)), *again]))
    cuts = sorted(draw(st.sets(st.integers(1, len(order)), max_size=4)) | {0, len(order)})
    return events, [order[start:end] for start, end in pairwise(cuts)]


def _event(number: int, who: str, names: set[str], op: str, second: int) -> Json:
    # Event ids that do not rise with their number, so that ties are decided by them alone.
    event_id = str(UUID(int=(number * 7919) % 1009 + 1))
    common = {
        "event_id": event_id,
        "source": {"type": "HUMAN", "id": who},
        "submitted_at": at(second).isoformat(),
    }
    if op == "withdraw":
        return withdrawn(names=sorted(names), **common)
    said = [{"name": name, "value": f"{name} of {event_id}", "rationale": event_id} for name in sorted(names)]
    return submitted(assessments=said, **common)


def _units(events: Sequence[Json]) -> Iterator[tuple[UUID, str, Json]]:
    for event in events:
        for name in event.get("names") or [said["name"] for said in event["assessments"]]:
            yield feedback_id_of(event, name), name, event


def expected(events: Sequence[Json]) -> tuple[dict[str, tuple[str, str]], dict[UUID, Json]]:
    """Give what MLflow must hold, and the newest event of each feedback, by the contract's own words."""
    newest: dict[UUID, tuple[tuple[datetime, UUID], str, Json]] = {}
    for feedback, name, event in _units(events):
        order = datetime.fromisoformat(event["submitted_at"]), UUID(event["event_id"])
        if feedback not in newest or order > newest[feedback][0]:
            newest[feedback] = (order, name, event)
    holds = {
        assessment_id(feedback): (f"{name} of {event['event_id']}", event["event_id"])
        for feedback, (_, name, event) in newest.items()
        if event["type"] == "FeedbackSubmitted"
    }
    return holds, {feedback: event for feedback, (_, _, event) in newest.items()}


def check(world: World, events: Sequence[Json]) -> None:
    holds, newest = expected(events)
    assert {
        key: (write.version.value, write.version.rationale) for (_, key), write in world.held.items()
    } == holds
    outcomes = world.outcomes()
    assert set(outcomes) == {(UUID(event["event_id"]), feedback) for feedback, _, event in _units(events)}
    for feedback, event in newest.items():
        told = "logged" if event["type"] == "FeedbackSubmitted" else "withdrawn"
        assert outcomes[UUID(event["event_id"]), feedback] == {told}
    assert all(len(told) == 1 for told in outcomes.values())
    assert world.outbox.dead_letters == []


def a_world() -> World:
    world = World(attempts=3)
    world.knows()
    return world


@given(story=stories(), is_fenced=st.booleans())
@settings(max_examples=300, deadline=None)
async def test_one_consumer(story: Story, *, is_fenced: bool) -> None:
    events, batches = story
    world = a_world()
    world.is_fenced = is_fenced
    for batch in batches:
        await world.run(*[events[index] for index in batch])
    check(world, events)
    receipts = {(r.event_id, r.feedback_id, r.outcome): r.receipt_id for r in world.outbox.receipts}
    assert len(set(receipts.values())) == len(receipts)


@given(story=stories(), is_fenced=st.booleans())
@settings(max_examples=150, deadline=None)
async def test_a_trace_that_is_found_late_and_changes_between(story: Story, *, is_fenced: bool) -> None:
    """Each batch finds another trace of the request newest; all of a feedback stays on its first."""
    events, batches = story
    world = World(attempts=2, is_fenced=is_fenced)
    for number, batch in enumerate(batches):
        world.chats.chats["req-1"] = a_chat("req-1", f"tr-{number}", completed_at=at(number))
        await world.run(*[events[index] for index in batch])
    check(world, events)


@given(
    story=stories(),
    crashes=st.lists(st.integers(0, 14), min_size=5, max_size=5),
    is_fenced=st.booleans(),
)
@settings(max_examples=300, deadline=None)
async def test_a_trace_that_changes_between_a_crash_and_the_redelivery(
    story: Story, crashes: list[int], *, is_fenced: bool
) -> None:
    """What was written before a crash is found where it stands, though the store knows nothing of it."""
    events, batches = story
    world = World(attempts=2, is_fenced=is_fenced)
    for number, (batch, position) in enumerate(zip(batches, crashes, strict=False)):
        records = records_of([events[index] for index in batch])
        world.chats.chats["req-1"] = a_chat("req-1", f"tr-{2 * number}", completed_at=at(2 * number))
        with suppress(CrashError):
            await world.consumer(crash_at(position, CrashError)).run(records)
        world.outbox.parked.clear()
        trace_id = f"tr-{2 * number + 1}"
        world.chats.chats["req-1"] = a_chat("req-1", trace_id, completed_at=at(2 * number + 1))
        await world.run(*[events[index] for index in batch])
    check(world, events)


@dataclass
class TornSink(MemorySink):
    """As MLflow over REST: a look and a write are two requests, and only a create is fenced."""

    turns: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    async def turn(self) -> None:
        for _ in range(self.turns.pop() if self.turns else 0):
            await asyncio.sleep(0)

    async def log(self, writes: Sequence[Write], *, until: float) -> Sequence[SinkOutcome]:
        assert until > 0
        return list(await asyncio.gather(*(self.log_one(write) for write in writes)))

    async def log_one(self, write: Write) -> SinkOutcome:
        version, key = write.version, (write.trace_id, write.version.assessment_id)
        await self.turn()
        if version.op == "withdraw":
            self.assessments.pop(key, None)
            return Withdrawn(write.trace_id, version.assessment_id)
        while True:
            standing = self.assessments.get(key)
            await self.turn()
            if standing is not None and standing.version.order > version.order:
                return Superseded()
            # An edit needs what it edits, a create needs that nothing is there: else look again.
            if (standing is None) == (key not in self.assessments):
                break
        self.assessments[key] = write
        return Logged(write.trace_id, version.assessment_id)

    async def create(self, writes: Sequence[Write]) -> Sequence[bool]:
        await self.turn()
        return await super().create(writes)


@given(
    stories(),
    st.lists(st.integers(0, 12), max_size=60),
    st.lists(st.integers(0, 5), max_size=80),
    st.lists(st.booleans(), min_size=5, max_size=5),
)
@settings(max_examples=400, deadline=None)
async def test_many_consumers_at_once(
    story: Story, turns: list[int], steps: list[int], fenced: list[bool]
) -> None:
    events, batches = story
    world = a_world()
    world.sink = TornSink(turns=list(turns))

    async def others_work(_step: str) -> None:
        for _ in range(steps.pop() if steps else 0):
            await asyncio.sleep(0)

    await asyncio.gather(
        *(
            world.consumer(others_work, is_fenced=is_fenced).run(
                records_of([events[index] for index in batch])
            )
            for batch, is_fenced in zip(batches, fenced, strict=False)
        )
    )
    check(world, events)
