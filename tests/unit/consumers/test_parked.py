from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from support.samples import NOON, a_record, as_raw, at

from consumers.driver import Driver, record_of
from consumers.lenient import RawRecord
from consumers.parked import ParkedDriver, due_at, headers_of, parked_record_of, split_due
from consumers.steady import SteadyConsumer
from contracts.headers import RetryHeaders
from pipeline.metrics import NoMetrics
from pipeline.patience import Patience, StoppedError
from pipeline.ports import Parked
from pipeline.records import Record

DELAY = timedelta(seconds=10)
NOON_SECONDS = NOON.timestamp()


def parked(seconds: float, *, offset: int = 0, partition: int = 0, value: bytes = b"{}") -> RawRecord:
    """Give the record of a retry topic that was parked so many seconds after noon."""
    original = a_record(value, headers=(("a", None),))
    item = Parked(
        record=original,
        delay=DELAY,
        attempt=2,
        first_seen=NOON,
        due_at=at(seconds) + DELAY,
        reason="no_trace",
        names=(("feedback", "helpful"),),
    )
    carried = Record(
        "feedback-retry-10s",
        partition,
        offset,
        int(at(seconds).timestamp() * 1000),
        b"key",
        value,
        headers_of(item),
    )
    return as_raw(carried)


def offsets(records: Sequence[RawRecord]) -> list[tuple[int, int]]:
    return [(record.partition, record.offset) for record in records]


def test_a_record_is_due_its_delay_after_it_was_parked() -> None:
    assert due_at(parked(3), DELAY) == NOON_SECONDS + 13


def with_header(raw: RawRecord, header: str, value: bytes | None) -> RawRecord:
    changed: Any = [(name, value if name == header else old) for name, old in raw.headers]
    return replace(raw, headers=changed)


def test_a_header_that_says_next_year_does_not_stop_the_topic() -> None:
    raw = with_header(parked(0), "feedback-due-at", b"99999999999999")
    assert due_at(raw, DELAY) == NOON_SECONDS + 10


def test_a_header_of_four_hundred_digits_is_as_good_as_none() -> None:
    assert due_at(with_header(parked(0), "feedback-due-at", b"9" * 400), DELAY) == NOON_SECONDS + 10


def test_what_nobody_parked_is_due_after_the_delay_and_is_a_record_itself() -> None:
    raw = as_raw(a_record(b"{}", timestamp=int(NOON_SECONDS * 1000)))
    assert due_at(raw, DELAY) == NOON_SECONDS + 10
    assert parked_record_of(raw) == a_record(b"{}", timestamp=int(NOON_SECONDS * 1000), headers=())


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("feedback-attempt", b"many"),
        ("feedback-first-seen", b"9" * 30),
        ("feedback-origin-timestamp", b"9" * 30),
        ("feedback-reason", b"because"),
        ("feedback-assessments", b"[1]"),
        ("feedback-assessments", b"[" * 100_000),
        ("feedback-assessments", None),
        ("feedback-assessments", b'[["feedback", "\\ud800"]]'),
    ],
)
def test_a_forged_block_makes_it_a_record_itself(header: str, value: bytes | None) -> None:
    record = parked_record_of(with_header(parked(0), header, value))
    assert (record.topic, record.visit.attempt) == ("feedback-retry-10s", 1)


def test_headers_of_a_retry_on_another_topic_are_the_producer_s_own() -> None:
    """Nobody can make a fresh event an old attempt by writing our headers onto it."""
    names = [name for name, _ in cast("list[tuple[str, bytes]]", parked(0).headers)]
    assert "feedback-attempt" in names
    assert record_of(parked(0)).visit.attempt == 1


async def test_the_driver_of_an_event_topic_reads_no_headers_of_retries() -> None:
    seen: list[int] = []

    async def run(records: Sequence[Record]) -> None:
        seen.extend(record.visit.attempt for record in records)

    driver = Driver("feedback", run, NoMetrics(), pytest.fail)  # type: ignore[arg-type]  # it is not called
    await driver.handle([parked(0)], cast("SteadyConsumer", FakeConsumer()))
    assert seen == [1]


