import json
from typing import Any
from uuid import UUID

import pytest
from support.samples import NOON, SECRET, a_record, a_version, at

from consumers.outbox import Message, dead_letter_message, retry_message
from contracts import limits
from contracts.events import Segment
from contracts.headers import split_dead_letter
from contracts.topics import ENVELOPE_BYTES, Topics
from pipeline.outcomes import Dead, Logged, Superseded, Withdrawn
from pipeline.ports import DeadLetter, Parked
from pipeline.records import ROOM
from pipeline.settle import receipt_of

TOPICS = Topics("team-")
DEAD = Dead("undecodable", "value: is null")


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"client_request_id": "req-7", "trace_id": "tr-7"}, b"req-7"),
        ({"client_request_id": None, "trace_id": "tr-7"}, b"tr-7"),
        ({"client_request_id": None, "feedback_id": UUID(int=7)}, b"00000000-0000-0000-0000-000000000007"),
    ],
)
def test_a_receipt_is_keyed_like_its_event(fields: dict[str, Any], key: bytes) -> None:
    receipt = receipt_of(a_version(**fields), Superseded(), None, now=NOON, attempts=1)
    assert receipt.key == key


def test_a_receipt_holds_no_nulls_and_no_comment() -> None:
    version = a_version(rationale=SECRET, submitted_at=at(0.5))
    receipt = receipt_of(version, Withdrawn(None, "a-1"), None, now=at(1), attempts=1)
    value = receipt.to_json()
    said = json.loads(value)
    assert None not in said.values()
    assert said["submitted_at"] == "2026-01-31T12:00:00.500000Z"
    assert SECRET not in value.decode()


def test_a_receipt_carries_value_and_segment() -> None:
    outcome = Logged("tr-1", "a-1")
    receipt = receipt_of(a_version(value={"ü": [1]}), outcome, Segment(region="eu"), now=NOON, attempts=3)
    said = json.loads(receipt.to_json())
    assert (said["value"], said["region"], said["attempts"]) == ({"ü": [1]}, "eu", 3)


@pytest.mark.parametrize("key", [None, b"", b"k", b"\xff"])
@pytest.mark.parametrize("value", [None, b"", b"v", b"\xff\x00"])
def test_a_dead_letter_tells_null_from_empty(key: bytes | None, value: bytes | None) -> None:
    letter = DeadLetter(a_record(value, key=key), DEAD)
    topic, sent_key, sent_value, headers = dead_letter_message(TOPICS, letter)
    _, said = split_dead_letter(headers)
    assert topic == "team-feedback-dead-letter"
    assert sent_key == key
    # A Kafka client refuses a record with neither.
    assert sent_value is not None
    assert (None if said.null_value else sent_value) == value
    assert said.null_key == (key is None)


def test_a_dead_letter_keeps_writable_headers_as_they_are() -> None:
    original: list[tuple[str, bytes | None]] = [("a", b"1"), ("a", None), ("", b""), ("ü", b"\xff")]
    letter = DeadLetter(a_record(b"v", headers=tuple(original)), DEAD)
    headers = dead_letter_message(TOPICS, letter)[3]
    assert headers[:4] == original
    assert split_dead_letter(headers)[0] == original


def test_a_dead_letter_encodes_headers_that_no_client_can_write() -> None:
    original: list[tuple[str, bytes | None]] = [("fine", b"1"), ("caf\udce9", None)]
    letter = DeadLetter(a_record(b"v", headers=tuple(original)), DEAD)
    headers = dead_letter_message(TOPICS, letter)[3]
    assert all(name.startswith("feedback-") for name, _ in headers)
    assert split_dead_letter(headers)[0] == original


def test_the_longest_names_take_less_than_the_room_that_is_kept_for_them() -> None:
    names = tuple(
        ("expectation", "\N{THUMBS UP SIGN}" * limits.NAME_LENGTH) for _ in range(limits.ASSESSMENTS)
    )
    record = a_record(b"v" * ROOM)
    parked = Parked(
        record=record,
        delay=next(iter(TOPICS.retries)),
        attempt=2,
        first_seen=NOON,
        due_at=NOON,
        reason="trace_missing",
        names=names,
    )
    for message in (
        dead_letter_message(TOPICS, DeadLetter(record, DEAD, names)),
        retry_message(TOPICS, parked),
    ):
        assert _size(message) < ENVELOPE_BYTES


def _size(message: Message) -> int:
    _, key, value, headers = message
    return sum(len(part or b"") for part in (key, value)) + sum(
        len(name.encode()) + len(said or b"") + 10 for name, said in headers
    )


def test_a_dead_letter_says_why_which_and_from_where() -> None:
    record = a_record(b"v", offset=42, partition=3, timestamp=1234, topic="other")
    letter = DeadLetter(record, Dead("rejected", "MLflow refused it: ü"), (("feedback", "a"),))
    _, said = split_dead_letter(dead_letter_message(TOPICS, letter)[3])
    assert (said.reason, said.detail) == ("rejected", "MLflow refused it: ü")
    assert (said.origin_topic, said.origin_partition, said.origin_offset) == ("other", 3, 42)
    assert said.origin_timestamp == 1234
    assert json.loads(said.assessments) == [["feedback", "a"]]
