from dataclasses import replace
from datetime import timedelta, timezone
from typing import get_args
from uuid import UUID, uuid4

import pytest
from support.pipeline import LateTraces
from support.samples import (
    NOON,
    SECRET,
    Json,
    a_chat,
    a_draft,
    a_record,
    a_version,
    at,
    completed,
    feedback_id_of,
    records_of,
    submitted,
    withdrawn,
)

from contracts.events import FeedbackEvent, FeedbackSubmitted, FeedbackWithdrawn, Segment
from contracts.parse import FEEDBACK_EVENTS, validate_document
from pipeline.chat import merge
from pipeline.chat_pipeline import decode_chats
from pipeline.claim import judge, newest
from pipeline.decode import Decoded, decode
from pipeline.join import join
from pipeline.log import assessment_metadata, write_of
from pipeline.memory import MemoryChats
from pipeline.outcomes import Dead, Logged, Retry, RetryReason, Settled, Superseded, Withdrawn
from pipeline.ports import DeadLetter, Settlement, Standing, State
from pipeline.resolve import Work, resolve
from pipeline.settle import dead_letters_of, receipt_of, settlement_of, unresolved
from pipeline.versions import Version, versions_of

LOW, HIGH = UUID("7fffffff-ffff-4fff-bfff-ffffffffffff"), UUID("80000000-0000-4000-8000-000000000000")


def event_of(document: Json) -> FeedbackEvent:
    event = validate_document(document, FEEDBACK_EVENTS)
    assert isinstance(event, FeedbackSubmitted | FeedbackWithdrawn)
    return event


def standing_of(version: Version, state: State = "open", dead: Dead | None = None) -> Standing:
    return Standing(version=version, state=state, trace_id="tr-1", written_event=None, dead=dead)


# versions


def test_a_version_for_each_assessment_with_all_that_the_event_says() -> None:
    document = submitted(
        trace_id="tr-9",
        span_id="s-1",
        feedback_id="answer-1",
        metadata={"a": "b"},
        assessments=[
            {"name": "helpful", "value": 1, "rationale": "so"},
            {"name": "helpful", "kind": "expectation", "value": {"a": None}},
        ],
    )
    one, two = versions_of(event_of(document))
    assert one == Version(
        feedback_id=feedback_id_of(document),
        event_id=UUID(document["event_id"]),
        submitted_at=NOON,
        op="log",
        client_request_id="req-1",
        trace_id="tr-9",
        span_id="s-1",
        kind="feedback",
        name="helpful",
        value=1,
        rationale="so",
        source_type="HUMAN",
        source_id="anna",
        metadata={"a": "b"},
    )
    assert (two.kind, two.value, two.rationale) == ("expectation", {"a": None}, None)
    assert two.feedback_id == feedback_id_of(document, kind="expectation") != one.feedback_id
    assert one.reference == "req-1"
    assert one.assessment_id == f"a-{one.feedback_id.hex}"
    assert one.order == (NOON, one.event_id)


def test_a_withdrawal_is_a_version_of_the_same_feedback() -> None:
    (logged,) = versions_of(event_of(submitted()))
    taken, other = versions_of(
        event_of(withdrawn(names=["helpful", {"name": "helpful", "kind": "expectation"}]))
    )
    assert taken.feedback_id == logged.feedback_id != other.feedback_id
    assert (taken.op, taken.value, taken.rationale, taken.metadata) == ("withdraw", None, None, None)


def test_a_version_by_trace_alone_has_the_trace_as_reference() -> None:
    document = submitted(client_request_id=None, trace_id="4BF92F3577B34DA6A3CE929D0E0E4736")
    (version,) = versions_of(event_of(document))
    assert version.reference == "tr-4bf92f3577b34da6a3ce929d0e0e4736"


# decode


def test_decode_takes_records_one_by_one() -> None:
    good, taken = submitted(), withdrawn()
    records = records_of([good, b"{", taken, completed(), {"type": "Other", "comment": SECRET}])
    decoded, letters = decode(records)
    assert [item.record.offset for item in decoded] == [0, 2]
    assert [item.versions[0].op for item in decoded] == ["log", "withdraw"]
    assert [letter.record.offset for letter in letters] == [1, 3, 4]
    assert {letter.dead.reason for letter in letters} == {"undecodable"}
    assert all(SECRET not in letter.dead.detail for letter in letters)


