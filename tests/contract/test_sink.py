import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from uuid import UUID, uuid4

import pytest
from support.samples import SECRET, a_version, at
from support.shelf import MemoryShelf, RealShelf, Seen, Shelf, TraceMaker

from consumers.settings import Settings
from pipeline.adapters.mlflow_batch import MlflowBatchSink
from pipeline.adapters.mlflow_client import MlflowThreads
from pipeline.adapters.mlflow_rest import MlflowRestSink
from pipeline.log import assessment_metadata
from pipeline.memory import MemorySink
from pipeline.outcomes import Dead, Elsewhere, Logged, NotBegun, Retry, SinkOutcome, Superseded, Withdrawn
from pipeline.ports import Write
from pipeline.versions import Version


@pytest.fixture(params=["memory", "rest", "batch"])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    if request.param == "memory":
        return MemoryShelf()
    return request.getfixturevalue("real_shelf" if request.param == "rest" else "batch_shelf")  # type: ignore[no-any-return]


@pytest.fixture
def batch_shelf(world: Settings, threads: MlflowThreads, trace_maker: TraceMaker) -> RealShelf:
    return RealShelf(world.mlflow_tracking_uri, MlflowBatchSink(NoSink(), threads), trace_maker)


class NoSink:
    """Where nothing may be written."""

    async def log(self, writes: Sequence[Write], *, until: float) -> Sequence[SinkOutcome]:
        """Refuse."""
        del until
        pytest.fail(f"{len(writes)} written one by one")


@pytest.fixture
def real_shelf(world: Settings, threads: MlflowThreads, trace_maker: TraceMaker) -> RealShelf:
    return RealShelf(world.mlflow_tracking_uri, MlflowRestSink(threads), trace_maker)


def soon() -> float:
    """Give when a write must have begun."""
    return time.monotonic() + 60


def write_of(
    version: Version,
    trace_id: str,
    *,
    may_exist: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Write:
    said = dict(metadata or {}) | assessment_metadata(version, None)
    return Write(version=version, trace_id=trace_id, metadata=said, may_exist=may_exist)


async def put(shelf: Shelf, write: Write) -> SinkOutcome:
    (outcome,) = await shelf.sink.log([write], until=soon())
    return outcome


def the_one(shelf: Shelf, trace_id: str) -> Seen:
    (seen,) = shelf.seen(trace_id)
    return seen


def edit(version: Version, seconds: float, **fields: object) -> Version:
    return replace(version, event_id=uuid4(), submitted_at=at(seconds), **fields)  # type: ignore[arg-type]  # by name


def logged(version: Version, trace_id: str) -> Logged:
    return Logged(trace_id, version.assessment_id)


async def test_a_fenced_create_tells_what_is_there_for_certain(shelf: Shelf) -> None:
    if not isinstance(shelf.sink, MlflowBatchSink | MemorySink):
        assert not hasattr(shelf.sink, "create")  # REST decides in one request and writes in another
        return
    trace_id = shelf.new_trace()
    version, other, lost = a_version(value=1), a_version(source_id="ben"), a_version(source_id="cleo")
    await put(shelf, write_of(edit(other, 60), trace_id))
    writes = [write_of(version, trace_id), write_of(other, trace_id), write_of(lost, "tr-" + "0" * 32)]
    assert list(await shelf.sink.create(writes)) == [True, False, False]
    assert list(await shelf.sink.create(writes)) == [True, False, False]
    assert {seen.value for seen in shelf.seen(trace_id)} == {1, other.value}


async def test_a_fenced_create_edits_what_is_older(shelf: Shelf) -> None:
    if not isinstance(shelf.sink, MlflowBatchSink | MemorySink):
        return
    trace_id = shelf.new_trace()
    older = a_version(value="old")
    await put(shelf, write_of(older, trace_id))
    assert list(await shelf.sink.create([write_of(edit(older, 1, value="new"), trace_id)])) == [True]
    assert the_one(shelf, trace_id).value == "new"


async def test_all_of_an_assessment_can_be_read_back(shelf: Shelf) -> None:
    trace_id = shelf.new_trace()
    version = a_version(
        event_id=UUID("00000000-0000-4000-8000-000000000001"),
        submitted_at=at(0.123),
        name="helpful 🐝",
        value='Zoë\'s "answer" \\ ☃',
        rationale="weil es 'so' ist\n☞ ja",
        source_id="anna@example.com",
    )
    metadata = {"environment": "prod", "note": "ü"}
    assert await put(shelf, write_of(version, trace_id, metadata=metadata)) == logged(version, trace_id)
    assert the_one(shelf, trace_id) == Seen(
        assessment_id=f"a-{str(version.feedback_id).replace('-', '')}",
        kind="feedback",
        name="helpful 🐝",
        value='Zoë\'s "answer" \\ ☃',
        rationale="weil es 'so' ist\n☞ ja",
        metadata={
            "environment": "prod",
            "note": "ü",
            "feedback.event_id": "00000000-0000-4000-8000-000000000001",
            "feedback.version": "2026-01-31T12:00:00.123000+00:00",
            "feedback.client_request_id": "req-1",
        },
        source=("HUMAN", "anna@example.com"),
        span_id=None,
        created_at=at(0.123),
    )


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        0,
        1,
        -7,
        2**53,
        -(2**53),
        0.5,
        1e300,
        "",
        "true",
        "1",
        "a\tb",
        [],
        ["a", 1, 2.5, True],
        {},
        {"a": 1, "b": "x", "c": False, "ü": 0.5},
    ],
    ids=repr,
)
async def test_each_type_of_feedback_is_held(shelf: Shelf, value: object) -> None:
    trace_id = shelf.new_trace()
    version = a_version(value=value)
    assert await put(shelf, write_of(version, trace_id)) == logged(version, trace_id)
    held = the_one(shelf, trace_id).value
    assert held == value
    assert isinstance(held, bool) == isinstance(value, bool)


