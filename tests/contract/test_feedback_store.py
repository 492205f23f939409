import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import permutations
from random import Random
from uuid import UUID, uuid4

import psycopg
import pytest
from support.samples import a_version, at
from support.stack import Stack, make_settings
from support.waiting import wait_until

from consumers.settings import Settings
from local.ports import free_port
from pipeline.adapters.postgres import Pool, apply_schema, make_pool
from pipeline.adapters.postgres_feedback import PostgresFeedback
from pipeline.memory import MemoryFeedback
from pipeline.outcomes import Dead, DependencyAwayError, Logged, Settled, Withdrawn
from pipeline.ports import PAST_KEPT, TOLD_BEFORE, Entry, FeedbackStore, Pin, Settlement, Standing, State
from pipeline.versions import Version

# The high bit of the first: a signed comparison would turn these two around.
LOW, HIGH = UUID("7fffffff-ffff-4fff-bfff-ffffffffffff"), UUID("80000000-0000-4000-8000-000000000000")
CLAIMERS = 8
LIFETIME = timedelta(minutes=1)


@pytest.fixture(params=["memory", "real"])
def store(request: pytest.FixtureRequest) -> FeedbackStore:
    if request.param == "memory":
        return MemoryFeedback()
    return PostgresFeedback(request.getfixturevalue("pool"))


def opened(
    version: Version,
    trace_id: str | None = None,
    written: UUID | None = None,
    past: Mapping[UUID, Settled] | None = None,
) -> Standing:
    return Standing(
        version=version, state="open", trace_id=trace_id, written_event=written, dead=None, past=past or {}
    )


def ended(version: Version, state: State, *, written: bool = False, dead: Dead | None = None) -> Settlement:
    return Settlement(
        version=version, state=state, written_event=version.event_id if written else None, dead=dead
    )


async def claim(store: FeedbackStore, version: Version) -> Standing:
    return (await store.claim([version]))[version.feedback_id]


async def read(store: FeedbackStore, version: Version) -> Standing:
    return (await store.read([version.feedback_id]))[version.feedback_id]


async def pin(store: FeedbackStore, version: Version, trace_id: str) -> dict[UUID, str]:
    return dict(await store.pin([Pin(version.feedback_id, version.event_id, trace_id)]))


def edit(version: Version, seconds: float, **fields: object) -> Version:
    return replace(version, event_id=uuid4(), submitted_at=at(seconds), **fields)  # type: ignore[arg-type]  # by name


async def test_a_claim_stands_open(store: FeedbackStore) -> None:
    version = a_version()
    assert await claim(store, version) == opened(version)
    assert await read(store, version) == opened(version)


async def test_what_is_entered_stands_as_logged_on_its_trace(store: FeedbackStore) -> None:
    version, other = a_version(), a_version(source_id="ben")
    assert set(await store.known([version.feedback_id, other.feedback_id])) == set()
    assert set(await store.enter([Entry(version, "tr-1")])) == set()
    assert set(await store.known([version.feedback_id, other.feedback_id])) == {version.feedback_id}
    standing = await read(store, version)
    assert standing == replace(opened(version, "tr-1", version.event_id), state="logged")
    assert await claim(store, version) == standing


@pytest.mark.parametrize(
    "fields",
    [
        {"client_request_id": "req-7", "trace_id": None},
        {"client_request_id": "req-7", "trace_id": "tr-1", "span_id": "s-1", "kind": "expectation"},
        {"client_request_id": None, "trace_id": "tr-1", "source_type": "CODE", "source_id": None},
    ],
)
async def test_the_row_of_what_was_entered_is_that_of_what_was_claimed(
    pool: Pool, fields: dict[str, object]
) -> None:
    store = PostgresFeedback(pool)
    entered, claimed = a_version(**fields, feedback_id=uuid4()), a_version(**fields, feedback_id=uuid4())
    await store.enter([Entry(entered, "tr-1")])
    await claim(store, claimed)
    await pin(store, claimed, "tr-1")
    await store.settle([ended(claimed, "logged", written=True)])
    rows = [await identity_row(pool, version) for version in (entered, claimed)]
    assert rows[0] == rows[1]