def test_a_clock_in_the_future_is_judged_by_the_record_s_own_time() -> None:
    early = a_record(submitted(submitted_at=at(600).isoformat()), timestamp=int(NOON.timestamp() * 1000))
    late = replace(early, value=early.value, timestamp=int(at(-1).timestamp() * 1000))
    decoded, letters = decode([early, late])
    assert [item.record for item in decoded] == [early]
    assert [letter.record for letter in letters] == [late]
    assert "submitted_at" in letters[0].dead.detail


# claim


def test_newest_takes_one_of_each_feedback() -> None:
    first = a_version()
    edited = replace(first, event_id=uuid4(), submitted_at=at(1))
    low, high = a_version(event_id=LOW), a_version(event_id=HIGH)
    high = replace(high, feedback_id=low.feedback_id)
    for versions in ([first, edited, low, high], [high, low, edited, first], [edited, edited, high, high]):
        assert newest(versions) == {first.feedback_id: edited, low.feedback_id: high}
    assert newest([]) == {}


def test_newest_compares_moments_not_zones() -> None:
    first = a_version(submitted_at=at(0).astimezone(timezone(timedelta(hours=9))))
    edited = replace(first, event_id=uuid4(), submitted_at=at(1).astimezone(timezone(timedelta(hours=-9))))
    assert newest([edited, first]) == {first.feedback_id: edited}


@pytest.mark.parametrize(
    ("standing", "outcome"),
    [
        (standing_of(a_version()), None),
        (standing_of(a_version(), "logged"), "logged"),
        (standing_of(a_version(), "withdrawn"), "withdrawn"),
        (standing_of(a_version(), "dead", Dead("rejected", "so")), Dead("rejected", "so")),
        (standing_of(a_version(), "dead"), Dead("unresolved", "")),
    ],
    ids=["open", "logged", "withdrawn", "dead", "dead without a reason"],
)
def test_judge_gives_a_settled_version_its_outcome_again(standing: Standing, outcome: object) -> None:
    version = standing.version
    if outcome == "logged":
        outcome = Logged("tr-1", version.assessment_id)
    if outcome == "withdrawn":
        outcome = Withdrawn("tr-1", version.assessment_id)
    assert judge(version, standing) == outcome


@pytest.mark.parametrize("state", get_args(State))
def test_judge_finds_an_overtaken_version_superseded_whatever_became_of_the_newer(state: State) -> None:
    version = a_version()
    later = replace(version, submitted_at=at(1))
    tie = replace(version, event_id=UUID(int=2**128 - 1))
    assert judge(version, standing_of(later, state)) == Superseded()
    assert judge(version, standing_of(tie, state)) == Superseded()


# chats


def test_merge_does_not_mind_the_order() -> None:
    old = a_chat(trace_id="tr-old", region="old", event_id=HIGH, completed_at=at(0))
    new = a_chat(trace_id=None, region="new", event_id=LOW, completed_at=at(1))
    assert merge(old, new) == merge(new, old) == replace(new, trace_id="tr-old")
    tie = replace(old, event_id=LOW, trace_id="tr-low")
    assert merge(old, tie) == merge(tie, old) == old


def test_merge_of_the_same_event_adds_a_trace_and_changes_none() -> None:
    told = a_chat(trace_id=None)
    found = replace(told, trace_id="tr-1")
    assert merge(told, found) == merge(found, told) == found
    assert merge(found, replace(told, trace_id="tr-2")) == found


def test_decode_chats_gives_each_request_once() -> None:
    records = records_of(
        [
            completed(region="new", completed_at=at(1).isoformat(), trace_id=None),
            completed(region="old", tags={"a": "1"}),
            b"?",
            submitted(),
            completed(client_request_id="req-2", user_id="u"),
        ]
    )
    chats, letters = decode_chats(records)
    assert [(c.client_request_id, c.trace_id, c.segment.region, c.segment.user_id) for c in chats] == [
        ("req-1", "tr-1", "new", None),
        ("req-2", "tr-1", None, "u"),
    ]
    assert [letter.record.offset for letter in letters] == [2, 3]


# join