@pytest.mark.parametrize(
    "value",
    [True, 4, 0.5, "Paris", ["a", ["b", {"c": None}]], {"city": {"name": "Zürich", "zip": [8000, None]}}],
    ids=repr,
)
async def test_each_type_of_expectation_is_held(shelf: Shelf, value: object) -> None:
    trace_id = shelf.new_trace()
    version = a_version(kind="expectation", name="answer", value=value)
    assert await put(shelf, write_of(version, trace_id)) == logged(version, trace_id)
    seen = the_one(shelf, trace_id)
    assert (seen.kind, seen.name, seen.value) == ("expectation", "answer", value)


@pytest.mark.parametrize("source_type", ["HUMAN", "LLM_JUDGE", "CODE"])
@pytest.mark.parametrize("source_id", ["someone", None])
async def test_each_source_is_held(shelf: Shelf, source_type: str, source_id: str | None) -> None:
    trace_id = shelf.new_trace()
    await put(shelf, write_of(a_version(source_type=source_type, source_id=source_id), trace_id))
    kind, held = the_one(shelf, trace_id).source
    assert kind == source_type
    # MLflow's own client fills in "default" for nobody.
    assert held in {source_id, "default"} if source_id is None else held == source_id


async def test_a_span_is_held(shelf: Shelf) -> None:
    trace_id = shelf.new_trace()
    await put(shelf, write_of(a_version(span_id="b6e4728f60ceafce"), trace_id))
    assert the_one(shelf, trace_id).span_id == "b6e4728f60ceafce"


async def test_the_longest_texts_are_held(shelf: Shelf) -> None:
    trace_id = shelf.new_trace()
    version = a_version(
        name="n" * 250, source_id="s" * 250, span_id="e" * 50, rationale="r" * 16384, value="v" * 60_000
    )
    metadata = {"k" * 250: "m" * 30_000}
    assert await put(shelf, write_of(version, trace_id, metadata=metadata)) == logged(version, trace_id)
    seen = the_one(shelf, trace_id)
    assert (seen.name, seen.value, seen.rationale) == ("n" * 250, "v" * 60_000, "r" * 16384)


async def test_the_same_version_again_is_logged_and_leaves_one(shelf: Shelf) -> None:
    trace_id = shelf.new_trace()
    version = a_version(rationale="so")
    for may_exist in (False, False, True):
        write = write_of(version, trace_id, may_exist=may_exist)
        assert await put(shelf, write) == logged(version, trace_id)
    assert the_one(shelf, trace_id).rationale == "so"