async def identity_row(pool: Pool, version: Version) -> tuple[object, ...]:
    """Give what a row says of its feedback, and the payload but for its ids."""
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT version, op, state, trace_id, written_event = event_id, settled_at IS NULL, reference, "
            "client_request_id, span_id, kind, name, source_type, source_id, "
            "payload::jsonb - 'feedback_id' - 'event_id' FROM feedback WHERE feedback_id = %s",
            [version.feedback_id],
        )
        (row,) = await cursor.fetchall()
    return tuple(row)


async def test_nothing_that_stands_is_entered_over(store: FeedbackStore) -> None:
    version = a_version()
    await claim(store, version)
    newer = edit(version, 60)
    new = a_version(source_id="ben")
    assert set(await store.enter([Entry(newer, "tr-1"), Entry(new, "tr-1")])) == {version.feedback_id}
    assert set(await store.enter([Entry(version, "tr-1")])) == {version.feedback_id}
    assert await read(store, version) == opened(version)


async def test_what_was_entered_is_overtaken_as_what_was_claimed(store: FeedbackStore) -> None:
    version = a_version()
    await store.enter([Entry(version, "tr-1")])
    newer = edit(version, 60)
    standing = await claim(store, newer)
    past = {version.event_id: Logged("tr-1", version.assessment_id)}
    assert standing == opened(newer, "tr-1", version.event_id, past)
    assert await pin(store, newer, "tr-2") == {version.feedback_id: "tr-1"}


async def test_of_many_who_enter_at_once_one_does(store: FeedbackStore) -> None:
    version = a_version()
    others = [a_version(source_id=f"person-{number}") for number in range(20)]
    entries = [Entry(one, "tr-1") for one in [version, *others]]
    there = await asyncio.gather(*(store.enter(entries[::step]) for step in (1, -1) * CLAIMERS))
    kept = [
        entry.version.feedback_id
        for keys in there
        for entry in entries
        if entry.version.feedback_id not in keys
    ]
    assert sorted(kept) == sorted(entry.version.feedback_id for entry in entries)


async def test_unknown_feedback_is_absent(store: FeedbackStore) -> None:
    assert await store.read([uuid4()]) == {}
    assert await store.read([]) == {}


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_the_newest_claim_stands_in_every_order(store: FeedbackStore, order: tuple[int, ...]) -> None:
    first = a_version(value="first")
    versions = [first, edit(first, 0.000001, value="second"), edit(first, 0.000002, value="third")]
    told = [await claim(store, versions[index]) for index in order]
    assert told[-1] == opened(versions[2])
    for position, standing in enumerate(told):
        assert standing.version == versions[max(order[: position + 1])]


@pytest.mark.parametrize("first", [LOW, HIGH])
async def test_of_the_same_time_the_greater_event_id_stands(store: FeedbackStore, first: UUID) -> None:
    version = a_version(event_id=first)
    other = replace(version, event_id=HIGH if first == LOW else LOW)
    await claim(store, version)
    assert (await claim(store, other)).version.event_id == HIGH


async def test_event_ids_are_ordered_as_python_orders_them(store: FeedbackStore) -> None:
    random = Random(7)
    for _ in range(40):
        one, two = UUID(int=random.getrandbits(128)), UUID(int=random.getrandbits(128))
        version = a_version(event_id=one)
        await claim(store, version)
        assert (await claim(store, replace(version, event_id=two))).version.event_id == max(one, two)


async def test_the_same_moment_in_another_zone_is_the_same_version(store: FeedbackStore) -> None:
    version = a_version(submitted_at=at(0.5))
    await claim(store, version)
    abroad = replace(version, submitted_at=at(0.5).astimezone(timezone(timedelta(hours=5, minutes=30))))
    assert (await claim(store, abroad)).order == version.order
    assert list(await store.settle([ended(abroad, "logged", written=True)])) == []


