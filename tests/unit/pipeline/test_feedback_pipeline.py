import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from support.pipeline import CrashError, LateTraces, Tally, World, crash_at
from support.samples import (
    NOON,
    SECRET,
    Json,
    a_chat,
    a_record,
    at,
    feedback_id_of,
    records_of,
    submitted,
    withdrawn,
)
from support.waiting import wait_until

from contracts.identity import receipt_id
from pipeline.memory import MemoryTraces
from pipeline.outcomes import Away, Dependency, DependencyAwayError, SinkOutcome
from pipeline.patience import Patience, StoppedError
from pipeline.ports import Sink, Write
from pipeline.records import FIRST_VISIT


def known_world(**fields: int) -> World:
    world = World(**fields)  # type: ignore[arg-type]  # by name
    world.knows(environment="prod", user_id="u-1")
    return world


async def test_feedback_on_a_known_chat_is_logged() -> None:
    world = known_world()
    event = submitted(value="yes", rationale="so", metadata={"page": "3"})
    await world.run(event)
    (write,) = world.held.values()
    assert (write.trace_id, write.version.value, write.version.rationale) == ("tr-1", "yes", "so")
    assert write.metadata == {
        "page": "3",
        "environment": "prod",
        "user_id": "u-1",
        "feedback.event_id": event["event_id"],
        "feedback.version": "2026-01-31T12:00:00+00:00",
        "feedback.client_request_id": "req-1",
    }
    (receipt,) = world.outbox.receipts
    assert (receipt.outcome, receipt.trace_id, receipt.attempts) == ("logged", "tr-1", 1)
    assert (receipt.environment, receipt.user_id, receipt.value) == ("prod", "u-1", "yes")
    assert receipt.assessment_id == write.version.assessment_id
    assert receipt.logged_at == NOON
    assert world.metrics.outcomes == [("logged", "")]
    assert world.outbox.dead_letters == []


async def test_feedback_by_trace_alone_is_logged_with_its_segment() -> None:
    world = World()
    world.knows("req-9", "tr-9", region="eu")
    await world.run(submitted(client_request_id=None, trace_id="tr-9"))
    assert [trace for trace, _ in world.held] == ["tr-9"]
    assert world.outbox.receipts[0].region == "eu"
    await world.run(submitted(client_request_id=None, trace_id="tr-unknown"))
    assert [trace for trace, _ in world.held] == ["tr-9", "tr-unknown"]


async def test_an_event_with_its_own_trace_needs_no_chat() -> None:
    world = World()
    await world.run(submitted(trace_id="tr-own"))
    assert [trace for trace, _ in world.held] == ["tr-own"]


async def test_the_event_s_own_trace_counts_before_the_chat_s() -> None:
    world = known_world()
    await world.run(submitted(trace_id="tr-own"))
    assert [trace for trace, _ in world.held] == ["tr-own"]
    assert world.outbox.receipts[0].environment == "prod"


async def test_several_assessments_of_one_event_each_have_their_outcome() -> None:
    world = known_world()
    world.sink.rejected_names.add("bad")
    event = submitted(
        assessments=[
            {"name": "good", "value": 1},
            {"name": "bad", "value": SECRET},
            {"name": "good", "kind": "expectation", "value": {"a": [None]}},
        ]
    )
    await world.run(event)
    assert [(r.kind, r.name, r.outcome) for r in world.outbox.receipts] == [
        ("feedback", "good", "logged"),
        ("feedback", "bad", "dead-lettered"),
        ("expectation", "good", "logged"),
    ]
    (letter,) = world.outbox.dead_letters
    assert letter.names == (("feedback", "bad"),)
    assert letter.dead.reason == "rejected"
    assert json.loads(letter.record.value or b"") == event
    assert len(world.held) == 2
    assert world.outbox.receipts[1].reason == "rejected"