async def test_an_edit_changes_everything_but_who_and_when_it_was_made(shelf: Shelf) -> None:
    trace_id = shelf.new_trace()
    first = a_version(value=True, rationale="good", submitted_at=at(0))
    await put(shelf, write_of(first, trace_id, metadata={"kept": "1", "gone": "1"}))
    second = edit(first, 60, value="no", rationale="bad")
    write = write_of(second, trace_id, may_exist=True, metadata={"kept": "2", "new": "2"})
    assert await put(shelf, write) == logged(second, trace_id)
    seen = the_one(shelf, trace_id)
    assert (seen.value, seen.rationale) == ("no", "bad")
    assert seen.assessment_id == first.assessment_id
    assert seen.metadata == {
        "kept": "2",
        "new": "2",
        "feedback.event_id": str(second.event_id),
        "feedback.version": at(60).isoformat(),
        "feedback.client_request_id": "req-1",
    }


async def test_an_edit_without_a_comment_clears_the_old_one(shelf: Shelf) -> None:
    trace_id = shelf.new_trace()
    first = a_version(rationale="good")
    await put(shelf, write_of(first, trace_id))
    await put(shelf, write_of(edit(first, 1, rationale=None), trace_id, may_exist=True))
    assert the_one(shelf, trace_id).rationale is None


async def test_metadata_that_is_gone_and_comes_back_is_there_again(shelf: Shelf) -> None:
    trace_id = shelf.new_trace()
    first = a_version()
    await put(shelf, write_of(first, trace_id, metadata={"a": "1"}))
    await put(shelf, write_of(edit(first, 1), trace_id, may_exist=True))
    assert "a" not in the_one(shelf, trace_id).metadata
    await put(shelf, write_of(edit(first, 2), trace_id, may_exist=True, metadata={"a": "3"}))
    assert the_one(shelf, trace_id).metadata["a"] == "3"


async def test_a_value_changes_its_type(shelf: Shelf) -> None:
    trace_id = shelf.new_trace()
    version = a_version(value=True)
    for seconds, value in enumerate([True, 3, "x", ["y"], {"z": 1}, False]):
        version = edit(version, seconds, value=value)
        assert await put(shelf, write_of(version, trace_id, may_exist=True)) == logged(version, trace_id)
        assert the_one(shelf, trace_id).value == value


async def test_an_expectation_is_edited_between_flat_and_nested(shelf: Shelf) -> None:
    trace_id = shelf.new_trace()
    version = a_version(kind="expectation", value="Paris")
    for seconds, value in enumerate(["Paris", {"city": ["Paris", None]}, "Rome", [[1]], 5]):
        version = edit(version, seconds, value=value)
        assert await put(shelf, write_of(version, trace_id, may_exist=True)) == logged(version, trace_id)
        seen = the_one(shelf, trace_id)
        assert (seen.kind, seen.value) == ("expectation", value)


@pytest.mark.parametrize("may_exist", [True, False])
async def test_an_older_version_is_superseded_and_changes_nothing(shelf: Shelf, may_exist: bool) -> None:  # noqa: FBT001 - a parameter of the test
    trace_id = shelf.new_trace()
    older = a_version(value="older", rationale="older")
    newer = edit(older, 1, value="newer", rationale="newer")
    await put(shelf, write_of(newer, trace_id))
    before = the_one(shelf, trace_id)
    assert await put(shelf, write_of(older, trace_id, may_exist=may_exist)) == Superseded()
    assert the_one(shelf, trace_id) == before


async def test_of_the_same_time_the_greater_event_id_is_the_newer(shelf: Shelf) -> None:
    trace_id = shelf.new_trace()
    low = a_version(event_id=UUID("7fffffff-ffff-4fff-bfff-ffffffffffff"), value="low")
    high = replace(low, event_id=UUID("80000000-0000-4000-8000-000000000000"), value="high")
    await put(shelf, write_of(low, trace_id))
    assert await put(shelf, write_of(high, trace_id)) == logged(high, trace_id)
    assert await put(shelf, write_of(low, trace_id)) == Superseded()
    assert the_one(shelf, trace_id).value == "high"


async def test_a_microsecond_makes_a_version_newer(shelf: Shelf) -> None:
    trace_id = shelf.new_trace()
    older = a_version(submitted_at=at(0.000001), value="older")
    newer = edit(older, 0.000002, value="newer")
    await put(shelf, write_of(newer, trace_id))
    assert await put(shelf, write_of(older, trace_id)) == Superseded()
    assert the_one(shelf, trace_id).created_at.astimezone(UTC).replace(microsecond=0) == at(0)


