"""`feedback demo`: the local stack, the consumers, the sample chat service, and the ledger at the end."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import httpx
import mlflow
from aiokafka import TopicPartition
from rich.progress import Progress as Bars

from apps.chat.run import traffic_into
from apps.chat.traffic import Published
from consumers.bootstrap import ALL, reads
from consumers.settings import Settings, load_settings, to_environment
from contracts.events import FeedbackLogged
from contracts.kafka import KafkaSettings
from local import stack
from local.display import shown
from local.home import Home
from local.ports import free_port, is_free
from ops.errors import DemoError
from ops.ledger import (
    Ledger,
    assessments_of,
    differences,
    expected_assessments,
    outcomes_of,
    undecodable,
    units_of,
)
from ops.reading import end_offsets, lag, read_topic
from pipeline.records import Record

EXPERIMENT: Final = "feedback-demo"
RETRY_DELAYS: Final = ("2s", "5s")
RETRY_ATTEMPTS: Final = (2, 1)
"""Shorter than in production: nobody waits a day to see a dead letter."""

_START_SECONDS: Final = 60
_SETTLE_SECONDS: Final = 120
_SETTLE_SECONDS_PER_EVENT: Final = 0.05
_END_SECONDS: Final = 40
_ASK_EVERY: Final = 0.25
_CHAT_PORT: Final = 8000


@dataclass(frozen=True, slots=True)
class Told:
    """What a demo has to show."""

    ledger: Ledger
    settings: Settings
    experiment_id: str


@contextmanager
def running_stack() -> Iterator[stack.Addresses]:
    """Start the local stack; at the end, end it unless it ran before."""
    ran_before = any(part.state != "stopped" for part in stack.status())
    with shown() as progress:
        addresses = stack.up(progress=progress)
    try:
        yield addresses
    finally:
        if not ran_before:
            stack.down()


def demo_settings(addresses: stack.Addresses) -> Settings:
    """Give the settings that consumers and sample service share."""
    return load_settings(
        kafka=KafkaSettings(bootstrap_servers=addresses.kafka),
        database_url=addresses.postgres,
        mlflow_tracking_uri=addresses.mlflow,
        mlflow_experiments=(EXPERIMENT,),
        retry_delays=RETRY_DELAYS,
        retry_attempts=RETRY_ATTEMPTS,
    )


@asynccontextmanager
async def running_consumers(settings: Settings) -> AsyncIterator[None]:
    """Run one process of each consumer, as in production; at the end, end them cleanly."""
    processes = {name: _start(settings, name) for name in ALL}
    try:
        for name, (process, port, log) in processes.items():
            await _ready(f"the consumer {name!r}", process, port, log)
        yield
    finally:
        for process, _, _ in processes.values():
            process.send_signal(signal.SIGTERM)
        for process, _, _ in processes.values():
            await asyncio.to_thread(_end, process)


@asynccontextmanager
async def running_chat(settings: Settings) -> AsyncIterator[str]:
    """Run the chat service, open to all on this machine; gives its address."""
    port = _CHAT_PORT if is_free(_CHAT_PORT) else free_port()
    variables = to_environment(settings) | {
        "FEEDBACK_API_OPEN": "true",
        # A page of elsewhere whose name leads here is not let in.
        "FEEDBACK_API_HOSTS": "127.0.0.1,localhost",
        "FEEDBACK_CHAT_HOST": "127.0.0.1",
        "FEEDBACK_CHAT_PORT": str(port),
    }
    log = Home.at(None).root / "logs" / "chat.log"
    process = _spawn(["-m", "apps.chat"], variables, log)
    try:
        await _ready("the chat service", process, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(_end, process)


def _start(settings: Settings, name: str) -> tuple["subprocess.Popen[bytes]", int, Path]:
    log = Home.at(None).root / "logs" / f"consumer-{name}.log"
    port = free_port()
    variables = to_environment(settings) | {"FEEDBACK_HTTP_PORT": str(port)}
    return _spawn(["-m", "ops.cli", "run", name], variables, log), port, log


def _spawn(arguments: Sequence[str], variables: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=os.environ | dict(variables),
            stdout=out,
            stderr=out,
            start_new_session=True,  # so that Ctrl-C reaches us alone, and they end after us
        )


async def _ready(name: str, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    async with httpx.AsyncClient() as client:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if (await client.get(f"http://127.0.0.1:{port}/readyz")).is_success:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(_ASK_EVERY)
    msg = f"{name} did not become ready; its log is {log}"
    raise DemoError(msg)


def _end(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def play(settings: Settings, events: int, seed: int, bars: Bars) -> Told:
    """Publish the sample traffic, wait until all of it is settled, and ask MLflow whether it agrees."""
    view = await View.open(settings)
    async with traffic_into(settings, seed=seed) as traffic:
        task = bars.add_task("publishing feedback", total=events)
        start = time.perf_counter()
        published = await traffic.play(events, lambda done: bars.update(task, completed=done))
    task = bars.add_task("settling", total=len(units_of(published.events)) + published.bad_records)
    deadline = time.monotonic() + _SETTLE_SECONDS + _SETTLE_SECONDS_PER_EVENT * events
    while True:
        ledger = await view.ledger(published, seconds=round(time.perf_counter() - start, 2))
        bars.update(task, completed=ledger.settled)
        if ledger.is_settled or time.monotonic() > deadline:
            break
        await asyncio.sleep(_ASK_EVERY)
    experiment_id = str(mlflow.set_experiment(EXPERIMENT).experiment_id)
    wrong = compare(published, await view.receipts(), experiment_id)
    return Told(replace(ledger, differences=tuple(wrong)), settings, experiment_id)


def compare(published: Published, receipts: Sequence[FeedbackLogged], experiment_id: str) -> list[str]:
    """Ask MLflow what it holds for the traces of the run, and say where that differs from the ledger."""
    units = units_of(published.events)
    traces = {request_id: answer.trace_id for request_id, answer in published.answers.items()}
    expected = expected_assessments(units, outcomes_of(units, receipts))
    return differences(expected, assessments_of([experiment_id], traces.values()), traces)


@dataclass(frozen=True, slots=True)
class View:
    """What Kafka says since the run began."""

    settings: Settings
    starts: Mapping[str, Mapping[TopicPartition, int]]

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Note where the topics of outcomes end now."""
        topics = settings.topics
        names = (topics.feedback_logged, topics.dead_letter)
        return cls(settings, {name: await end_offsets(settings.kafka, name) for name in names})

    async def receipts(self) -> list[FeedbackLogged]:
        """Read the receipts since then."""
        records = await self._read(self.settings.topics.feedback_logged)
        return [FeedbackLogged.model_validate_json(record.value or b"") for record in records]

    async def ledger(self, published: Published, *, seconds: float) -> Ledger:
        """Give the ledger as it stands."""
        settings = self.settings
        units = units_of(published.events)
        outcomes = Counter(outcomes_of(units, await self.receipts()).values())
        bad = undecodable(await self._read(settings.topics.dead_letter))
        behind = [await lag(settings.kafka, read.group, read.topic) for read in reads(settings)]
        return Ledger(
            published=len(units) + published.bad_records,
            logged=outcomes["logged"],
            superseded=outcomes["superseded"],
            withdrawn=outcomes["withdrawn"],
            dead=outcomes["dead-lettered"] + bad,
            lag=sum(behind),
            seconds=seconds,
            records=published.records,
        )

    async def _read(self, topic: str) -> list[Record]:
        return await read_topic(self.settings.kafka, topic, self.starts[topic])
