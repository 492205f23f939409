from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from support.samples import SECRET

from consumers.driver import Driver, described, offsets_of, record_of
from consumers.lenient import RawRecord
from consumers.steady import SteadyConsumer
from pipeline.metrics import NoMetrics
from pipeline.patience import StoppedError
from pipeline.records import Record

# A header's value may be null, though aiokafka's types do not know it.
HEADERS: Any = (("a", b"1"), ("a", None))


def raw(offset: int, *, partition: int = 0, topic: str = "t", timestamp: int = 7) -> RawRecord:
    return ConsumerRecord(
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=timestamp,
        timestamp_type=0,
        key=b"k",
        value=b"v",
        checksum=None,
        serialized_key_size=1,
        serialized_value_size=1,
        headers=HEADERS,
    )


class FakeConsumer:
    """The two things that the driver uses of a consumer."""

    def __init__(self, *, answers: bool = True) -> None:
        self.read_in = 3
        self.commits: list[tuple[dict[TopicPartition, int], int]] = []
        self._answers = answers

    async def commit_batch(self, offsets: Mapping[TopicPartition, int], *, read_in: int) -> bool:
        self.commits.append((dict(offsets), read_in))
        return self._answers


class Counter(NoMetrics):
    def __init__(self) -> None:
        self.batches: list[tuple[str, int]] = []

    def batch(self, consumer: str, records: int, seconds: float) -> None:
        assert seconds >= 0
        self.batches.append((consumer, records))


class Bench:
    """A driver with all that it is given."""

    def __init__(self, during: Callable[[], None] = lambda: None, *, answers: bool = True) -> None:
        self.consumer = FakeConsumer(answers=answers)
        self.runs: list[list[Record]] = []
        self.failures: list[BaseException] = []
        self.metrics = Counter()
        self._during = during
        self.driver = Driver("feedback", self._run, self.metrics, self.failures.append)

    async def _run(self, records: Sequence[Record]) -> None:
        assert self.consumer.commits == []
        self.runs.append(list(records))
        self._during()

    async def handle(self, *records: RawRecord) -> None:
        await self.driver.handle(records, cast("SteadyConsumer", self.consumer))


def raising(error: BaseException) -> Callable[[], None]:
    def during() -> None:
        raise error

    return during


async def test_a_batch_is_committed_after_it_is_settled() -> None:
    bench = Bench()
    await bench.handle(raw(4), raw(5), raw(9, partition=1))
    assert [record.offset for record in bench.runs[0]] == [4, 5, 9]
    assert bench.consumer.commits == [({TopicPartition("t", 0): 6, TopicPartition("t", 1): 10}, 3)]
    assert bench.metrics.batches == [("feedback", 3)]
    assert not bench.driver.ended


async def test_it_is_committed_in_the_assignment_that_it_was_read_in() -> None:
    bench = Bench()

    def reassigned() -> None:
        bench.consumer.read_in = 4

    bench._during = reassigned
    await bench.handle(raw(1))
    assert bench.consumer.commits == [({TopicPartition("t", 0): 2}, 3)]


async def test_an_error_commits_nothing_and_ends_the_process() -> None:
    error = KeyError(SECRET)
    bench = Bench(raising(error))
    await bench.handle(raw(4))
    assert bench.consumer.commits == []
    assert bench.failures == [error]
    assert bench.driver.ended
    assert bench.metrics.batches == []


async def test_nothing_is_done_after_a_failure() -> None:
    bench = Bench(raising(KeyError()))
    await bench.handle(raw(4))
    await bench.handle(raw(5))
    assert len(bench.runs) == 1
    assert len(bench.failures) == 1
    assert bench.consumer.commits == []


async def test_a_stop_leaves_the_batch_and_is_no_failure() -> None:
    bench = Bench(raising(StoppedError()))
    await bench.handle(raw(4))
    await bench.handle(raw(5))
    assert bench.driver.ended
    assert bench.consumer.commits == []
    assert bench.failures == []
    assert len(bench.runs) == 1


async def test_a_commit_that_did_not_work_is_no_failure() -> None:
    bench = Bench(answers=False)
    await bench.handle(raw(4))
    assert not bench.driver.ended
    assert bench.failures == []


def test_an_error_is_described_without_its_message() -> None:
    try:
        raising(KeyError(SECRET))()
    except KeyError as error:
        said = described(error)
    assert said["error"] == "KeyError"
    assert "test_driver.py" in str(said["where"])
    assert SECRET not in str(said)


def test_a_record_is_taken_over_as_it_is() -> None:
    assert record_of(raw(4, partition=2)) == Record("t", 2, 4, 7, b"k", b"v", (("a", b"1"), ("a", None)))


def test_a_record_without_a_time_was_recorded_now() -> None:
    assert record_of(raw(4, timestamp=0)).timestamp == 0
    assert record_of(raw(4, timestamp=-1)).recorded_at.year >= 2026


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 3), st.integers(0, 2**62)), max_size=50)
)
def test_offsets_to_commit_are_those_after_the_last_of_each_partition(
    read: list[tuple[str, int, int]],
) -> None:
    offsets = offsets_of([raw(offset, partition=partition, topic=topic) for topic, partition, offset in read])
    assert set(offsets) == {TopicPartition(topic, partition) for topic, partition, _ in read}
    for (topic, partition), committed in offsets.items():
        assert (topic, partition, committed - 1) in read
        assert all(offset < committed for t, p, offset in read if (t, p) == (topic, partition))


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_read_is_nothing_to_commit(count: int) -> None:
    assert len(offsets_of([raw(0)][:count])) == count