async def test_a_record_that_breaks_the_contract_is_dead_and_its_neighbours_are_logged() -> None:
    world = known_world()
    bad: list[Json | bytes | None] = [
        None,
        b"",
        b"\xff",
        b"[]",
        submitted(value=None),
        submitted(submitted_at=at(60 + 601).isoformat(), value=SECRET),
    ]
    await world.run(*bad, submitted())
    assert world.told() == ["logged"]
    assert [letter.record for letter in world.outbox.dead_letters] == records_of(bad)
    assert {letter.dead.reason for letter in world.outbox.dead_letters} == {"undecodable"}
    assert all(letter.names == () for letter in world.outbox.dead_letters)
    assert SECRET not in "".join(letter.dead.detail for letter in world.outbox.dead_letters)
    assert sorted(world.metrics.outcomes) == [("dead-lettered", "undecodable")] * 6 + [("logged", "")]


async def test_an_empty_batch_is_settled() -> None:
    world = World()
    await world.run()
    assert world.told() == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("at_once", [True, False])
async def test_of_two_versions_the_newest_stands(order: tuple[int, int], *, at_once: bool) -> None:
    world = known_world()
    versions = [submitted(value="old"), submitted(value="new", submitted_at=at(1).isoformat())]
    documents = [versions[index] for index in order]
    if at_once:
        await world.run(*documents)
    else:
        for document in documents:
            await world.run(document)
    assert world.values == ["new"]
    outcomes = {receipt.value: receipt.outcome for receipt in world.outbox.receipts}
    assert outcomes["new"] == "logged"
    assert outcomes["old"] == ("logged" if not at_once and order == (0, 1) else "superseded")


async def test_of_the_same_time_the_greater_event_id_stands() -> None:
    world = known_world()
    low = submitted(value="low", event_id="7fffffff-ffff-4fff-bfff-ffffffffffff")
    high = submitted(value="high", event_id="80000000-0000-4000-8000-000000000000")
    await world.run(high, low)
    assert world.values == ["high"]
    assert world.told() == ["logged", "superseded"]


async def test_the_same_event_twice_in_a_batch_has_one_outcome() -> None:
    world = known_world()
    event = submitted()
    await world.run(event, event)
    assert world.told() == ["logged", "logged"]
    assert len({receipt.receipt_id for receipt in world.outbox.receipts}) == 1
    assert len(world.held) == 1


async def test_people_names_spans_and_kinds_are_feedback_of_their_own() -> None:
    world = known_world()
    await world.run(
        submitted(),
        submitted(source={"type": "HUMAN", "id": "ben"}),
        submitted(source={"type": "CODE", "id": "anna"}),
        submitted(span_id="s-1"),
        submitted(feedback_id="answer-1"),
        submitted(source={"type": "HUMAN"}),
        submitted(source={"type": "HUMAN"}),
        submitted(assessments=[{"name": "other", "value": 1}]),
        submitted(assessments=[{"name": "helpful", "kind": "expectation", "value": 1}]),
    )
    assert world.told() == ["logged"] * 9
    assert len(world.held) == 9


async def test_a_withdrawal_takes_back_what_was_logged() -> None:
    world = known_world()
    await world.run(submitted())
    await world.run(withdrawn(submitted_at=at(1).isoformat()))
    assert world.held == {}
    assert world.told() == ["logged", "withdrawn"]
    receipt = world.outbox.receipts[1]
    assert (receipt.value, receipt.trace_id) == (None, "tr-1")
    await world.run(submitted(submitted_at=at(0.5).isoformat()))
    assert world.held == {}
    assert world.told()[2:] == ["superseded"]
    await world.run(submitted(submitted_at=at(2).isoformat(), value="again"))
    assert world.values == ["again"]


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_withdrawal_before_anything_keeps_what_it_takes_back_from_coming(*, is_known: bool) -> None:
    world = known_world() if is_known else World()
    await world.run(withdrawn(submitted_at=at(1).isoformat()))
    assert world.told() == ["withdrawn"]
    await world.run(submitted())
    assert world.told() == ["withdrawn", "superseded"]
    assert world.held == {}
    assert world.outbox.dead_letters == []


async def test_a_withdrawal_in_the_batch_of_what_it_takes_back() -> None:
    world = known_world()
    await world.run(withdrawn(submitted_at=at(1).isoformat()), submitted())
    assert world.told() == ["withdrawn", "superseded"]
    assert world.held == {}


# Early feedback


