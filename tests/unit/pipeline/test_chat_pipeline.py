import pytest
from support.pipeline import Hook, QuickPatience, Tally, World, hooked, no_hook
from support.samples import at, completed, records_of, submitted

from pipeline.chat_pipeline import ChatPipeline
from pipeline.outcomes import DependencyAwayError
from pipeline.patience import Patience, StoppedError


def consumer(world: World, hook: Hook = no_hook) -> ChatPipeline:
    chats, outbox = hooked("chats", world.chats, hook), hooked("outbox", world.outbox, hook)
    return ChatPipeline(chats, outbox, world.patience, world.metrics)


async def test_chats_are_indexed_and_the_rest_is_dead() -> None:
    world = World()
    documents = [completed(), b"?", completed(client_request_id="req-2"), submitted(), None]
    await consumer(world).run(records_of(documents))
    assert sorted(world.chats.chats) == ["req-1", "req-2"]
    assert [record.offset for record in world.dead()] == [1, 3, 4]
    assert {letter.dead.reason for letter in world.outbox.dead_letters} == {"undecodable"}
    assert world.outbox.receipts == []
    assert (world.metrics.indexed, world.metrics.dead_chats) == (2, 3)


async def test_the_newest_chat_counts_in_a_batch_and_across_batches() -> None:
    world = World()
    old = completed(region="old", completed_at=at(0).isoformat())
    new = completed(region="new", completed_at=at(1).isoformat(), trace_id=None)
    await consumer(world).run(records_of([new, old]))
    assert world.chats.chats["req-1"].segment.region == "new"
    assert world.chats.chats["req-1"].trace_id == "tr-1"
    await consumer(world).run(records_of([old]))
    assert world.chats.chats["req-1"].segment.region == "new"


async def test_an_empty_batch_asks_nobody() -> None:
    steps: list[str] = []

    async def watch(step: str) -> None:
        steps.append(step)

    await consumer(World(), watch).run([])
    assert steps == []


@pytest.mark.parametrize("call", ["chats.upsert", "outbox.send"])
async def test_what_is_away_is_waited_for(call: str) -> None:
    world = World()
    missing = 4

    async def away(step: str) -> None:
        nonlocal missing
        if step == f"after {call}" and missing:
            missing -= 1
            raise DependencyAwayError("postgres", "no answer")

    await consumer(world, away).run(records_of([completed(), b"?"]))
    assert list(world.chats.chats) == ["req-1"]
    assert {record.offset for record in world.dead()} == {1}
    assert world.patience.away == {}


async def test_a_stop_while_waiting_leaves_the_batch() -> None:
    world = World()

    async def away(step: str) -> None:
        if step == "before chats.upsert":
            world.patience.stop()
            raise DependencyAwayError("postgres", "no answer")

    with pytest.raises(StoppedError):
        await consumer(world, away).run(records_of([completed(), b"?"]))
    assert world.dead() == []


# Patience itself


async def test_two_things_may_be_away_at_once_and_each_comes_back() -> None:
    tally = Tally()
    patience = QuickPatience(tally)
    errors = [DependencyAwayError("kafka", "a"), DependencyAwayError("mlflow", "b")]

    async def work() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    assert await patience.call(work) == "done"
    assert patience.away == {}
    assert tally.aways[:2] == [("kafka", True), ("mlflow", True)]
    assert sorted(tally.aways[2:]) == [("kafka", False), ("mlflow", False)]
    assert len(patience.waits) == 2


async def test_what_another_call_found_away_stays_so_until_that_call_returns() -> None:
    patience = QuickPatience()
    patience.missed("mlflow", "no answer")

    async def work() -> None:
        return

    await patience.call(work)
    assert patience.away == {"mlflow": "no answer"}
    patience.back("mlflow")
    assert patience.away == {}


async def test_whoever_notes_an_absence_after_a_stop_ends() -> None:
    patience = QuickPatience()
    patience.stop()
    with pytest.raises(StoppedError):
        patience.missed("kafka", "no answer")
    assert patience.away == {"kafka": "no answer"}


async def test_waits_grow_to_two_seconds_and_no_further() -> None:
    patience = QuickPatience()
    missing = 200

    async def work() -> None:
        nonlocal missing
        missing -= 1
        if missing:
            raise DependencyAwayError("mlflow", "no answer")

    await patience.call(work)
    assert len(patience.waits) == 199
    assert 0.5 < max(patience.waits) <= 2.0
    assert patience.waits[0] <= 0.05


async def test_a_sleep_ends_by_itself_or_by_a_stop() -> None:
    patience = Patience()
    await patience.sleep(0.001)
    patience.stop()
    with pytest.raises(StoppedError):
        await patience.sleep(3600)