def test_due_is_split_by_partition_at_the_first_that_is_not() -> None:
    raw = [
        parked(0, offset=1),
        parked(5, offset=2),
        parked(0, offset=3),  # by a clock that was behind
        parked(0, offset=1, partition=1),
        parked(9, offset=2, partition=1),
    ]
    due, rest = split_due(raw, DELAY, NOON_SECONDS + 12)
    assert offsets(due) == [(0, 1), (1, 1)]
    assert offsets(rest) == [(0, 2), (0, 3), (1, 2)]


class Clock(Patience):
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON_SECONDS

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self._stopping.is_set():
            raise StoppedError


class FakeConsumer:
    """What the drivers use of a consumer."""

    def __init__(self) -> None:
        self.epoch = self.read_in = 4
        self.commits: list[dict[Any, int]] = []

    async def commit_batch(self, offsets: dict[Any, int], *, read_in: int) -> bool:
        assert read_in == 4
        self.commits.append({key.partition: value for key, value in offsets.items()})
        return True


class Seen:
    """Runs nothing, and keeps what came when."""

    def __init__(self, clock: Clock) -> None:
        self.batches: list[tuple[float, list[int]]] = []
        self._clock = clock

    async def __call__(self, records: Sequence[Record]) -> None:
        self.batches.append(
            (self._clock.now - NOON_SECONDS, [int(record.value or b"0") for record in records])
        )


def driver(clock: Clock, run: Seen) -> ParkedDriver:
    def fail(error: BaseException) -> None:
        raise error

    inner = Driver("retries", run, NoMetrics(), fail, read=parked_record_of)
    return ParkedDriver(inner, DELAY, clock, clock=lambda: clock.now)


async def test_each_is_settled_when_it_is_due_and_committed_at_once() -> None:
    clock, consumer = Clock(), FakeConsumer()
    seen = Seen(clock)
    raw = [parked(at_, offset=n, value=str(n).encode()) for n, at_ in enumerate([0, 0, 3.5, 20])]
    await driver(clock, seen).handle(raw, cast("SteadyConsumer", consumer))
    assert seen.batches == [(10, [0, 1]), (13.5, [2]), (30, [3])]
    assert consumer.commits == [{0: 2}, {0: 3}, {0: 4}]


async def test_what_is_due_behind_what_is_not_waits_for_it_and_nothing_is_committed_before() -> None:
    """Two processes that park at once write due times that are out of order by milliseconds."""
    clock, consumer = Clock(), FakeConsumer()
    seen = Seen(clock)
    raw = [parked(at_, offset=n, value=str(n).encode()) for n, at_ in enumerate([0.25, 0, 0.5])]
    await driver(clock, seen).handle(raw, cast("SteadyConsumer", consumer))
    assert seen.batches == [(10.25, [0, 1]), (10.5, [2])]
    assert consumer.commits == [{0: 2}, {0: 3}]


async def test_what_went_to_somebody_else_meanwhile_is_left_alone() -> None:
    clock, consumer = Clock(), FakeConsumer()
    seen = Seen(clock)

    class Rebalanced(Clock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            consumer.epoch += 1

    clock = Rebalanced()
    await driver(clock, seen).handle([parked(0)], cast("SteadyConsumer", consumer))
    assert seen.batches == []
    assert consumer.commits == []
    assert clock.now < NOON_SECONDS + 2  # it is seen at once, not when the record is due


async def test_a_stop_is_heard_while_a_record_waits() -> None:
    clock, consumer = Clock(), FakeConsumer()
    seen = Seen(clock)
    clock.stop()
    await driver(clock, seen).handle([parked(0)], cast("SteadyConsumer", consumer))
    assert seen.batches == []
    assert consumer.commits == []


def test_the_block_has_the_names_that_operators_rely_on() -> None:
    said = RetryHeaders(
        reason="no_trace",
        origin_topic="t",
        origin_partition=0,
        origin_offset=1,
        origin_timestamp=2,
        null_key=False,
        null_value=False,
        assessments="[]",
        attempt=2,
        due_at=3,
        first_seen=4,
    )
    assert {name for name, _ in said.encode()} >= {
        "feedback-attempt",
        "feedback-due-at",
        "feedback-first-seen",
        "feedback-origin-topic",
        "feedback-origin-partition",
        "feedback-origin-offset",
        "feedback-reason",
    }