async def test_a_settled_one_that_is_claimed_again_keeps_its_state_and_reason(store: FeedbackStore) -> None:
    logged, withdrawn, dead = a_version(), a_version(op="withdraw"), a_version()
    reason = Dead("rejected", 'MLflow refused it: "quote" \'n ü')
    await store.claim([logged, withdrawn, dead])
    await store.pin([Pin(logged.feedback_id, logged.event_id, "tr-1")])
    settlements = [
        ended(logged, "logged", written=True),
        ended(withdrawn, "withdrawn"),
        ended(dead, "dead", dead=reason),
    ]
    assert list(await store.settle(settlements)) == []
    again = await store.claim([logged, withdrawn, dead])
    assert again == {
        logged.feedback_id: Standing(
            version=logged,
            state="logged",
            trace_id="tr-1",
            written_event=logged.event_id,
            dead=None,
        ),
        withdrawn.feedback_id: Standing(
            version=withdrawn, state="withdrawn", trace_id=None, written_event=None, dead=None
        ),
        dead.feedback_id: Standing(
            version=dead, state="dead", trace_id=None, written_event=None, dead=reason
        ),
    }


async def test_a_newer_claim_opens_a_settled_one_and_keeps_trace_and_write(store: FeedbackStore) -> None:
    version = a_version()
    await claim(store, version)
    await pin(store, version, "tr-1")
    await store.settle([ended(version, "logged", written=True)])
    newer = edit(version, 1)
    past = {version.event_id: Logged("tr-1", version.assessment_id)}
    assert await claim(store, newer) == opened(newer, "tr-1", version.event_id, past)


async def test_a_newer_claim_forgets_why_the_old_one_was_dead(store: FeedbackStore) -> None:
    version = a_version()
    await claim(store, version)
    await store.settle([ended(version, "dead", dead=Dead("rejected", "so"))])
    newer = edit(version, 1)
    past = {version.event_id: Dead("rejected", TOLD_BEFORE)}
    assert await claim(store, newer) == opened(newer, past=past)


async def test_how_older_versions_ended_is_told_as_long_as_they_may_come_again(store: FeedbackStore) -> None:
    versions = [a_version()]
    versions += [edit(versions[0], second, op="withdraw") for second in (1, 2)]
    versions += [edit(versions[0], second) for second in (3, 4)]
    told: list[Settled] = [
        Logged("tr-1", versions[0].assessment_id),
        Withdrawn("tr-1", versions[0].assessment_id),
        Dead("rejected", TOLD_BEFORE),
    ]
    states: tuple[State, ...] = ("logged", "withdrawn", "dead", "open")
    for version, state in zip(versions, states, strict=False):
        await claim(store, version)
        await pin(store, version, "tr-1")
        if state != "open":
            dead = Dead("rejected", "so") if state == "dead" else None
            await store.settle([ended(version, state, dead=dead)])
    newest = await claim(store, versions[4])
    assert newest.past == {version.event_id: end for version, end in zip(versions, told, strict=False)}


async def test_past_versions_are_kept_up_to_a_bound(store: FeedbackStore) -> None:
    version = a_version()
    versions = [edit(version, second) for second in range(40)]
    for each in versions:
        await claim(store, each)
        await store.settle([ended(each, "logged", written=True)])
    past = (await read(store, version)).past
    assert list(past) == [each.event_id for each in versions[:-1]][-len(past) :]
    assert len(past) == PAST_KEPT


# Late writes


async def test_overtaking_a_write_that_is_under_way_tells_until_when_it_may_arrive(
    store: FeedbackStore,
) -> None:
    version = a_version()
    await claim(store, version)
    await pin(store, version, "tr-1")
    begun = datetime.now(UTC)
    late = (await claim(store, edit(version, 1))).late_until
    assert late is not None
    assert abs(late - begun - LIFETIME) < timedelta(seconds=5)
    # Whoever overtakes next has to look as well.
    assert (await claim(store, edit(version, 2))).late_until == late


@pytest.mark.parametrize("state", ["logged", "withdrawn"])
async def test_what_was_settled_by_its_only_writer_cannot_arrive_late(
    store: FeedbackStore, state: State
) -> None:
    version = a_version()
    for second in (0, 1):
        edited = edit(version, second)
        await claim(store, edited)
        await pin(store, edited, "tr-1")
        await store.settle([ended(edited, state, written=state == "logged")])
    assert (await claim(store, edit(version, 2))).late_until is None