async def test_feedback_before_its_trace_is_found_in_a_later_attempt() -> None:
    world = World(attempts=4)
    traces = LateTraces({"req-1": a_chat("req-1", "tr-late", environment="prod")}, after=2)
    await world.consumer(traces=traces).run(records_of([submitted()]))
    assert [trace for trace, _ in world.held] == ["tr-late"]
    (receipt,) = world.outbox.receipts
    assert (receipt.outcome, receipt.attempts, receipt.environment) == ("logged", 3, "prod")
    assert traces.searches == [NOON - timedelta(hours=1)] * 3
    assert world.chats.chats["req-1"].trace_id == "tr-late"


async def test_the_last_attempt_searches_without_a_bound() -> None:
    world = World(attempts=3)
    old = a_chat("req-1", "tr-old", completed_at=NOON - timedelta(days=30))
    traces = LateTraces({"req-1": old}, after=0)
    await world.consumer(traces=traces).run(records_of([submitted()]))
    assert traces.searches == [NOON - timedelta(hours=1)] * 2 + [None]
    assert world.outbox.receipts[0].attempts == 3
    assert world.told() == ["logged"]


async def test_feedback_before_its_chat_event_is_found_in_a_later_attempt() -> None:
    """A trace that came by OTLP carries no request id: only the chat event knows it."""
    world = World(attempts=4)
    searches = 0

    async def the_chat_comes(step: str) -> None:
        nonlocal searches
        searches += step == "after traces.search"
        if searches == 2:
            world.knows("req-1", "tr-otlp", region="eu")

    await world.consumer(the_chat_comes).run(records_of([submitted()]))
    (receipt,) = world.outbox.receipts
    assert (receipt.outcome, receipt.trace_id, receipt.attempts) == ("logged", "tr-otlp", 3)
    assert receipt.region == "eu"


async def test_a_trace_that_is_known_but_not_exported_is_waited_for() -> None:
    world = known_world(attempts=4)
    world.sink.traces = set()
    tries = 0

    async def exported(step: str) -> None:
        nonlocal tries
        tries += step == "after sink.log"
        if tries == 2:
            world.sink.traces = {"tr-1"}

    await world.consumer(exported).run(records_of([submitted()]))
    assert world.told() == ["logged"]
    assert world.outbox.receipts[0].attempts == 3


async def test_what_is_not_found_in_all_attempts_is_one_dead_letter() -> None:
    world = World(attempts=3)
    event = submitted(value=SECRET, rationale=SECRET, metadata={"a": SECRET})
    await world.run(event)
    (letter,) = world.outbox.dead_letters
    assert (letter.dead.reason, letter.names) == ("unresolved", (("feedback", "helpful"),))
    assert "req-1" in letter.dead.detail
    assert SECRET not in letter.dead.detail
    assert replace(letter.record, visit=FIRST_VISIT) == a_record(event)
    (receipt,) = world.outbox.receipts
    assert (receipt.outcome, receipt.reason, receipt.attempts) == ("dead-lettered", "unresolved", 3)
    assert receipt.assessment_id is None
    assert world.metrics.outcomes == [("dead-lettered", "unresolved")]
    assert world.held == {}


async def test_one_dead_letter_for_a_record_however_many_of_its_assessments_are_dead() -> None:
    world = World(attempts=2)
    await world.run(submitted(assessments=[{"name": name, "value": 1} for name in "abc"]))
    (letter,) = world.outbox.dead_letters
    assert letter.names == (("feedback", "a"), ("feedback", "b"), ("feedback", "c"))
    assert world.told() == ["dead-lettered"] * 3


async def test_a_dead_version_stays_dead_though_it_could_be_written_now() -> None:
    world = World(is_fenced=True)
    event = submitted()
    await world.run(event)
    world.knows()
    await world.run(event)
    assert world.told() == ["dead-lettered", "dead-lettered"]
    assert world.held == {}


async def test_a_trace_that_never_comes_is_unresolved_and_no_longer_pinned() -> None:
    world = known_world(attempts=2)
    world.sink.traces = set()
    event = submitted()
    await world.run(event)
    assert world.outbox.dead_letters[0].dead.reason == "unresolved"
    assert world.feedback.rows[feedback_id_of(event)].trace_id is None
    world.sink.traces = {"tr-2"}
    world.chats.chats["req-1"] = a_chat("req-1", "tr-2")
    await world.run(submitted(submitted_at=at(1).isoformat()))
    assert [trace for trace, _ in world.held] == ["tr-2"]


