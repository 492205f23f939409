import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from support.pipeline import again
from support.samples import NOON, SECRET, a_record, a_version, as_raw, at
from support.stack import Stack

from consumers.outbox import KafkaOutbox
from consumers.parked import parked_record_of
from consumers.settings import Settings
from contracts.events import Segment
from contracts.headers import DeadLetterHeaders, split_dead_letter
from contracts.kafka import KafkaSettings
from contracts.topics import EVENT_BYTES, Topics
from local.ports import free_port
from ops.reading import read_topic
from pipeline.memory import MemoryOutbox
from pipeline.outcomes import Dead, DependencyAwayError, Logged
from pipeline.patience import Patience
from pipeline.ports import DeadLetter, Outbox, Parked
from pipeline.receipt import Receipt
from pipeline.records import FIRST_VISIT, Record, Visit
from pipeline.settle import receipt_of

HOSTILE_KEY = "caf\udce9"


@dataclass
class Letter:
    """A dead letter as a reader takes it apart."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    reason: str
    detail: str
    origin: tuple[str, int, int, int]
    names: list[list[str]]


@dataclass
class Post:
    """An outbox and what arrived from it."""

    outbox: Outbox
    receipts: Callable[[], Awaitable[list[dict[str, Any]]]]
    letters: Callable[[], Awaitable[list[Letter]]]
    waiting: Callable[[timedelta], Awaitable[list[Record]]]


@dataclass
class MemoryPost:
    """The twin's."""

    memory: MemoryOutbox = field(default_factory=MemoryOutbox)

    async def receipts(self) -> list[dict[str, Any]]:
        return [json.loads(receipt.model_dump_json(exclude_none=True)) for receipt in self.memory.receipts]

    async def letters(self) -> list[Letter]:
        return [
            Letter(
                key=letter.record.key,
                value=letter.record.value,
                headers=list(letter.record.headers),
                reason=letter.dead.reason,
                detail=letter.dead.detail,
                origin=(
                    letter.record.topic,
                    letter.record.partition,
                    letter.record.offset,
                    letter.record.timestamp,
                ),
                names=[list(name) for name in letter.names],
            )
            for letter in self.memory.dead_letters
        ]

    async def waiting(self, delay: timedelta) -> list[Record]:
        return [again(parked) for parked in self.memory.parked if parked.delay == delay]


@dataclass
class RealPost:
    """Kafka's."""

    settings: Settings

    async def receipts(self) -> list[dict[str, Any]]:
        records = await read_topic(self.settings.kafka, self.settings.topics.feedback_logged)
        return [json.loads(record.value or b"") for record in records]

    async def letters(self) -> list[Letter]:
        records = await read_topic(self.settings.kafka, self.settings.topics.dead_letter)
        return [_letter(record) for record in records]

    async def waiting(self, delay: timedelta) -> list[Record]:
        records = await read_topic(self.settings.kafka, self.settings.topics.retries[delay])
        return [parked_record_of(as_raw(record)) for record in records]


def _letter(record: Record) -> Letter:
    headers, said = split_dead_letter(record.headers)
    assert said.null_key == (record.key is None)
    return Letter(
        key=record.key,
        value=None if said.null_value else record.value,
        headers=headers,
        reason=said.reason,
        detail=said.detail,
        origin=(said.origin_topic, said.origin_partition, said.origin_offset, said.origin_timestamp),
        names=json.loads(said.assessments),
    )


@pytest.fixture(params=["memory", "real"])
def post(request: pytest.FixtureRequest) -> Post:
    if request.param == "memory":
        memory = MemoryPost()
        return Post(memory.memory, memory.receipts, memory.letters, memory.waiting)
    real = RealPost(request.getfixturevalue("settings"))
    return Post(request.getfixturevalue("kafka_outbox"), real.receipts, real.letters, real.waiting)


@pytest.fixture
async def kafka_outbox(settings: Settings) -> AsyncIterator[KafkaOutbox]:
    outbox = KafkaOutbox(settings.kafka, settings.topics, Patience())
    yield outbox
    await outbox.stop()


def a_receipt(**fields: Any) -> Receipt:
    version = a_version(**fields)
    segment = Segment(environment="prod", user_id="ü'1")
    return receipt_of(version, Logged("tr-1", version.assessment_id), segment, now=NOON, attempts=2)


def a_letter(record: Record, *, detail: str = "value: is null") -> DeadLetter:
    return DeadLetter(record, Dead("undecodable", detail), (("feedback", "helpful"), ("expectation", "ü")))