async def test_a_version_that_was_never_pinned_cannot_arrive_late(store: FeedbackStore) -> None:
    version = a_version()
    await claim(store, version)
    assert (await claim(store, edit(version, 1))).late_until is None


async def test_of_two_writers_the_one_that_did_not_settle_may_be_late(store: FeedbackStore) -> None:
    version = a_version()
    await claim(store, version)
    await pin(store, version, "tr-1")
    await pin(store, version, "tr-1")
    await store.settle([ended(version, "logged", written=True)])
    assert (await claim(store, edit(version, 1))).late_until is not None


async def test_a_write_that_had_no_answer_may_be_late_though_it_is_settled(store: FeedbackStore) -> None:
    version = a_version()
    await claim(store, version)
    await pin(store, version, "tr-1")
    await store.settle([replace(ended(version, "logged", written=True), is_certain=False)])
    assert (await claim(store, edit(version, 1))).late_until is not None


async def test_the_end_of_an_overtaken_version_leaves_the_newer_one_s_write_under_way(
    store: FeedbackStore,
) -> None:
    version = a_version()
    newer = edit(version, 1)
    await claim(store, version)
    await claim(store, newer)
    await pin(store, newer, "tr-1")
    await store.settle([ended(version, "logged", written=True)])
    assert (await claim(store, edit(version, 2))).late_until is not None


async def test_an_older_claim_changes_nothing(store: FeedbackStore) -> None:
    version = a_version(submitted_at=at(5))
    await claim(store, version)
    await pin(store, version, "tr-1")
    await store.settle([ended(version, "logged", written=True)])
    before = await read(store, version)
    assert await claim(store, edit(version, 4, value=False)) == before


async def test_the_first_pin_is_for_good(store: FeedbackStore) -> None:
    version = a_version()
    await claim(store, version)
    assert await pin(store, version, "tr-1") == {version.feedback_id: "tr-1"}
    assert await pin(store, version, "tr-2") == {version.feedback_id: "tr-1"}
    newer = edit(version, 1)
    await claim(store, newer)
    assert await pin(store, newer, "tr-3") == {version.feedback_id: "tr-1"}


async def test_the_pin_of_an_overtaken_version_is_absent_and_pins_nothing(store: FeedbackStore) -> None:
    version, other = a_version(), a_version()
    newer = edit(version, 1)
    await store.claim([version, other])
    await claim(store, newer)
    pins = [Pin(v.feedback_id, v.event_id, "tr-1") for v in (version, other)]
    assert await store.pin(pins) == {other.feedback_id: "tr-1"}
    assert (await read(store, newer)).trace_id is None


async def test_a_pin_without_a_claim_is_absent(store: FeedbackStore) -> None:
    assert await pin(store, a_version(), "tr-1") == {}


async def test_settle_gives_those_that_were_overtaken_and_leaves_them_alone(store: FeedbackStore) -> None:
    version, other, never_claimed = a_version(), a_version(), a_version()
    newer = edit(version, 1)
    await store.claim([version, other])
    await claim(store, newer)
    overtaken = await store.settle(
        [ended(each, "logged", written=True) for each in (version, other, never_claimed)]
    )
    assert set(overtaken) == {version.feedback_id, never_claimed.feedback_id}
    assert await read(store, newer) == opened(newer)
    assert (await read(store, other)).state == "logged"


async def test_settling_twice_is_as_good_as_once(store: FeedbackStore) -> None:
    version = a_version()
    await claim(store, version)
    for _ in range(2):
        assert list(await store.settle([ended(version, "logged", written=True)])) == []
    assert (await read(store, version)).written_event == version.event_id


async def test_the_same_event_with_another_time_is_another_version(store: FeedbackStore) -> None:
    version = a_version()
    await claim(store, version)
    twin = replace(version, submitted_at=at(1))
    assert list(await store.settle([ended(twin, "logged", written=True)])) == [version.feedback_id]