async def test_neighbours_of_what_is_not_found_are_logged_in_the_first_attempt() -> None:
    world = known_world(attempts=3)
    await world.run(submitted(client_request_id="req-none"), submitted())
    receipts = {receipt.client_request_id: receipt for receipt in world.outbox.receipts}
    assert receipts["req-1"].outcome == "logged"
    assert receipts["req-1"].attempts == 1
    assert receipts["req-none"].outcome == "dead-lettered"


async def test_a_chat_event_without_a_trace_keeps_its_segment_when_the_trace_is_found() -> None:
    world = World()
    told = a_chat("req-1", None, environment="prod", tags={"tenant": "t"}, completed_at=NOON)
    world.chats.chats["req-1"] = told
    newer = a_chat("req-1", "tr-1", environment="from-trace", completed_at=at(1))
    await world.consumer(traces=MemoryTraces({"req-1": newer})).run(records_of([submitted()]))
    assert world.outbox.receipts[0].environment == "prod"
    assert world.chats.chats["req-1"] == replace(told, trace_id="tr-1")


async def test_a_pinned_trace_is_not_left_for_a_later_one() -> None:
    world = known_world()
    await world.run(submitted(value="first"))
    world.chats.chats["req-1"] = a_chat("req-1", "tr-2", completed_at=at(9))
    await world.run(submitted(value="second", submitted_at=at(1).isoformat()))
    assert [(trace, write.version.value) for (trace, _), write in world.held.items()] == [("tr-1", "second")]
    await world.run(withdrawn(submitted_at=at(2).isoformat()))
    assert world.held == {}


# Redelivery


SCENARIO: list[Json | bytes] = [
    submitted(value=1, event_id=str(UUID(int=1))),
    submitted(value=2, event_id=str(UUID(int=2)), submitted_at=at(1).isoformat()),
    submitted(value=3, event_id=str(UUID(int=3)), feedback_id="answer-3"),
    withdrawn(event_id=str(UUID(int=4)), feedback_id="answer-3", submitted_at=at(1).isoformat()),
    submitted(value=5, event_id=str(UUID(int=5)), client_request_id="req-late"),
    submitted(value=6, event_id=str(UUID(int=6)), client_request_id="req-none"),
    submitted(
        event_id=str(UUID(int=7)), assessments=[{"name": "bad", "value": 1}, {"name": "ok", "value": 7}]
    ),
    withdrawn(event_id=str(UUID(int=8)), source={"type": "HUMAN", "id": "nobody"}),
    b"not an event",
]


def scenario_world(*, is_fenced: bool = False) -> World:
    world = known_world(attempts=2)
    world.is_fenced = is_fenced
    world.sink.rejected_names.add("bad")
    world.traces = MemoryTraces({"req-late": a_chat("req-late", "tr-late")})
    return world


def end_state(world: World) -> tuple[object, ...]:
    return (
        {key: write.version.value for key, write in world.held.items()},
        {key: (row.version, row.state, row.trace_id, row.dead) for key, row in world.feedback.rows.items()},
        world.outcomes(),
        {
            (record.offset, letter.names, letter.dead)
            for letter in world.outbox.dead_letters
            for record in [letter.record]
        },
    )


async def test_the_scenario_ends_as_written_by_hand() -> None:
    world = scenario_world()
    await world.run(*SCENARIO)
    assert world.told() == [
        "superseded",
        "logged",
        "superseded",
        "withdrawn",
        "logged",
        "dead-lettered",
        "logged",
        "withdrawn",
        "dead-lettered",  # what has no trace was parked
    ]
    assert sorted(map(str, world.values)) == ["2", "5", "7"]
    assert sorted(record.offset for record in world.dead()) == [5, 6, 8]


async def test_a_batch_that_comes_again_gives_the_same_receipts_and_changes_nothing() -> None:
    world = scenario_world()
    await world.run(*SCENARIO)
    before = end_state(world)
    first = [receipt.model_dump(exclude={"attempts"}) for receipt in world.outbox.receipts]
    world.outbox.receipts.clear()
    steps: list[str] = []

    async def watch(step: str) -> None:
        steps.append(step)

    await world.consumer(watch).run(records_of(SCENARIO))
    again = [receipt.model_dump(exclude={"attempts"}) for receipt in world.outbox.receipts]
    assert {receipt["receipt_id"] for receipt in again} == {receipt["receipt_id"] for receipt in first}
    assert len(again) == len(first) == len({receipt["receipt_id"] for receipt in first})
    assert end_state(world) == before
    assert "before traces.search" not in steps


