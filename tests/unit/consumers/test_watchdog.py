"""The watchdog's judgement, tick by tick, and its thread in a process that is really blocked."""

import asyncio
import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from structlog.testing import capture_logs

from consumers.pulse import Progress, Pulse
from consumers.steady import SteadyConsumer
from consumers.watchdog import Loop, LoopGuard, StalledError, Watchdog
from pipeline.patience import Patience

P0 = TopicPartition("t", 0)
LIMIT = 60


@dataclass
class FakeConsumer:
    """The two things that the watchdog looks at."""

    pulse: Pulse = field(default_factory=Pulse)
    parts: dict[TopicPartition, Progress] = field(default_factory=dict)

    def progress(self) -> dict[TopicPartition, Progress]:
        return self.parts


class Yard:
    """A watchdog with all that it looks at."""

    def __init__(self, *names: str) -> None:
        self.consumers = {name: FakeConsumer() for name in names}
        self.kafka = True
        self.asked: list[tuple[str, list[TopicPartition]]] = []
        self.failures: list[BaseException] = []
        self.gauges: dict[str, tuple[float, int]] = {}
        self.patience = Patience()
        self.dog = Watchdog(
            lambda: [
                Loop(name, f"group-{name}", f"topic-{name}", cast("SteadyConsumer", consumer))
                for name, consumer in self.consumers.items()
            ],
            seconds=LIMIT,
            answers=self._answers,
            patience=self.patience,
            gauges=self,
            fail=self.failures.append,
        )

    def loop(self, consumer: str, topic: str, *, age: float, lag: int) -> None:
        assert topic == f"topic-{consumer}"
        self.gauges[consumer] = (age, lag)

    async def _answers(self, group: str, partitions: Collection[TopicPartition]) -> bool:
        self.asked.append((group, list(partitions)))
        return self.kafka

    async def passes(self, seconds: int, *alive: str) -> None:
        for _ in range(seconds):
            for name in alive:
                self.consumers[name].pulse.reads()
                self.consumers[name].pulse.has_read()
            await self.dog.tick(1)


async def test_a_loop_that_hangs_though_kafka_answers_ends_the_process() -> None:
    yard = Yard("chats", "feedback")
    yard.consumers["feedback"].pulse.reads()
    with capture_logs() as logs:
        await yard.passes(LIMIT - 1, "chats")
        assert (yard.failures, yard.dog.stalled) == ([], [])
        await yard.passes(1, "chats")
    assert [str(error) for error in yard.failures] == ["feedback: getmany"]
    assert isinstance(yard.failures[0], StalledError)
    assert yard.dog.stalled == ["feedback: getmany"]
    (said,) = [line for line in logs if line["log_level"] == "critical"]
    assert (said["event"], said["what"], said["seconds"]) == ("stalled", "feedback: getmany", LIMIT)
    assert said["since"]
    assert yard.asked[0] == ("group-feedback", [TopicPartition("topic-feedback", 0)])
    assert len(yard.asked) == 11  # after 10 s, every 5 s


async def test_kafka_is_not_asked_while_all_is_well() -> None:
    yard = Yard("chats")
    yard.consumers["chats"].parts = {P0: Progress(4, 4, 1)}
    for now in range(200):
        yard.consumers["chats"].parts = {P0: Progress(4, 4, now)}
        await yard.passes(1, "chats")
    assert yard.asked == []
    assert yard.failures == []


async def test_a_loop_that_hangs_because_kafka_is_away_waits() -> None:
    yard = Yard("feedback")
    yard.consumers["feedback"].pulse.reads()
    yard.kafka = False
    await yard.passes(9)
    assert yard.patience.away == {}
    await yard.passes(1000)
    assert yard.failures == []
    assert "kafka" in yard.patience.away
    yard.kafka = True
    await yard.passes(5)
    assert yard.patience.away == {}
    await yard.passes(LIMIT - 6)
    assert yard.failures == []
    await yard.passes(5)
    assert [str(error) for error in yard.failures] == ["feedback: getmany"]


