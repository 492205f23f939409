"""A write that arrives after a newer one, from a consumer that was frozen and is dead by then."""

from datetime import timedelta

import pytest
from support.pipeline import World, again
from support.samples import Json, at, feedback_id_of, records_of, submitted, withdrawn

from pipeline.outcomes import Away, SinkOutcome
from pipeline.ports import Sink, Write


class FrozenError(Exception):
    """The consumer is frozen, and killed before it goes on."""


async def freeze_before_settle(step: str) -> None:
    if step == "after sink.log":
        raise FrozenError


class HeldBack:
    """Takes a write, and lets it arrive when it is told to; the consumer never hears of it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._held: list[Write] = []

    async def log(self, writes: list[Write], *, until: float) -> list[SinkOutcome]:
        assert until
        self._held += writes
        raise FrozenError

    async def arrive(self, world: World) -> None:
        for write in self._held:
            world.sink.assessments[write.trace_id, write.version.assessment_id] = write


def a_world() -> World:
    world = World(attempts=3)
    world.knows()
    return world


OLD = submitted(value="old", rationale="old")
NEW = submitted(value="new", submitted_at=at(1).isoformat())
GONE = withdrawn(submitted_at=at(1).isoformat())


async def hold_back(world: World, event: Json) -> HeldBack:
    held = HeldBack(world.sink)
    with pytest.raises(FrozenError):
        await world.consumer(sink=held).once(records_of([event]))
    return held


@pytest.mark.parametrize(("newer", "values"), [(NEW, ["new"]), (GONE, [])])
async def test_what_overtook_a_write_under_way_is_looked_at_again(newer: Json, values: list[object]) -> None:
    world = a_world()
    held = await hold_back(world, OLD)
    await world.consumer().once(records_of([newer]))
    (parked,) = world.outbox.parked
    assert parked.reason == "look_again"
    assert world.values == values
    await held.arrive(world)
    assert world.values == ["old"]

    told = world.told()
    await world.run()
    assert world.values == values
    assert world.told() == told  # it had its outcome, and has no other
    assert world.parked[-1].due_at >= world.feedback.rows[feedback_id_of(OLD)].late_until  # type: ignore[operator]


async def test_it_is_looked_at_until_the_write_can_no_more_arrive() -> None:
    world = a_world()
    held = await hold_back(world, OLD)
    await world.consumer().once(records_of([NEW]))
    while world.outbox.parked:
        (parked,) = world.outbox.parked
        world.outbox.parked.clear()
        if parked.due_at > at(50):
            await held.arrive(world)
        world.now = parked.due_at
        await world.consumer().once([again(parked)])
    assert world.now >= at(60)
    assert world.values == ["new"]


async def test_an_edit_of_what_was_settled_is_not_looked_at_again() -> None:
    world = a_world()
    await world.run(OLD)
    await world.run(NEW)
    assert world.parked == []


async def test_an_edit_of_a_write_that_had_no_answer_is_looked_at_again() -> None:
    world = a_world()

    class Unanswered:
        asked = 0

        async def log(self, writes: list[Write], *, until: float) -> list[SinkOutcome]:
            self.asked += 1
            outcomes = list(await world.sink.log(writes, until=until))
            return [Away("mlflow", "no answer")] * len(writes) if self.asked == 1 else outcomes

    await world.consumer(sink=Unanswered()).run(records_of([OLD]))
    await world.run(NEW)
    assert {parked.reason for parked in world.parked} == {"look_again"}


async def test_whoever_overtook_and_died_before_it_could_park_is_made_up_for() -> None:
    world = a_world()
    held = await hold_back(world, OLD)

    async def crash(step: str) -> None:
        if step == "before outbox.send":
            raise FrozenError

    with pytest.raises(FrozenError):
        await world.consumer(crash).once(records_of([NEW]))
    await held.arrive(world)
    world.now += timedelta(minutes=5)
    await world.run(NEW)
    assert world.values == ["new"]


async def test_nothing_is_written_once_the_lease_has_run_out() -> None:
    """Frozen between the pin and the write: what it had seen as the newest may not be so any more."""
    world = a_world()
    begun: list[float] = []

    class Slow:
        async def log(self, writes: list[Write], *, until: float) -> list[SinkOutcome]:
            begun.append(until)
            if len(begun) == 1:
                outcomes = list(await world.sink.log(writes, until=0))  # too late
                await world.run(NEW)
                return outcomes
            return list(await world.sink.log(writes, until=until))

    await world.consumer(sink=Slow()).run(records_of([OLD]))
    assert world.values == ["new"]
    assert sorted(world.told()) == ["logged", "superseded"]