async def test_an_unresolved_one_of_which_nothing_was_written_loses_its_pin(store: FeedbackStore) -> None:
    version = a_version()
    await claim(store, version)
    await pin(store, version, "tr-1")
    await store.settle([ended(version, "dead", dead=Dead("unresolved", "gone"))])
    assert (await read(store, version)).trace_id is None
    newer = edit(version, 1)
    await claim(store, newer)
    assert await pin(store, newer, "tr-2") == {version.feedback_id: "tr-2"}


async def test_a_rejected_one_keeps_its_pin_as_an_older_version_may_have_been_written(
    store: FeedbackStore,
) -> None:
    version = a_version()
    await claim(store, version)
    await pin(store, version, "tr-1")
    newer = edit(version, 1)
    await claim(store, newer)
    await store.settle([ended(newer, "dead", dead=Dead("rejected", "no"))])
    assert (await read(store, newer)).trace_id == "tr-1"


async def test_a_dead_one_of_which_something_was_written_keeps_its_pin(store: FeedbackStore) -> None:
    version = a_version()
    await claim(store, version)
    await pin(store, version, "tr-1")
    await store.settle([ended(version, "logged", written=True)])
    newer = edit(version, 1)
    await claim(store, newer)
    dead = Dead("rejected", "no")
    settlement = Settlement(version=newer, state="dead", written_event=version.event_id, dead=dead)
    await store.settle([settlement])
    assert await read(store, newer) == Standing(
        version=newer,
        state="dead",
        trace_id="tr-1",
        written_event=version.event_id,
        dead=dead,
        past={version.event_id: Logged("tr-1", version.assessment_id)},
    )


async def test_a_withdrawn_one_stays_as_a_tombstone(store: FeedbackStore) -> None:
    version = a_version()
    await claim(store, version)
    await pin(store, version, "tr-1")
    await store.settle([ended(version, "logged", written=True)])
    gone = edit(version, 2, op="withdraw", value=None)
    await claim(store, gone)
    await store.settle([ended(gone, "withdrawn")])
    tombstone = Standing(
        version=gone,
        state="withdrawn",
        trace_id="tr-1",
        written_event=None,
        dead=None,
        past={version.event_id: Logged("tr-1", version.assessment_id)},
    )
    assert await claim(store, edit(version, 1)) == tombstone
    assert await claim(store, version) == tombstone


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        0,
        1,
        -1,
        2**53,
        -(2**53),
        0.0,
        1.0,
        0.1,
        1e300,
        5e-324,
        "",
        "true",
        "1",
        "Zoë 🐝 'q' \"d\" \\ \u2028 \n",
        [],
        {},
        [1, 1.0, True, "x"],
        {"z": 1, "a": False, "ü": "ö", "": 0.5},
        {"deep": [{"er": [None, {"est": True}]}]},
    ],
    ids=repr,
)
async def test_a_value_comes_back_as_it_was_with_its_type(store: FeedbackStore, value: object) -> None:
    version = a_version(value=value, kind="expectation")
    await claim(store, version)
    found = (await read(store, version)).version
    assert found == version
    assert json.dumps(found.value) == json.dumps(value)


async def test_everything_else_of_a_version_comes_back(store: FeedbackStore) -> None:
    version = a_version(
        submitted_at=datetime.fromisoformat("2026-01-31T23:59:59.999999+05:30"),
        client_request_id=None,
        trace_id="tr-9",
        span_id="span-1",
        name='Zoë\'s "name"',
        rationale="weil 🐝\n\t'\"\\",
        source_type="LLM_JUDGE",
        source_id=None,
        metadata={"k\"'": "v\\", "ü": ""},
    )
    await claim(store, version)
    found = (await read(store, version)).version
    assert found == version
    assert found.submitted_at.microsecond == 999999


async def test_a_large_batch_claims_pins_and_settles(store: FeedbackStore) -> None:
    versions = [a_version(value=n) for n in range(3000)]
    assert await store.claim(versions) == {v.feedback_id: opened(v) for v in versions}
    pins = [Pin(v.feedback_id, v.event_id, f"tr-{n}") for n, v in enumerate(versions)]
    assert await store.pin(pins) == {v.feedback_id: f"tr-{n}" for n, v in enumerate(versions)}
    assert list(await store.settle([ended(v, "logged", written=True) for v in versions])) == []
    assert {s.state for s in (await store.read([v.feedback_id for v in versions])).values()} == {"logged"}