async def test_a_receipt_has_the_id_that_readers_drop_doubles_by() -> None:
    world = known_world()
    event = submitted()
    await world.run(event)
    (receipt,) = world.outbox.receipts
    assert receipt.receipt_id == receipt_id(UUID(event["event_id"]), feedback_id_of(event), "logged")


async def steps_of(scenario: list[Json | bytes], *, is_fenced: bool = False) -> list[str]:
    steps: list[str] = []

    async def watch(step: str) -> None:
        steps.append(step)

    await scenario_world(is_fenced=is_fenced).consumer(watch).run(records_of(scenario))
    return steps


@pytest.mark.parametrize("is_fenced", [False, True])
@pytest.mark.parametrize("error", [CrashError, StoppedError])
async def test_after_a_crash_at_any_step_the_batch_again_ends_the_same(
    error: type[Exception], *, is_fenced: bool
) -> None:
    calm = scenario_world()
    await calm.run(*SCENARIO)
    steps = await steps_of(SCENARIO, is_fenced=is_fenced)
    assert {step.split(".")[0] for step in steps} == {
        f"{when} {port}"
        for when in ("before", "after")
        for port in ("chats", "feedback", "traces", "sink", "outbox", *["fenced"] * is_fenced)
    }
    for position, step in enumerate(steps):
        world = scenario_world(is_fenced=is_fenced)
        with pytest.raises(error):
            await world.consumer(crash_at(position, error)).run(records_of(SCENARIO))
        await world.run(*SCENARIO)
        assert end_state(world) == end_state(calm), step


@pytest.mark.parametrize("is_fenced", [False, True])
async def test_after_two_crashes_at_any_two_steps_too(*, is_fenced: bool) -> None:
    calm = scenario_world()
    await calm.run(*SCENARIO)
    steps = await steps_of(SCENARIO, is_fenced=is_fenced)
    for first in range(len(steps)):
        for second in range(0, len(steps), 3):
            world = scenario_world(is_fenced=is_fenced)
            for position in (first, second):
                try:
                    await world.consumer(crash_at(position, CrashError)).run(records_of(SCENARIO))
                except CrashError:
                    continue
            await world.run(*SCENARIO)
            assert end_state(world) == end_state(calm), (steps[first], steps[second])


async def test_what_was_written_before_a_crash_keeps_its_trace_though_the_next_version_is_refused() -> None:
    world = known_world()

    async def crash(step: str) -> None:
        if step == "before feedback.settle":
            raise CrashError

    with pytest.raises(CrashError):
        await world.consumer(crash).run(records_of([submitted(value="first")]))
    world.sink.rejected_names.add("helpful")
    await world.run(submitted(value="refused", submitted_at=at(1).isoformat()))
    world.sink.rejected_names.clear()
    world.chats.chats["req-1"] = a_chat("req-1", "tr-2", completed_at=at(9))
    await world.run(submitted(value="mended", submitted_at=at(2).isoformat()))
    assert [(trace, write.version.value) for (trace, _), write in world.held.items()] == [("tr-1", "mended")]


# Two consumers at once


class Overtaking:
    """Has another consumer do something at one step of the first, once."""

    def __init__(self, step: str, world: World, *documents: Json, only_claims: bool = False) -> None:
        self._step = step
        self._world = world
        self._documents = documents
        self._only_claims = only_claims

    async def __call__(self, step: str) -> None:
        if step != self._step:
            return
        self._step = "never again"
        hook = _crash_after_claim if self._only_claims else _nothing
        try:
            await self._world.consumer(hook).run(records_of(self._documents))
        except CrashError:
            return


async def _crash_after_claim(step: str) -> None:
    if step == "after feedback.claim":
        raise CrashError


async def _nothing(_step: str) -> None:
    return


STEPS = [
    "after feedback.claim",
    "after chats.find",
    "before feedback.pin",
    "after feedback.pin",
    "after sink.log",
]


