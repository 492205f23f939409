"""What counts as life of a consumer's loop; the clock is what the tests count in."""

import pytest
from aiokafka import TopicPartition

from consumers.pulse import Progress, Pulse, Stall, Ticks
from pipeline.adapters.mlflow_client import MlflowThreads
from pipeline.patience import WATCHED, Patience, StoppedError, alive, declared_wait

P0, P1 = TopicPartition("t", 0), TopicPartition("t", 1)
LIMIT = 10.0


def polling(pulse: Pulse, seconds: int, *ticks: dict[TopicPartition, Progress]) -> None:
    """Let a loop poll for so long, once a second, and see this progress in turn, the last one again."""
    for second in range(seconds):
        pulse.reads()
        pulse.has_read()
        pulse.tick(1, ticks[min(second, len(ticks) - 1)])


def test_a_loop_that_never_began_is_not_stalled() -> None:
    pulse = Pulse()
    pulse.tick(1000, {})
    assert pulse.stall(LIMIT) is None


def test_a_getmany_that_does_not_return_is_stalled() -> None:
    pulse = Pulse()
    pulse.reads()
    pulse.tick(9, {})
    assert pulse.stall(LIMIT) is None
    pulse.tick(1, {})
    assert pulse.stall(LIMIT) == Stall("getmany", 10.0, for_kafka=True)
    assert pulse.hungry(LIMIT) == []


def test_asking_again_after_an_error_is_no_life() -> None:
    pulse = Pulse()
    for _ in range(10):
        pulse.reads()
        pulse.tick(1, {})
    assert pulse.stall(LIMIT) == Stall("getmany", 10.0, for_kafka=True)


def test_a_batch_that_does_not_end_is_stalled_and_kafka_is_not_asked() -> None:
    pulse = Pulse()
    pulse.reads()
    pulse.has_read()
    pulse.tick(10, {})
    assert pulse.stall(LIMIT) == Stall("a batch", 10.0, for_kafka=False)
    assert pulse.hungry(LIMIT) is None
    pulse.reads()
    assert pulse.stall(LIMIT) is None


def test_an_idle_loop_lives() -> None:
    pulse = Pulse()
    for second in range(100):
        polling(pulse, 1, {P0: Progress(5, 5, second)})
        assert pulse.stall(LIMIT) is None
    assert pulse.silent == {}


def test_a_declared_wait_does_not_count_and_is_life_at_its_end() -> None:
    pulse = Pulse()
    token = WATCHED.set(pulse)
    pulse.reads()
    pulse.has_read()
    pulse.tick(9, {})
    with declared_wait(), declared_wait():
        pulse.tick(1000, {})
        assert pulse.stall(LIMIT) is None
    assert pulse.age == 0
    pulse.tick(9, {})
    alive()
    pulse.tick(9, {})
    assert pulse.stall(LIMIT) is None
    WATCHED.reset(token)


def test_a_wait_declared_by_nobody_who_is_watched_is_just_a_wait() -> None:
    with declared_wait():
        alive()


async def test_waiting_with_patience_is_declared_and_ends_also_by_a_stop() -> None:
    pulse, patience = Pulse(), Patience()
    pulse.reads()
    pulse.has_read()
    pulse.tick(9, {})
    token = WATCHED.set(pulse)
    await patience.sleep(0.001)
    assert (pulse.age, pulse.waits) == (0, 0)
    pulse.tick(9, {})
    patience.missed("kafka", "away")
    assert pulse.age == 0
    patience.stop()
    with pytest.raises(StoppedError):
        await patience.sleep(10)
    assert pulse.waits == 0
    WATCHED.reset(token)


async def test_each_answer_of_mlflow_is_life() -> None:
    pulse, threads = Pulse(), MlflowThreads(1)
    pulse.reads()
    pulse.has_read()
    pulse.tick(9, {})
    token = WATCHED.set(pulse)
    await threads.run(int)
    assert pulse.age == 0
    WATCHED.reset(token)
    threads.close()


@pytest.mark.parametrize(
    ("progress", "is_stalled"),
    [
        ([Progress(5, 9, 1)], True),
        ([Progress(5, 9, now) for now in range(20)], True),
        ([Progress(now, 99, 1) for now in range(20)], False),
        ([Progress(9, 9, now) for now in range(20)], False),
        ([Progress(9, 9, 1)], True),
        ([Progress(None, None, None)], True),
        ([Progress(None, 9, now) for now in range(20)], False),
    ],
    ids=[
        "lag and no answer",
        "lag, answers and no records",
        "records",
        "nothing there",
        "no answer",
        "no position",
        "answers before a position",
    ],
)
def test_a_partition_that_stands_still_is_stalled(progress: list[Progress], *, is_stalled: bool) -> None:
    pulse = Pulse()
    for second in range(11):
        now = progress[min(second, len(progress) - 1)]
        polling(pulse, 1, {P0: now, P1: Progress(second, second, second)})
    expected = Stall("t[0]", 10.0, for_kafka=True) if is_stalled else None
    assert pulse.stall(LIMIT) == expected
    assert pulse.hungry(LIMIT) == ([P0] if is_stalled else None)


def test_a_partition_is_not_stalled_while_nobody_polls() -> None:
    pulse = Pulse()
    polling(pulse, 5, {P0: Progress(5, 9, 1)})
    assert pulse.silent == {P0: 4.0}
    for _ in range(100):
        pulse.tick(1, {P0: Progress(5, 9, 1)})
        alive()
    assert pulse.silent == {P0: 4.0}


def test_a_partition_that_was_taken_away_is_forgotten() -> None:
    pulse = Pulse()
    still = {P0: Progress(5, 9, 1)}
    polling(pulse, 9, still)
    polling(pulse, 1, {})
    polling(pulse, 10, still)
    assert pulse.stall(LIMIT) is None


def test_an_excuse_begins_again() -> None:
    pulse = Pulse()
    polling(pulse, 20, {P0: Progress(5, 9, 1)})
    assert pulse.stall(LIMIT) is not None
    pulse.excuse()
    assert pulse.stall(LIMIT) is None
    assert pulse.hungry(1) is None


@pytest.mark.parametrize(
    ("position", "end", "lag"), [(5, 9, 4), (9, 9, 0), (9, 5, 0), (None, 9, 0), (0, None, 0), (0, 3, 3)]
)
def test_lag_is_what_is_there_and_not_read(position: int | None, end: int | None, lag: int) -> None:
    assert Progress(position, end, 1).lag == lag


def test_a_frozen_process_has_not_stood_still() -> None:
    ticks = Ticks(1, 100)
    assert [ticks.passed(now) for now in (101, 102.5, 1000, 1001)] == [1, 1.5, 2, 1]