async def test_many_claimers_of_the_same_feedback_do_not_deadlock_and_the_newest_stands(
    world: Settings, pool: Pool
) -> None:
    """Real only: the twin has no concurrency of its own."""
    firsts = [a_version(value=0) for _ in range(400)]
    rounds = [[edit(first, n, value=n) for first in firsts] for n in range(CLAIMERS)]
    pools = [
        make_pool(world.database_url.get_secret_value(), world.database_schema, size=1)
        for _ in range(CLAIMERS)
    ]
    for each in pools:
        await each.open()
    try:
        await asyncio.gather(*(_race(each, n, rounds[n]) for n, each in enumerate(pools)))
    finally:
        for each in pools:
            await each.close()
    standings = await PostgresFeedback(pool).read([first.feedback_id for first in firsts])
    found = [(standing.version, standing.state, standing.written_event) for standing in standings.values()]
    assert sorted(found, key=_by_event) == sorted(
        ((version, "logged", version.event_id) for version in rounds[-1]), key=_by_event
    )
    assert all(standing.trace_id for standing in standings.values())


def _by_event(found: tuple[Version, object, object]) -> UUID:
    return found[0].event_id


async def _race(pool: Pool, number: int, versions: list[Version]) -> None:
    store = PostgresFeedback(pool)
    mine = versions if number % 2 else list(reversed(versions))
    for _ in range(3):
        await store.claim(mine)
        await store.pin([Pin(v.feedback_id, v.event_id, f"tr-{number}") for v in mine])
        await store.settle([ended(v, "logged", written=True) for v in mine])


@pytest.mark.parametrize("call", ["claim", "pin", "settle"])
async def test_two_who_meet_in_the_middle_do_not_deadlock(world: Settings, pool: Pool, call: str) -> None:
    """One goes up, one goes down, stopped half-way: unsorted, each would hold what the other needs."""
    firsts = sorted((a_version() for _ in range(20)), key=lambda version: version.feedback_id)
    await PostgresFeedback(pool).claim(firsts)
    url, schema = world.database_url.get_secret_value(), world.database_schema
    pools = [make_pool(url, schema, size=1) for _ in range(2)]
    await asyncio.gather(*(each.open(wait=True) for each in pools))
    try:
        async with await psycopg.AsyncConnection.connect(url, options=f"-c search_path={schema}") as blocker:
            await blocker.execute(
                "SELECT 1 FROM feedback WHERE feedback_id = %s FOR UPDATE", [firsts[10].feedback_id]
            )
            both = asyncio.gather(
                _call(PostgresFeedback(pools[0]), call, firsts),
                _call(PostgresFeedback(pools[1]), call, firsts[::-1]),
            )
            await wait_until(lambda: _both_wait(pool, schema), seconds=10, what="both are stopped half-way")
            await blocker.rollback()
            await both
    finally:
        await asyncio.gather(*(each.close() for each in pools))


async def _call(store: PostgresFeedback, call: str, versions: list[Version]) -> None:
    match call:
        case "claim":
            await store.claim([edit(version, 1) for version in versions])
        case "pin":
            await store.pin([Pin(v.feedback_id, v.event_id, "tr-1") for v in versions])
        case _:
            await store.settle([ended(v, "logged", written=True) for v in versions])


async def _both_wait(pool: Pool, schema: str) -> bool:
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT count(DISTINCT pid) FROM pg_locks waiting JOIN pg_locks held USING (pid)"
            " WHERE NOT waiting.granted AND held.relation = %s::regclass AND held.mode = ANY(%s)",
            [f"{schema}.feedback", ["RowExclusiveLock", "RowShareLock"]],
        )
        row = await cursor.fetchone()
    return row is not None and row[0] >= 2


async def test_eight_starters_may_apply_the_schema_to_an_empty_database_at_once(stack: Stack) -> None:
    settings = make_settings(stack)
    url, schema = settings.database_url.get_secret_value(), settings.database_schema
    pools = [make_pool(url, schema, size=1) for _ in range(8)]
    try:
        await asyncio.gather(*(pool.open() for pool in pools))
        await asyncio.gather(*(apply_schema(pool, schema) for pool in pools))
        version = a_version()
        assert (await PostgresFeedback(pools[-1]).claim([version]))[version.feedback_id] == opened(version)
    finally:
        await asyncio.gather(*(pool.close() for pool in pools))