async def test_a_receipt_can_be_read(post: Post) -> None:
    event, feedback = UUID(int=1), UUID(int=2)
    receipt = a_receipt(event_id=event, feedback_id=feedback, value={"a": [1]}, kind="expectation")
    await post.outbox.send([receipt], [])
    assert await post.receipts() == [
        {
            "type": "FeedbackLogged",
            "receipt_id": str(receipt.event().receipt_id),
            "event_id": "00000000-0000-0000-0000-000000000001",
            "feedback_id": "00000000-0000-0000-0000-000000000002",
            "outcome": "logged",
            "client_request_id": "req-1",
            "trace_id": "tr-1",
            "assessment_id": "a-00000000000000000000000000000002",
            "kind": "expectation",
            "name": "helpful",
            "value": {"a": [1]},
            "source": {"type": "HUMAN", "id": "anna"},
            "environment": "prod",
            "user_id": "ü'1",
            "submitted_at": "2026-01-31T12:00:00Z",
            "logged_at": "2026-01-31T12:00:00Z",
            "attempts": 2,
        }
    ]
    assert await post.letters() == []


async def test_all_of_a_batch_arrives_each_once(post: Post) -> None:
    receipts = [a_receipt(value=n) for n in range(500)]
    letters = [a_letter(a_record(b"%d" % n, offset=n)) for n in range(100)]
    await post.outbox.send(receipts, letters)
    assert sorted(receipt["value"] for receipt in await post.receipts()) == list(range(500))
    assert sorted(letter.origin[2] for letter in await post.letters()) == list(range(100))


async def test_nothing_is_sent_for_nothing(post: Post) -> None:
    await post.outbox.send([], [])
    assert await post.receipts() == []
    assert await post.letters() == []


HEADERS: list[list[tuple[str, bytes | None]]] = [
    [],
    [("a", b"1")],
    [("a", b"1"), ("a", b"2"), ("a", b"1")],
    [("null", None), ("empty", b"")],
    [("", b"a header without a name")],
    [("bytes", b"\xff\xfe\x00\xe9")],
    [("ü-🐝", "ü".encode())],
    [("feedback-reason", b"a lie"), ("feedback-original-headers", b"[[]]")],
    DeadLetterHeaders(
        reason="rejected",
        detail="a dead letter of a dead letter",
        origin_topic="t",
        origin_partition=0,
        origin_offset=0,
        origin_timestamp=0,
        null_key=True,
        null_value=True,
        assessments="[]",
    ).encode(),  # type: ignore[list-item]  # its values are never null
    [(HOSTILE_KEY, b"1")],
    [("fine", b"0"), (HOSTILE_KEY, None), (HOSTILE_KEY, b"\xff"), ("fine", b"0")],
]


async def test_a_dead_letter_is_the_original_byte_for_byte(post: Post) -> None:
    records = [
        a_record(value, offset=offset, key=key, headers=tuple(headers), partition=offset % 5)
        for offset, (key, value, headers) in enumerate(
            (key, value, headers)
            for key in (None, b"", b"req-1", b"\xff\x00\xe9")
            for value in (None, b"", b"{}", b"\xff\x00not json")
            for headers in HEADERS
        )
    ]
    await post.outbox.send([], [a_letter(record) for record in records])
    letters = {letter.origin[2]: letter for letter in await post.letters()}
    assert len(letters) == len(records) == 176
    for record in records:
        letter = letters[record.offset]
        assert (letter.key, letter.value) == (record.key, record.value)
        assert letter.headers == list(record.headers)
        assert letter.origin == ("feedback-submitted", record.partition, record.offset, record.timestamp)


async def test_a_dead_letter_says_why_and_what(post: Post) -> None:
    detail = "value: ü 'quoted'\nline"
    await post.outbox.send([], [a_letter(a_record(b"x"), detail=detail)])
    (letter,) = await post.letters()
    assert (letter.reason, letter.detail) == ("undecodable", detail)
    assert letter.names == [["feedback", "helpful"], ["expectation", "ü"]]


async def test_the_largest_record_can_be_a_dead_letter(post: Post) -> None:
    """A megabyte, of which nearly all may be a header whose key is not UTF-8, which grows by a third."""
    size = EVENT_BYTES - 1000
    large_value = a_record(b"v" * size, offset=1)
    large_header = a_record(b"v", offset=2, headers=((HOSTILE_KEY, b"h" * size),))
    await post.outbox.send([], [a_letter(large_value), a_letter(large_header)])
    letters = {letter.origin[2]: letter for letter in await post.letters()}
    assert letters[1].value == b"v" * size
    assert letters[2].headers == [(HOSTILE_KEY, b"h" * size)]


