from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from support.pipeline import DELAY, World
from support.samples import NOON, a_chat, at, feedback_id_of, records_of, submitted, withdrawn

from pipeline.chat import Chat
from pipeline.memory import MemoryTraces
from pipeline.retries import RetryPolicy, RetryStage

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
POLICY = RetryPolicy(stages=(RetryStage(2 * SECOND, 2), RetryStage(MINUTE, 1), RetryStage(15 * MINUTE, 3)))


def test_each_stage_has_its_attempts_then_it_is_over() -> None:
    delays = [POLICY.delay_after(attempt) for attempt in range(1, 9)]
    assert delays == [2 * SECOND] * 2 + [MINUTE] + [15 * MINUTE] * 3 + [None] * 2


def test_the_last_attempt_of_each_stage_searches_everything() -> None:
    assert [n for n in range(1, 8) if POLICY.searches_everything(n)] == [3, 4, 7]


def test_by_default_a_day_is_waited() -> None:
    policy, attempt, waited = RetryPolicy(), 1, timedelta()
    while delay := policy.delay_after(attempt):
        waited += delay
        attempt += 1
    assert timedelta(hours=24) < waited < timedelta(hours=25)


@pytest.mark.parametrize(
    ("lifetime", "delay"), [(SECOND, 2 * SECOND), (MINUTE, MINUTE), (60 * MINUTE, 15 * MINUTE)]
)
def test_a_late_write_is_looked_for_once_it_can_no_more_arrive(lifetime: timedelta, delay: timedelta) -> None:
    assert RetryPolicy(stages=POLICY.stages, lifetime=lifetime).look_again_after == delay


async def test_what_has_no_trace_is_parked_and_has_no_outcome_yet() -> None:
    world, event = World(), submitted()
    await world.consumer().once(records_of([event]))
    (parked,) = world.outbox.parked
    assert (parked.attempt, parked.reason, parked.delay) == (2, "no_trace", DELAY)
    assert (parked.first_seen, parked.due_at) == (NOON, NOON + DELAY)
    assert parked.record == records_of([event])[0]
    assert world.told() == []
    assert world.outbox.dead_letters == []
    assert {row.state for row in world.feedback.rows.values()} == {"open"}


async def test_only_the_assessments_that_wait_come_again() -> None:
    """The others have had their outcome; an edit that comes between does not change it."""
    world = World()
    world.knows()
    await world.run(submitted(assessments=[{"name": "pinned", "value": 0}]))
    world.chats.chats.clear()
    assessments = [{"name": name, "value": 1} for name in ("pinned", "early")]
    event = submitted(assessments=assessments, submitted_at=at(1).isoformat())
    await world.consumer().once(records_of([event]))
    (parked,) = world.outbox.parked
    assert parked.names == (("feedback", "early"),)
    assert world.told() == ["logged", "logged"]
    edit = submitted(assessments=[{"name": "pinned", "value": 2}], submitted_at=at(2).isoformat())
    await world.consumer().once(records_of([edit]))
    world.knows()
    await world.run()
    assert world.told() == ["logged"] * 4
    assert sorted(map(str, world.values)) == ["1", "2"]


async def test_first_seen_stays_and_attempts_are_counted() -> None:
    world = World(attempts=4)
    await world.run(submitted())
    assert [parked.attempt for parked in world.parked] == [2, 3, 4]
    assert {parked.first_seen for parked in world.parked} == {NOON}
    assert [parked.due_at for parked in world.parked] == [NOON + DELAY * n for n in (1, 2, 3)]
    assert world.outbox.receipts[0].attempts == 4


async def test_what_waits_is_not_searched_for_once_its_chat_has_come() -> None:
    world = World()
    searched: list[object] = []

    class Counting(MemoryTraces):
        async def search(self, request_ids: Collection[str], *, since: datetime | None) -> Mapping[str, Chat]:
            searched.append(request_ids)
            return await super().search(request_ids, since=since)

    consumer = world.consumer(traces=Counting())
    await consumer.once(records_of([submitted()]))
    assert len(searched) == 1
    world.knows("req-1", "tr-1")
    await consumer.run([])
    assert world.told() == ["logged"]
    assert len(searched) == 1


async def test_an_older_version_that_comes_due_later_is_superseded() -> None:
    world = World()
    up = submitted(value=True)
    await world.consumer().once(records_of([up]))
    parked = list(world.outbox.parked)
    world.outbox.parked.clear()
    world.knows()
    await world.run(submitted(value=False, submitted_at=at(1).isoformat()))
    world.outbox.parked += parked
    await world.run()
    assert world.values == [False]
    assert world.told() == ["logged", "superseded"]


async def test_up_down_withdrawn_ends_withdrawn_though_each_was_parked() -> None:
    world = World()
    up = submitted(value=True)
    down = submitted(value=False, submitted_at=at(1).isoformat())
    gone = withdrawn(submitted_at=at(2).isoformat())
    consumer = world.consumer()
    for event in (gone, down, up):
        await consumer.once(records_of([event]))
    world.knows()
    await consumer.run([])
    assert world.held == {}
    assert sorted(world.told()) == ["superseded", "superseded", "withdrawn"]


async def test_the_same_record_parked_twice_has_one_outcome() -> None:
    """As after a crash between parking it and committing its offset."""
    world = World()
    event = submitted()
    await world.consumer().once(records_of([event]))
    await world.consumer().once(records_of([event]))
    assert len(world.outbox.parked) == 2
    world.knows()
    edit = submitted(value="newer", submitted_at=at(1).isoformat())
    first, second = world.outbox.parked
    world.outbox.parked = [first]
    await world.run()
    await world.run(edit)
    world.outbox.parked = [second]
    await world.run()
    assert world.outcomes()[UUID(event["event_id"]), feedback_id_of(event)] == {"logged"}
    assert world.values == ["newer"]


async def test_a_trace_older_than_the_window_is_found_by_the_last_attempt_of_a_stage() -> None:
    world = World(attempts=2)
    world.traces = MemoryTraces({"req-1": a_chat("req-1", "tr-old", completed_at=NOON - timedelta(days=30))})
    await world.run(submitted())
    assert world.told() == ["logged"]
    assert len(world.parked) == 1


async def test_the_window_is_counted_from_when_the_feedback_was_given() -> None:
    """A consumer that was down for a week finds the traces of a week ago."""
    world = World(attempts=2)
    world.now = NOON + timedelta(days=7)
    world.traces = MemoryTraces({"req-1": a_chat("req-1", "tr-1", completed_at=NOON)})
    await world.run(submitted())
    assert world.told() == ["logged"]
    assert world.parked == []


async def test_a_chat_that_gets_another_trace_gets_its_feedback_there() -> None:
    """The first trace was named, but never exported; the service tried again."""
    world = World(attempts=3)
    world.sink.traces = {"tr-2"}
    world.knows("req-1", "tr-1")
    await world.consumer().once(records_of([submitted()]))
    assert world.outbox.parked[0].reason == "trace_missing"
    world.knows("req-1", "tr-2")
    await world.run()
    assert [trace for trace, _ in world.held] == ["tr-2"]
    assert world.told() == ["logged"]