async def test_join_by_request_first_and_by_trace_where_that_is_all() -> None:
    index = MemoryChats()
    by_request, by_trace = a_chat("req-1", None), a_chat("req-2", "tr-2")
    await index.upsert([by_request, by_trace])
    one = a_version(client_request_id="req-1")
    two = a_version(client_request_id=None, trace_id="tr-2")
    none = a_version(client_request_id="req-9", trace_id="tr-9")
    lost = a_version(client_request_id=None, trace_id="tr-3")
    assert await join([one, two, none, lost], index) == {
        one.feedback_id: by_request,
        two.feedback_id: by_trace,
    }
    assert await join([], index) == {}


# resolve


def work_of(version: Version, *, pinned: str | None = None, chat: str | None = None) -> Work:
    standing = replace(standing_of(version), trace_id=pinned)
    return Work(version, standing, a_chat("req-1", chat) if chat else None)


@pytest.mark.parametrize(
    ("pinned", "own", "chat", "trace_id"),
    [
        ("tr-pin", "tr-own", "tr-chat", "tr-pin"),
        (None, "tr-own", "tr-chat", "tr-own"),
        (None, None, "tr-chat", "tr-chat"),
        (None, None, None, None),
    ],
)
def test_which_trace_counts(
    pinned: str | None, own: str | None, chat: str | None, trace_id: str | None
) -> None:
    assert work_of(a_version(trace_id=own), pinned=pinned, chat=chat).trace_id == trace_id


async def test_resolve_searches_only_for_what_has_no_trace_each_request_once() -> None:
    asked: list[set[str]] = []

    class Watched(LateTraces):
        async def search(self, request_ids, *, since):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - as its base
            asked.append(set(request_ids))
            return await super().search(request_ids, since=since)

    traces, index = Watched({"req-2": a_chat("req-2", "tr-2")}, after=0), MemoryChats()
    work = [
        work_of(a_version(), pinned="tr-pin"),
        work_of(a_version(trace_id="tr-own")),
        work_of(a_version(client_request_id="req-2")),
        work_of(a_version(client_request_id="req-2")),
        work_of(a_version(client_request_id="req-3")),
    ]
    resolved = await resolve(work, traces, index, since=NOON)
    assert asked == [{"req-2", "req-3"}]
    assert [item.trace_id for item in resolved] == ["tr-pin", "tr-own", "tr-2", "tr-2", None]
    assert [item.version for item in resolved] == [item.version for item in work]
    assert list(index.chats) == ["req-2"]
    assert await resolve(work[:2], traces, index, since=None) == work[:2]
    assert len(asked) == 1


async def test_resolve_keeps_what_the_chat_event_said() -> None:
    index, told = MemoryChats(), a_chat("req-1", None, region="eu", tags={"a": "1"})
    await index.upsert([told])
    version = a_version()
    work = [Work(version, replace(standing_of(version), trace_id=None), told)]
    found = a_chat("req-1", "tr-1", region="us", completed_at=at(5))
    (resolved,) = await resolve(work, LateTraces({"req-1": found}, after=0), index, since=None)
    assert resolved.chat == index.chats["req-1"] == replace(told, trace_id="tr-1")


# log


def test_the_metadata_of_an_assessment() -> None:
    version = a_version(metadata={"page": "3", "environment": "a client's own", "region": "kept"})
    segment = Segment(session_id="s", environment="prod")
    assert assessment_metadata(version, segment) == {
        "page": "3",
        "session_id": "s",
        "environment": "prod",
        "region": "kept",
        "feedback.event_id": str(version.event_id),
        "feedback.version": "2026-01-31T12:00:00+00:00",
        "feedback.client_request_id": "req-1",
    }
    assert version.metadata == {"page": "3", "environment": "a client's own", "region": "kept"}


def test_the_metadata_without_chat_and_request() -> None:
    version = a_version(client_request_id=None, trace_id="tr-1", submitted_at=at(0.25))
    assert assessment_metadata(version, None) == {
        "feedback.event_id": str(version.event_id),
        "feedback.version": "2026-01-31T12:00:00.250000+00:00",
    }
    assert "mlflow.trace.session" not in assessment_metadata(version, Segment(session_id="s"))


def test_a_write_may_exist_once_something_was_written() -> None:
    version = a_version()
    assert not write_of(a_draft(version), "tr-1").may_exist
    assert write_of(a_draft(version, written=uuid4()), "tr-1").may_exist