@pytest.mark.parametrize("step", STEPS)
async def test_whoever_is_overtaken_by_an_edit_leaves_the_newest(step: str) -> None:
    world = known_world()
    newer = submitted(value="new", submitted_at=at(1).isoformat())
    hook = Overtaking(step, world, newer)
    await world.consumer(hook).run(records_of([submitted(value="old")]))
    assert world.values == ["new"]
    assert sorted(world.told()) == ["logged", "superseded"]


@pytest.mark.parametrize("step", STEPS)
async def test_whoever_is_overtaken_by_a_withdrawal_leaves_nothing(step: str) -> None:
    world = known_world()
    gone = withdrawn(submitted_at=at(1).isoformat())
    hook = Overtaking(step, world, gone)
    await world.consumer(hook).run(records_of([submitted(value="old")]))
    assert world.held == {}
    assert sorted(world.told()) == ["superseded", "withdrawn"]


@pytest.mark.parametrize("step", ["after feedback.pin", "after sink.log"])
async def test_the_newest_is_written_even_when_the_one_who_claimed_it_is_gone(step: str) -> None:
    """Written by whoever came too late; the other's record will come again and be told as logged."""
    world = known_world()
    newer = submitted(value="new", submitted_at=at(1).isoformat())
    hook = Overtaking(step, world, newer, only_claims=True)
    await world.consumer(hook).run(records_of([submitted(value="old")]))
    assert world.values == ["new"]
    assert world.told() == ["superseded"]
    assert world.feedback.rows[feedback_id_of(newer)].state == "logged"
    await world.run(newer)
    assert world.told() == ["superseded", "logged"]


async def test_a_write_that_arrives_after_the_newest_is_written_over_again() -> None:
    """The frozen consumer: it looked, then the newest was written, then its own edit arrived."""
    world = known_world()
    old, newer = submitted(value="old"), submitted(value="new", submitted_at=at(1).isoformat())

    async def freeze(step: str) -> None:
        if step == "after sink.log" and "new" not in world.values:
            late = dict(world.held)
            await world.consumer().run(records_of([newer]))
            world.held.update(late)
            assert world.values == ["old"]

    await world.consumer(freeze).run(records_of([old]))
    assert world.values == ["new"]
    assert sorted(world.told()) == ["logged", "superseded"]


@pytest.mark.parametrize("together", [False, True], ids=["alone", "with the newest"])
async def test_a_late_write_whose_writer_died_is_mended_when_its_record_comes_again(
    *, together: bool
) -> None:
    """The old edit arrived after the newest, and its consumer was killed before it could settle."""
    world = known_world()
    old, newer = submitted(value="old"), submitted(value="new", submitted_at=at(1).isoformat())
    await world.run(old)
    late = dict(world.sink.assessments)
    await world.run(newer)
    world.sink.assessments = late
    assert world.values == ["old"]

    await world.consumer().run(records_of([old, newer] if together else [old]))
    assert world.values == ["new"]


async def test_overtaken_again_and_again_while_it_mends() -> None:
    world = known_world()
    count = 0

    async def again(step: str) -> None:
        nonlocal count
        if step == "after sink.log" and count < 5:
            count += 1
            newer = submitted(value=count, submitted_at=at(count).isoformat())
            with pytest.raises(CrashError):
                await world.consumer(_crash_after_claim).run(records_of([newer]))

    await world.consumer(again).run(records_of([submitted(value=0)]))
    assert world.values == [5]
    assert {row.state for row in world.feedback.rows.values()} == {"logged"}


# What is away