async def test_may_exist_may_be_wrong_in_both_directions(shelf: Shelf) -> None:
    absent, present = shelf.new_trace(), shelf.new_trace()
    first = a_version(value="first")
    assert await put(shelf, write_of(first, absent, may_exist=True)) == logged(first, absent)
    assert the_one(shelf, absent).value == "first"
    other = a_version(value="first")
    await put(shelf, write_of(other, present))
    second = edit(other, 1, value="second")
    assert await put(shelf, write_of(second, present, may_exist=False)) == logged(second, present)
    assert the_one(shelf, present).value == "second"


async def test_a_withdrawal_takes_it_away_however_often_it_comes(shelf: Shelf) -> None:
    trace_id = shelf.new_trace()
    version = a_version()
    await put(shelf, write_of(version, trace_id))
    gone = edit(version, 1, op="withdraw", value=None)
    for may_exist in (True, True, False):
        write = write_of(gone, trace_id, may_exist=may_exist)
        assert await put(shelf, write) == Withdrawn(trace_id, version.assessment_id)
        assert shelf.seen(trace_id) == []


async def test_a_withdrawal_of_nothing_is_withdrawn(shelf: Shelf) -> None:
    version = a_version(op="withdraw")
    for trace_id in (shelf.new_trace(), f"tr-{uuid4().hex}"):
        assert await put(shelf, write_of(version, trace_id)) == Withdrawn(trace_id, version.assessment_id)


async def test_a_withdrawal_takes_only_its_own(shelf: Shelf) -> None:
    trace_id = shelf.new_trace()
    kept, taken = a_version(source_id="anna"), a_version(source_id="ben")
    await shelf.sink.log([write_of(kept, trace_id), write_of(taken, trace_id)], until=soon())
    await put(shelf, write_of(edit(taken, 1, op="withdraw", value=None), trace_id))
    assert the_one(shelf, trace_id).source == ("HUMAN", "anna")


async def test_it_is_created_again_after_a_withdrawal(shelf: Shelf) -> None:
    trace_id = shelf.new_trace()
    version = a_version(value="first")
    await put(shelf, write_of(version, trace_id))
    await put(shelf, write_of(edit(version, 1, op="withdraw", value=None), trace_id))
    again = edit(version, 2, value="again")
    assert await put(shelf, write_of(again, trace_id)) == logged(again, trace_id)
    seen = the_one(shelf, trace_id)
    assert (seen.value, seen.assessment_id) == ("again", version.assessment_id)


@pytest.mark.parametrize("may_exist", [True, False])
async def test_a_trace_that_is_missing_is_asked_for_again(shelf: Shelf, may_exist: bool) -> None:  # noqa: FBT001 - a parameter of the test
    write = write_of(a_version(), f"tr-{uuid4().hex}", may_exist=may_exist)
    assert await put(shelf, write) == Retry("trace_missing")


@pytest.mark.parametrize("op", ["log", "withdraw"])
async def test_what_stands_on_another_trace_is_told_and_left_alone(shelf: Shelf, op: str) -> None:
    trace_id, version = shelf.new_trace(), a_version(value="first")
    await put(shelf, write_of(version, trace_id))
    later = edit(version, 1, **({"value": "second"} if op == "log" else {"op": "withdraw", "value": None}))
    outcomes = [
        await put(shelf, write_of(later, other)) for other in (shelf.new_trace(), f"tr-{uuid4().hex}")
    ]
    if isinstance(shelf.sink, MlflowBatchSink | MemorySink):
        assert outcomes == [Elsewhere(trace_id)] * 2
    elif op == "log":  # MLflow itself does not say where
        assert isinstance(outcomes[0], Dead)
        assert outcomes[1] == Retry("trace_missing")
    assert the_one(shelf, trace_id).value == "first"