# settle


@pytest.mark.parametrize(
    ("outcome", "state", "written"),
    [
        (Logged("tr-1", "a-1"), "logged", "its own"),
        (Withdrawn("tr-1", "a-1"), "withdrawn", None),
        (Dead("rejected", "so"), "dead", "the former"),
    ],
)
def test_what_is_kept_of_an_outcome(outcome: Settled, state: State, written: str | None) -> None:
    version, former = a_version(), uuid4()
    events = {"its own": version.event_id, "the former": former, None: None}
    dead = outcome if isinstance(outcome, Dead) else None
    assert settlement_of(version, outcome, former) == Settlement(
        version=version, state=state, written_event=events[written], dead=dead, is_certain=dead is None
    )


def test_nothing_is_kept_of_a_superseded_one() -> None:
    assert settlement_of(a_version(), Superseded(), uuid4()) is None


@pytest.mark.parametrize(
    ("outcome", "name", "reason", "trace_id", "has_assessment"),
    [
        (Logged("tr-1", "a-1"), "logged", None, "tr-1", True),
        (Withdrawn("tr-1", "a-1"), "withdrawn", None, "tr-1", True),
        (Withdrawn(None, "a-1"), "withdrawn", None, "tr-own", False),
        (Superseded(), "superseded", None, "tr-own", False),
        (Dead("rejected", SECRET), "dead-lettered", "rejected", "tr-own", False),
    ],
)
def test_the_receipt_of_each_outcome(
    outcome: Settled, name: str, reason: str | None, trace_id: str, *, has_assessment: bool
) -> None:
    version = a_version(trace_id="tr-own", rationale=SECRET)
    receipt = receipt_of(version, outcome, Segment(region="eu"), now=at(9), attempts=4).event()
    assert (receipt.outcome, receipt.reason, receipt.trace_id) == (name, reason, trace_id)
    assert receipt.assessment_id == (version.assessment_id if has_assessment else None)
    assert (receipt.logged_at, receipt.attempts, receipt.region) == (at(9), 4, "eu")
    assert SECRET not in receipt.model_dump_json()


def test_receipts_differ_by_event_feedback_and_outcome_and_by_nothing_else() -> None:
    version = a_version()

    def receipt(version: Version, outcome: Settled, attempts: int = 1) -> UUID:
        return receipt_of(version, outcome, None, now=at(attempts), attempts=attempts).event().receipt_id

    same = receipt(version, Superseded())
    assert receipt(version, Superseded(), attempts=3) == same
    others = [
        receipt(version, Logged("tr-1", "a-1")),
        receipt(replace(version, event_id=uuid4()), Superseded()),
        receipt(replace(version, feedback_id=uuid4()), Superseded()),
    ]
    assert len({same, *others}) == 4


@pytest.mark.parametrize("reason", get_args(RetryReason))
def test_what_is_unresolved_says_what_a_person_can_do(reason: RetryReason) -> None:
    dead = unresolved(Retry(reason), a_version(value=SECRET, rationale=SECRET))
    assert dead.reason == "unresolved"
    assert "check that the chat service" in dead.detail
    assert SECRET not in dead.detail


def test_a_dead_letter_for_each_record_with_something_dead() -> None:
    fine, half, gone = (
        Decoded(a_record(b"%d" % n, offset=n), tuple(a_version(name=name) for name in "ab")) for n in range(3)
    )
    ends: dict[UUID, Settled] = {
        fine.versions[0].feedback_id: Logged("tr-1", "a-1"),
        fine.versions[1].feedback_id: Superseded(),
        half.versions[0].feedback_id: Withdrawn(None, "a-1"),
        half.versions[1].feedback_id: Dead("rejected", "one"),
        gone.versions[0].feedback_id: Dead("unresolved", "two"),
        gone.versions[1].feedback_id: Dead("rejected", "three"),
    }
    assert dead_letters_of([fine, half, gone], lambda version: ends[version.feedback_id]) == [
        DeadLetter(half.record, Dead("rejected", "one"), (("feedback", "b"),)),
        DeadLetter(gone.record, Dead("unresolved", "two"), (("feedback", "a"), ("feedback", "b"))),
    ]
