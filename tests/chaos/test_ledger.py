"""The ledger sees each kind of wrong: a small run that is right, and one thing in it changed at a time."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from chaos.kafka_log import Commit, Held
from chaos.ledger import Evidence, compare, same
from chaos.publishing import Ack
from chaos.stores import Assessment
from chaos.traffic import Plan, Request, Send, Trace
from chaos.truth import read_truth
from contracts import identity

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
RETRY = "x-feedback-retry-1s"
TOPIC, CHATS = "x-feedback-submitted", "x-chat-completed"
OLD, NEW, GONE, ORPHAN, WITHDRAWN = (UUID(int=n, version=4) for n in range(5))
REQUEST, NEVER = "x-1", "x-2"
PLAN = Plan(
    requests={
        REQUEST: Request(REQUEST, (Trace(0, "tr-1", REQUEST),), (("region", "r1"),)),
        NEVER: Request(NEVER, ()),
    },
    sends=[Send(0, 0, is_chat=False, key=b"nonsense", value=b"{")],
)


def event(event_id: UUID, seconds: int, who: str, request_id: str = REQUEST, **fields: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "type": "FeedbackSubmitted",
        "event_id": str(event_id),
        "client_request_id": request_id,
        "source": {"type": "HUMAN", "id": who},
        "submitted_at": (NOON + timedelta(seconds=seconds)).isoformat(),
    }
    if "names" not in fields:
        known["assessments"] = [{"name": "helpful", "value": seconds, "rationale": f"because {seconds}"}]
    return known | fields


def held(  # noqa: PLR0913 - a record has so many parts
    topic: str, offset: int, document: Any, *, ms: int, key: bytes = b"k", headers: Any = ()
) -> Held:
    value = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Held(topic, 0, offset, NOON_MS + ms, key, value, tuple(headers))


LOG = [
    held(TOPIC, 0, event(NEW, 5, "anna", metadata={"page": "p1"}), ms=0),
    held(TOPIC, 1, event(OLD, 1, "anna", metadata={"old": "x"}), ms=1),
    held(TOPIC, 2, b"{", ms=2, key=b"nonsense", headers=[("h", b"\xff")]),
    held(TOPIC, 3, event(ORPHAN, 1, "ben", NEVER), ms=3),
    held(TOPIC, 4, event(GONE, 1, "cleo"), ms=4),
    held(TOPIC, 5, event(WITHDRAWN, 2, "cleo", type="FeedbackWithdrawn", names=["helpful"]), ms=5),
]
CHAT = held(CHATS, 0, {"client_request_id": REQUEST, "trace_id": "tr-1"}, ms=0)


def feedback_id(request_id: str, who: str) -> UUID:
    return identity.feedback_id(
        reference=request_id, span_id=None, kind="feedback", name="helpful", source_type="HUMAN", who=who
    )


ANNA, BEN, CLEO = feedback_id(REQUEST, "anna"), feedback_id(NEVER, "ben"), feedback_id(REQUEST, "cleo")


def receipt(event_id: UUID, feedback: UUID, outcome: str, *, ms: int = 50, reason: str | None = None) -> Held:
    said = {"event_id": str(event_id), "feedback_id": str(feedback), "outcome": outcome, "reason": reason}
    return held("x-feedback-logged", 0, said, ms=ms)


def letter(original: Held, reason: str, *, ms: int = 50) -> Held:
    said = {
        "feedback-reason": reason,
        "feedback-origin-topic": original.topic,
        "feedback-origin-partition": str(original.partition),
        "feedback-origin-offset": str(original.offset),
        "feedback-null-key": "false",
        "feedback-null-value": "false",
    }
    headers = [*original.headers, *((name, text.encode()) for name, text in said.items())]
    return replace(
        original, topic="x-feedback-dead-letter", milliseconds=NOON_MS + ms, headers=tuple(headers)
    )


ROW = Assessment(
    assessment_id=identity.assessment_id(ANNA),
    trace_id="tr-1",
    name="helpful",
    kind="feedback",
    value=5.0,
    rationale="because 5",
    metadata={
        "page": "p1",
        "old": "",
        "region": "r1",
        "feedback.event_id": str(NEW),
        "feedback.version": (NOON + timedelta(seconds=5)).isoformat(),
        "feedback.client_request_id": REQUEST,
    },
    source_type="HUMAN",
    source_id="anna",
    is_valid=True,
)


def parked(topic: str, reason: str = "no_trace") -> Held:
    headers = (*LOG[0].headers, ("feedback-reason", reason.encode()))
    return replace(LOG[0], topic=topic, milliseconds=NOON_MS + 90, headers=headers)


def right() -> Evidence:
    return Evidence(
        acks=[Ack(h.topic, h.partition, h.offset, h.key, h.value) for h in LOG],
        feedback_log=LOG,
        chat_log=[CHAT],
        receipts=[
            receipt(NEW, ANNA, "logged"),
            receipt(OLD, ANNA, "superseded"),
            receipt(ORPHAN, BEN, "dead-lettered", reason="unresolved"),
            receipt(GONE, CLEO, "logged"),
            receipt(WITHDRAWN, CLEO, "withdrawn"),
        ],
        dead_letters=[letter(LOG[2], "undecodable"), letter(LOG[3], "unresolved")],
        parked=[],
        commits=[Commit("x-feedback-logger", TOPIC, 0, 6, NOON_MS + 100)],
        assessments=[ROW],
        chats={REQUEST: "tr-1"},
    )


def wrongs(evidence: Evidence) -> set[str]:
    truth = read_truth(
        evidence.feedback_log, PLAN, exported={"tr-1": NOON.timestamp()}, indexed={}, sure_seconds=5
    )
    return {difference.wrong for difference in compare(truth, evidence).differences}


def test_a_run_that_is_right_has_no_differences() -> None:
    assert wrongs(right()) == set()


def without(items: list[Any], index: int) -> list[Any]:
    return [item for n, item in enumerate(items) if n != index]


def changed(items: list[Any], index: int, **fields: Any) -> list[Any]:
    return [replace(item, **fields) if n == index else item for n, item in enumerate(items)]


R, D = right().receipts, right().dead_letters
META = ROW.metadata
CHANGES: dict[str, tuple[str, Callable[[Evidence], None]]] = {
    "a receipt is missing": ("lost commit", lambda e: setattr(e, "receipts", without(list(R), 1))),
    "not in MLflow": ("lost", lambda e: setattr(e, "assessments", [])),
    "a dead letter of nonsense is missing": ("lost", lambda e: setattr(e, "dead_letters", [D[1]])),
    "a dead letter of an orphan is missing": ("lost", lambda e: setattr(e, "dead_letters", [D[0]])),
    "a chat is not in the index": ("lost", lambda e: setattr(e, "chats", {})),
    "nobody asked for it": (
        "doubled",
        lambda e: setattr(e, "assessments", [ROW, replace(ROW, assessment_id="a-other")]),
    ),
    "on another trace": ("doubled", lambda e: setattr(e, "assessments", [replace(ROW, trace_id="tr-9")])),
    "an older version stands": (
        "stale",
        lambda e: setattr(e, "assessments", [replace(ROW, metadata=META | {"feedback.event_id": str(OLD)})]),
    ),
    "an old comment": ("stale", lambda e: setattr(e, "assessments", [replace(ROW, rationale="because 1")])),
    "old metadata": (
        "stale",
        lambda e: setattr(e, "assessments", [replace(ROW, metadata=META | {"old": "x"})]),
    ),
    "another value": ("stale", lambda e: setattr(e, "assessments", [replace(ROW, value=1.0)])),
    "there after its withdrawal": (
        "stale",
        lambda e: setattr(e, "assessments", [ROW, replace(ROW, assessment_id=identity.assessment_id(CLEO))]),
    ),
    "two outcomes": (
        "outcome",
        lambda e: setattr(e, "receipts", [*R, receipt(NEW, ANNA, "superseded")]),
    ),
    "logged, and told again as superseded": (
        "outcome",
        lambda e: setattr(e, "receipts", [*R, receipt(OLD, ANNA, "logged")]),
    ),
    "an orphan is logged": (
        "outcome",
        lambda e: setattr(e, "receipts", [*without(list(R), 2), receipt(ORPHAN, BEN, "logged")]),
    ),
    "dead for another reason": (
        "outcome",
        lambda e: setattr(
            e, "receipts", [*without(list(R), 2), receipt(ORPHAN, BEN, "dead-lettered", reason="rejected")]
        ),
    ),
    "a receipt of nobody": ("outcome", lambda e: setattr(e, "receipts", [*R, receipt(NEW, BEN, "logged")])),
    "a dead letter of a good one": (
        "letter",
        lambda e: setattr(e, "dead_letters", [*D, letter(LOG[0], "unresolved")]),
    ),
    "a dead letter with other bytes": (
        "letter",
        lambda e: setattr(e, "dead_letters", changed(list(D), 0, value=b"{}")),
    ),
    "a dead letter without its own headers": (
        "letter",
        lambda e: setattr(e, "dead_letters", changed(list(D), 0, headers=D[0].headers[1:])),
    ),
    "a commit before a receipt": (
        "commit",
        lambda e: setattr(e, "receipts", [receipt(NEW, ANNA, "logged", ms=200), *R[1:]]),
    ),
    "a commit before a dead letter": (
        "commit",
        lambda e: setattr(e, "dead_letters", [letter(LOG[2], "undecodable", ms=200), D[1]]),
    ),
    "never committed": (
        "commit",
        lambda e: setattr(e, "commits", [replace(e.commits[0], offset=5)]),
    ),
    "Kafka has lost it": ("rig", lambda e: setattr(e, "acks", [*e.acks, replace(e.acks[0], offset=99)])),
}


@pytest.mark.parametrize(("wrong", "change"), CHANGES.values(), ids=CHANGES)
def test_one_thing_changed_is_seen(wrong: str, change: Callable[[Evidence], None]) -> None:
    evidence = right()
    change(evidence)
    assert wrongs(evidence) == set(wrong.split())


def test_an_older_version_may_have_been_logged_first_and_anything_may_be_told_twice() -> None:
    evidence = right()
    evidence.receipts = [*without(list(R), 1), receipt(OLD, ANNA, "logged"), receipt(NEW, ANNA, "logged")]
    assert wrongs(evidence) == set()


def test_a_commit_may_pass_what_was_parked_before() -> None:
    evidence = right()
    evidence.receipts = [receipt(NEW, ANNA, "logged", ms=200), *R[1:]]
    evidence.parked = [parked(RETRY)]
    later = Commit("x-feedback-retries", RETRY, 0, 1, NOON_MS + 300)
    evidence.commits = [*evidence.commits, later]
    assert wrongs(evidence) == set()


@pytest.mark.parametrize(
    ("offset", "told", "wrong"), [(1, 150, set()), (0, 150, {"commit"}), (1, 350, {"commit"})]
)
def test_a_parked_record_is_committed_once_it_is_told(offset: int, told: int, wrong: set[str]) -> None:
    evidence = right()
    evidence.parked = [parked(RETRY)]
    evidence.receipts = [receipt(NEW, ANNA, "logged", ms=told), *R[1:]]
    evidence.commits = [*evidence.commits, Commit("x-feedback-retries", RETRY, 0, offset, NOON_MS + 300)]
    assert wrongs(evidence) == wrong


def test_what_is_parked_for_a_look_alone_has_had_its_outcome() -> None:
    evidence = right()
    evidence.parked = [parked(RETRY, "look_again")]
    evidence.commits = [*evidence.commits, Commit("x-feedback-retries", RETRY, 0, 1, NOON_MS + 300)]
    assert wrongs(evidence) == set()
    evidence.receipts = [receipt(NEW, ANNA, "logged", ms=150), *R[1:]]
    assert wrongs(evidence) == {"commit"}


def test_a_trace_that_came_too_late_to_be_sure_leaves_both_ends_open() -> None:
    evidence = right()
    late = {"tr-1": NOON.timestamp() + 6}
    dead = [*without(list(R), 0), receipt(NEW, ANNA, "dead-lettered", reason="unresolved")]
    evidence.receipts, evidence.assessments = dead, []
    evidence.dead_letters = [*D, letter(LOG[0], "unresolved")]
    truth = read_truth(LOG, PLAN, exported=late, indexed={}, sure_seconds=5)
    assert compare(truth, evidence).differences == []
    sure = read_truth(LOG, PLAN, exported=late, indexed={}, sure_seconds=7)
    assert {d.wrong for d in compare(sure, evidence).differences} == {"outcome", "lost", "letter"}


@pytest.mark.parametrize(
    ("one", "other", "are"),
    [(1, 1.0, True), (1, True, False), ([1, "a"], [1.0, "a"], True), ({"a": 1}, {"a": 2}, False)],
)
def test_values_as_json(one: Any, other: Any, *, are: bool) -> None:
    assert same(one, other) is are