PORT_OF: Mapping[str, Dependency] = {
    "chats": "postgres",
    "feedback": "postgres",
    "traces": "mlflow",
    "outbox": "kafka",
}
CALLS = [
    "chats.find",
    "feedback.claim",
    "feedback.pin",
    "feedback.settle",
    "traces.search",
    "chats.upsert",
    "outbox.send",
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", CALLS)
async def test_what_is_away_is_waited_for_and_nothing_is_dead_or_counted(call: str, when: str) -> None:
    world = World(attempts=2)
    world.knows("req-2", "tr-2")
    world.traces = MemoryTraces({"req-1": a_chat("req-1", "tr-1")})
    dependency = PORT_OF[call.split(".", maxsplit=1)[0]]
    missing = 7
    aways: list[dict[Dependency, str]] = []

    async def away(step: str) -> None:
        nonlocal missing
        if step == f"{when} {call}" and missing:
            missing -= 1
            aways.append(dict(world.patience.away))
            raise DependencyAwayError(dependency, "no answer")

    await world.consumer(away).run(records_of([submitted(), submitted(client_request_id="req-2")]))
    assert aways == [{}] + [{dependency: "no answer"}] * 6
    assert world.patience.away == {}
    assert world.metrics.aways == [(dependency, True), (dependency, False)]
    assert [receipt.attempts for receipt in world.outbox.receipts[-2:]] == [1, 1]
    assert set(world.told()) == {"logged"}
    assert world.outbox.dead_letters == []
    assert len(world.held) == 2


class MissingSink:
    """MLflow that gives no answer to some writes, though it may have done them."""

    def __init__(self, sink: Sink, *, times: int, does: bool, only: int | None = None) -> None:
        self._sink = sink
        self._times = times
        self._does = does
        self._only = only
        self.asked: list[int] = []

    async def log(self, writes: list[Write], *, until: float) -> list[SinkOutcome]:
        self.asked.append(len(writes))
        if not self._times:
            return list(await self._sink.log(writes, until=until))
        self._times -= 1
        lost = writes if self._only is None else writes[: self._only]
        kept = writes[len(lost) :]
        if self._does:
            await self._sink.log(lost, until=until)
        return [Away("mlflow", "no answer")] * len(lost) + list(await self._sink.log(kept, until=until))


@pytest.mark.parametrize("does", [True, False])
async def test_mlflow_that_is_away_while_writing_is_waited_for(*, does: bool) -> None:
    world = known_world(attempts=2)
    sink = MissingSink(world.sink, times=5, does=does)
    await world.consumer(sink=sink).run(records_of([submitted(), submitted(feedback_id="other")]))
    assert sink.asked == [2] * 6
    assert world.told() == ["logged"] * 2
    assert {receipt.attempts for receipt in world.outbox.receipts} == {1}
    assert world.metrics.aways == [("mlflow", True), ("mlflow", False)]
    assert len(world.held) == 2


async def test_only_what_has_no_answer_is_written_again() -> None:
    world = known_world()
    sink = MissingSink(world.sink, times=1, does=False, only=2)
    documents = [submitted(feedback_id=f"answer-{n}") for n in range(5)]
    await world.consumer(sink=sink).run(records_of(documents))
    assert sink.asked == [5, 2]
    assert world.told() == ["logged"] * 5


@pytest.mark.parametrize("call", [*CALLS, "sink.log"])
async def test_a_stop_is_heard_while_something_is_away(call: str) -> None:
    world = World(attempts=2)
    world.traces = MemoryTraces({"req-1": a_chat("req-1", "tr-1")})
    world.patience = Patience(world.metrics)

    async def away(step: str) -> None:
        if step == f"before {call}":
            raise DependencyAwayError(PORT_OF.get(call.split(".", maxsplit=1)[0], "mlflow"), "no answer")

    running = asyncio.create_task(world.consumer(away).run(records_of([submitted()])))
    await wait_until(lambda: bool(world.patience.away), seconds=5, what="something is away")
    world.patience.stop()
    with pytest.raises(StoppedError):
        await running
    assert world.told() == []


async def test_an_error_of_our_own_is_not_waited_for() -> None:
    world = known_world()

    async def broken(step: str) -> None:
        if step == "before feedback.claim":
            raise KeyError

    with pytest.raises(KeyError):
        await world.consumer(broken).run(records_of([submitted()]))
    assert world.patience.away == {}


async def test_the_stages_are_measured() -> None:
    stages: list[tuple[str, int]] = []

    class Watch(Tally):
        def stage(self, stage: str, seconds: float, items: int) -> None:
            assert seconds >= 0
            stages.append((stage, items))

    world = known_world()
    world.metrics = Watch()
    world.traces = MemoryTraces({"req-2": a_chat("req-2", "tr-2")})
    await world.run(submitted(), submitted(client_request_id="req-2"))
    assert stages == [("join", 2), ("claim", 2), ("resolve", 1), ("log", 2), ("settle", 2)]