async def test_receipts_of_one_request_stand_in_one_partition_in_order(
    kafka_outbox: KafkaOutbox, settings: Settings
) -> None:
    for n in range(5):
        await kafka_outbox.send([a_receipt(value=n, client_request_id="req-7")], [])
    records = await read_topic(settings.kafka, settings.topics.feedback_logged)
    assert {record.key for record in records} == {b"req-7"}
    assert [json.loads(record.value or b"")["value"] for record in records] == [0, 1, 2, 3, 4]
    assert len({record.partition for record in records}) == 1


async def test_two_consumers_of_one_process_share_one_connection(
    kafka_outbox: KafkaOutbox, settings: Settings
) -> None:
    """Both find none after Kafka was away; a second connection would be left open by the first."""
    producers = await asyncio.gather(*(kafka_outbox.start() for _ in range(4)))
    assert len({id(producer) for producer in producers}) == 1
    await asyncio.gather(*(kafka_outbox.send([a_receipt(value=n)], []) for n in range(4)))
    assert len(await read_topic(settings.kafka, settings.topics.feedback_logged)) == 4


async def test_it_connects_again_after_a_stop(kafka_outbox: KafkaOutbox, settings: Settings) -> None:
    await kafka_outbox.send([a_receipt()], [])
    await kafka_outbox.stop()
    await kafka_outbox.send([a_receipt()], [])
    assert len(await read_topic(settings.kafka, settings.topics.feedback_logged)) == 2


async def test_kafka_that_gives_no_answer_is_away() -> None:
    nowhere = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
    outbox = KafkaOutbox(nowhere, Topics(), Patience())
    with pytest.raises(DependencyAwayError) as caught:
        await outbox.send([a_receipt(value=SECRET)], [])
    assert caught.value.dependency == "kafka"
    assert nowhere.bootstrap_servers in caught.value.detail
    assert SECRET not in str(caught.value)


async def test_a_topic_that_is_missing_is_an_absence(stack: Stack) -> None:
    settings = KafkaSettings(bootstrap_servers=stack.kafka, request_timeout_ms=1000)
    outbox = KafkaOutbox(settings, Topics(f"none-{uuid4().hex}-"), Patience())
    try:
        with pytest.raises(DependencyAwayError):
            await outbox.send([a_receipt()], [])
    finally:
        await outbox.stop()


PARKED = Parked(
    record=a_record(b"\x00 not even JSON", headers=(("a", b"1"), ("a", None), ("feedback-attempt", b"99"))),
    delay=timedelta(seconds=1),
    attempt=3,
    first_seen=NOON,
    due_at=at(1),
    reason="no_trace",
    names=(("feedback", "helpful"), ("expectation", 'ü "')),
)


@pytest.mark.parametrize(
    "record",
    [
        PARKED.record,
        replace(PARKED.record, key=None),
        replace(PARKED.record, key=b""),
        replace(PARKED.record, key=b"\xff", headers=()),
        replace(PARKED.record, headers=((HOSTILE_KEY, b"\xff"), ("b", None))),
    ],
)
async def test_a_parked_record_comes_back_as_it_was_with_what_is_to_be_tried(
    post: Post, record: Record
) -> None:
    parked = replace(PARKED, record=record)
    await post.outbox.send([], [], [parked])
    (waiting,) = await post.waiting(parked.delay)
    assert waiting == replace(
        record, visit=Visit(attempt=3, first_seen=NOON, reason="no_trace", names=parked.names)
    )


async def test_each_delay_has_its_topic(post: Post) -> None:
    await post.outbox.send([], [], [PARKED, replace(PARKED, delay=timedelta(seconds=2), attempt=4)])
    assert [r.visit.attempt for r in await post.waiting(timedelta(seconds=1))] == [3]
    assert [r.visit.attempt for r in await post.waiting(timedelta(seconds=2))] == [4]


async def test_parked_again_it_is_still_the_original(post: Post) -> None:
    await post.outbox.send([], [], [PARKED])
    (first,) = await post.waiting(PARKED.delay)
    await post.outbox.send([], [], [replace(PARKED, record=first, delay=timedelta(seconds=2), attempt=4)])
    (second,) = await post.waiting(timedelta(seconds=2))
    assert replace(second, visit=FIRST_VISIT) == PARKED.record
    assert second.visit.attempt == 4