async def test_kafka_is_back_once_the_loop_gets_records_again() -> None:
    yard = Yard("feedback")
    yard.consumers["feedback"].pulse.reads()
    yard.kafka = False
    await yard.passes(30)
    assert "kafka" in yard.patience.away
    await yard.passes(5, "feedback")
    assert yard.patience.away == {}
    assert yard.failures == []


async def test_what_others_found_away_is_not_called_back() -> None:
    yard = Yard("feedback")
    yard.patience.missed("kafka", "receipts are not acknowledged")
    await yard.passes(30, "feedback")
    assert "kafka" in yard.patience.away


async def test_one_partition_that_gives_nothing_ends_the_process() -> None:
    yard = Yard("feedback")
    yard.consumers["feedback"].parts = {P0: Progress(4, 9, 1)}
    await yard.passes(LIMIT, "feedback")
    assert yard.failures == []
    await yard.passes(1, "feedback")
    assert [str(error) for error in yard.failures] == ["feedback: t[0]"]
    assert yard.asked[-1] == ("group-feedback", [P0])
    assert yard.gauges["feedback"] == (1, 5)


async def test_a_batch_that_hangs_is_stalled_also_while_kafka_is_away() -> None:
    yard = Yard("feedback", "chats")
    yard.kafka = False
    yard.consumers["chats"].pulse.reads()
    yard.consumers["feedback"].pulse.reads()
    yard.consumers["feedback"].pulse.has_read()
    await yard.passes(LIMIT)
    assert [str(error) for error in yard.failures] == ["feedback: a batch"]


async def test_a_stop_during_an_outage_is_no_error_of_the_watchdog() -> None:
    yard = Yard("feedback")
    yard.consumers["feedback"].pulse.reads()
    yard.kafka = False
    yard.patience.stop()
    await yard.passes(1000)
    assert yard.failures == []


def blocked(guard: LoopGuard, *seconds: float) -> list[str | None]:
    return [guard.tick(second) for second in seconds]


def test_the_guard_counts_only_while_the_loop_gives_no_answer() -> None:
    guard = LoopGuard(10)
    guard._answered.set()
    assert blocked(guard, 100, 100) == [None, None]
    guard._answered.clear()
    assert blocked(guard, 5, 4.9) == [None, None]
    guard._answered.set()
    assert blocked(guard, 1) == [None]
    guard._answered.clear()
    assert blocked(guard, 5, 5) == [None, "the event loop"]


def test_the_guard_ends_an_end_that_takes_too_long() -> None:
    guard = LoopGuard(10)
    guard._answered.set()
    guard.end_within(20)
    assert blocked(guard, 19, 1) == [None, "the end of the process"]


async def test_the_guard_leaves_a_loop_alone_that_answers() -> None:
    ends: list[int] = []
    guard = LoopGuard(0.5, end=ends.append)
    guard.start()
    await asyncio.sleep(1)
    guard.close()
    assert ends == []


PROCESS = """
    import asyncio, signal, sys, time
    from consumers.logs import configure_logs
    from consumers.settings import Settings
    from consumers.watchdog import LoopGuard

    def block_here(*_):
        time.sleep(60)

    async def main():
        signal.signal(signal.SIGUSR1, block_here)
        LoopGuard(2).start()
        print("ready", flush=True)
        await asyncio.sleep(60)

    configure_logs(Settings())
    asyncio.run(main())
"""


@pytest.fixture
def process() -> Any:
    command = [sys.executable, "-c", textwrap.dedent(PROCESS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_a_process_that_is_blocked_ends_and_says_where(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGUSR1)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 1
    (line,) = [json.loads(line) for line in told.splitlines()]
    assert (line["action"], line["level"], line["what"]) == ("stalled", "critical", "the event loop")
    assert "block_here" in line["where"][-1]


def test_a_process_that_was_frozen_goes_on(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(5)
    process.send_signal(signal.SIGCONT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)