async def test_postgres_that_gives_no_answer_is_away() -> None:
    secret = "a-pass-word"  # noqa: S105 - so that it can be looked for
    pool = make_pool(f"postgresql://u:{secret}@127.0.0.1:{free_port()}/none", "x", size=1)
    await pool.open()
    try:
        # The pool asks for its own time; a test has less.
        pool.timeout = 0.3
        with pytest.raises(DependencyAwayError) as caught:
            await PostgresFeedback(pool).read([uuid4()])
    finally:
        await pool.close()
    assert caught.value.dependency == "postgres"
    assert secret not in str(caught.value)


async def test_a_connection_that_the_server_ends_is_away_and_the_next_call_works(world: Settings) -> None:
    pool = make_pool(world.database_url.get_secret_value(), world.database_schema, size=1)
    await pool.open()
    store = PostgresFeedback(pool)
    version = a_version()
    await store.claim([version])
    try:
        async with pool.connection() as conn:
            pid = conn.info.backend_pid
        await _terminate(world, pid)
        with pytest.raises(DependencyAwayError):
            await store.read([version.feedback_id])
        assert await read(store, version) == opened(version)
    finally:
        await pool.close()


async def test_a_server_that_only_reads_is_away(world: Settings) -> None:
    """After a fail-over the old primary may be a standby: nothing is wrong with the record."""
    pool = make_pool(world.database_url.get_secret_value(), world.database_schema, size=1)
    await pool.open()
    try:
        async with pool.connection() as conn:
            await conn.execute("SET default_transaction_read_only = on")
        store, version = PostgresFeedback(pool), a_version()
        with pytest.raises(DependencyAwayError):
            await store.claim([version])
        assert await claim(store, version) == opened(version)
    finally:
        await pool.close()


async def test_an_error_of_our_own_is_not_taken_for_an_absence(stack: Stack) -> None:
    settings = make_settings(stack)
    pool = make_pool(settings.database_url.get_secret_value(), settings.database_schema, size=1)
    await pool.open()
    try:
        with pytest.raises(psycopg.errors.UndefinedTable):
            await PostgresFeedback(pool).claim([a_version()])
    finally:
        await pool.close()


async def _terminate(world: Settings, pid: int) -> None:
    url = world.database_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        await conn.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


@pytest.mark.parametrize("state", ["logged", "withdrawn"])
async def test_what_one_has_written_is_not_undone_by_another_who_found_nothing(
    store: FeedbackStore, state: State
) -> None:
    """Two copies of one record: the one in its last attempt, the other with the chat that has just come."""
    version = a_version()
    await claim(store, version)
    await pin(store, version, "tr-1")
    await store.settle([ended(version, state, written=state == "logged")])
    before = await read(store, version)
    dead = ended(version, "dead", dead=Dead("unresolved", "no trace"))
    assert list(await store.settle([dead])) == [version.feedback_id]
    assert list(await store.settle([ended(version, "open")])) == [version.feedback_id]
    assert await read(store, version) == before


async def test_what_was_found_after_all_counts_more_than_what_was_not(store: FeedbackStore) -> None:
    version = a_version()
    await claim(store, version)
    await store.settle([ended(version, "dead", dead=Dead("unresolved", "no trace"))])
    assert list(await store.settle([ended(version, "logged", written=True)])) == []
    assert (await read(store, version)).state == "logged"


async def test_a_trace_that_is_not_in_mlflow_is_let_go_while_nothing_was_written(
    store: FeedbackStore,
) -> None:
    version = a_version()
    await claim(store, version)
    await pin(store, version, "tr-gone")
    assert list(await store.settle([ended(version, "open")])) == []
    assert await read(store, version) == opened(version)
    assert await pin(store, version, "tr-2") == {version.feedback_id: "tr-2"}
    assert (await claim(store, edit(version, 1))).late_until is not None  # the second is under way