async def test_a_batch_has_an_outcome_for_each_in_order(shelf: Shelf) -> None:
    here, there, nowhere = shelf.new_trace(), shelf.new_trace(), f"tr-{uuid4().hex}"
    old = a_version()
    await put(shelf, write_of(edit(old, 9), here))
    versions = [a_version(value=n) for n in range(20)]
    writes = [write_of(version, there) for version in versions]
    writes[3] = write_of(a_version(), nowhere)
    writes[7] = write_of(old, here)
    writes[11] = write_of(a_version(op="withdraw"), there)
    outcomes = await shelf.sink.log(writes, until=soon())
    assert outcomes[3] == Retry("trace_missing")
    assert outcomes[7] == Superseded()
    assert outcomes[11] == Withdrawn(there, writes[11].version.assessment_id)
    rest = [n for n in range(20) if n not in {3, 7, 11}]
    assert [outcomes[n] for n in rest] == [logged(versions[n], there) for n in rest]
    assert sorted(str(seen.value) for seen in shelf.seen(there)) == sorted(
        str(float(n)) if isinstance(shelf, RealShelf) else str(n) for n in rest
    )


async def test_nothing_is_written_for_nothing(shelf: Shelf) -> None:
    assert list(await shelf.sink.log([], until=soon())) == []


async def test_writers_at_once_leave_one(shelf: Shelf) -> None:
    """Two consumers may hold the same record after a rebalance."""
    trace_id = shelf.new_trace()
    version = a_version(value="x")
    outcomes = await asyncio.gather(*(put(shelf, write_of(version, trace_id)) for _ in range(6)))
    assert outcomes == [logged(version, trace_id)] * 6
    assert the_one(shelf, trace_id).value == "x"


async def test_versions_at_once_leave_the_assessment_readable(shelf: Shelf) -> None:
    """Who wins a race of edits is the store's to mend; here none fails, and there is one."""
    trace_id = shelf.new_trace()
    first = a_version(value=0)
    versions = [edit(first, n, value=n) for n in range(6)]
    outcomes = await asyncio.gather(*(put(shelf, write_of(v, trace_id)) for v in versions))
    assert {type(outcome) for outcome in outcomes} <= {Logged, Superseded}
    assert outcomes[-1] == logged(versions[-1], trace_id)
    assert the_one(shelf, trace_id).value in range(6)


async def test_what_mlflow_cannot_store_is_dead_and_its_text_is_not_told(real_shelf: RealShelf) -> None:
    """The contract refuses a NUL before; should one come, MLflow's own text would hold the comment."""
    trace_id = real_shelf.new_trace()
    bad, good = a_version(value=f"{SECRET}\x00", rationale=f"{SECRET}\x00"), a_version(value="good")
    outcomes = await real_shelf.sink.log([write_of(bad, trace_id), write_of(good, trace_id)], until=soon())
    assert isinstance(outcomes[0], Dead)
    assert outcomes[0].reason == "rejected"
    assert SECRET not in outcomes[0].detail
    assert outcomes[1] == logged(good, trace_id)
    assert the_one(real_shelf, trace_id).value == "good"


async def test_the_twin_refuses_what_it_is_told_to() -> None:
    shelf = MemoryShelf()
    shelf.memory.rejected_names.add("bad")
    assert isinstance(await put(shelf, write_of(a_version(name="bad"), shelf.new_trace())), Dead)


async def test_another_hand_wrote_the_same_id(real_shelf: RealShelf) -> None:
    """Without our marks nothing is known of its version, so ours is written."""
    trace_id = real_shelf.new_trace()
    version = a_version(value="ours")
    await real_shelf.sink.log(
        [Write(version=replace(version, value="theirs"), trace_id=trace_id, metadata={}, may_exist=False)],
        until=soon(),
    )
    assert await put(real_shelf, write_of(version, trace_id)) == logged(version, trace_id)
    seen = the_one(real_shelf, trace_id)
    assert seen.value == "ours"
    assert seen.metadata["feedback.event_id"] == str(version.event_id)


@pytest.mark.parametrize("op", ["create", "edit", "withdraw"])
async def test_what_comes_too_late_is_not_begun(shelf: Shelf, op: str) -> None:
    """Frozen since it was pinned: somebody else may have a newer version by now."""
    trace_id, version = shelf.new_trace(), a_version(value="old")
    if op != "create":
        await put(shelf, write_of(version, trace_id))
    late = edit(version, 1, op="withdraw", value=None) if op == "withdraw" else edit(version, 1, value="late")
    write = write_of(late, trace_id, may_exist=op == "edit")
    (outcome,) = await shelf.sink.log([write], until=time.monotonic())
    assert outcome == NotBegun()
    assert [seen.value for seen in shelf.seen(trace_id)] == ([] if op == "create" else ["old"])
