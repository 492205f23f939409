"""The real stack for a benchmark, filled fast: traces and chats by COPY, events by librdkafka."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import httpx
import psycopg
from confluent_kafka import Producer

from consumers.settings import Settings, to_environment
from contracts.kafka import KafkaSettings
from local import stack as local_stack
from local.ports import free_port
from local.postgres import MLFLOW_DATABASE

AT_MS: Final = 1_769_860_800_000
"""Milliseconds: 2026-01-31 12:00 UTC, when the chats took place."""

COMMENT: Final = "The answer was helpful but missed the second half of what I had asked about the invoice."
_STEP_SECONDS: Final = 0.02
_SELDOM_SECONDS: Final = 1.0
_READY_SECONDS: Final = 60
_END_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class World:
    """Topics, groups, schema and experiment of one benchmark."""

    rig: "Rig"
    settings: Settings
    experiment: str
    prefix: str

    def request_id(self, number: int) -> str:
        """Give the id of a chat."""
        return f"{self.prefix}{number}"

    def trace_id(self, number: int) -> str:
        """Give the id of its trace."""
        return f"tr-{self.prefix}{number:022d}"

    def make_traces(self, count: int, *, first: int = 0) -> None:
        """Write traces into MLflow's table."""
        with (
            psycopg.connect(self.rig.mlflow_database) as session,
            session.cursor().copy(
                b"COPY trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms, status,"
                b" client_request_id) FROM STDIN"
            ) as copy,
        ):
            for number in range(first, first + count):
                copy.write_row(
                    (
                        self.trace_id(number),
                        int(self.experiment),
                        AT_MS + number,
                        1000,
                        "OK",
                        self.request_id(number),
                    )
                )

    def make_chats(self, count: int, *, first: int = 0) -> None:
        """Write the join index, as the chats consumer would have."""
        schema = self.settings.database_schema
        with (
            psycopg.connect(self.rig.postgres) as session,
            session.cursor().copy(
                f"COPY {schema}.chats (client_request_id, trace_id, completed_at, event_id, session_id,"
                " user_id, environment, app_version, region) FROM STDIN".encode()
            ) as copy,
        ):
            for number in range(first, first + count):
                copy.write_row(
                    (
                        self.request_id(number),
                        self.trace_id(number),
                        "2026-01-31T12:00:00Z",
                        UUID(int=number),
                        f"session-{number % 1000}",
                        f"user-{number % 1000}",
                        "production",
                        "1.4.2",
                        "eu-west-1",
                    )
                )

    def event(self, number: int, chats: int) -> tuple[bytes, bytes]:
        """Give key and value of a feedback event."""
        key = self.request_id(number % chats)
        document = {
            "type": "FeedbackSubmitted",
            "event_id": str(uuid4()),
            "client_request_id": key,
            "source": {"type": "HUMAN", "id": f"user-{number}"},
            "submitted_at": "2026-01-31T12:00:05.123Z",
            "metadata": {"page": f"/invoices/{number}"},
            "assessments": [{"name": "helpful", "value": number % 3 > 0, "rationale": COMMENT}],
        }
        return key.encode(), json.dumps(document).encode()

    def publish(self, count: int, *, chats: int, first: int = 0) -> None:
        """Publish feedback events and wait until all are acknowledged."""
        producer = Producer(
            {
                "bootstrap.servers": self.rig.kafka,
                "linger.ms": 20,
                "batch.num.messages": 10_000,
                "queue.buffering.max.messages": 500_000,
            }
        )
        topic = self.settings.topics.feedback_submitted
        for number in range(first, first + count):
            key, value = self.event(number, chats)
            producer.produce(topic, value, key)
            if number % 1000 == 0:
                producer.poll(0)
        if left := producer.flush(120):
            msg = f"{left} events were not acknowledged"
            raise RuntimeError(msg)

    def assessments(self) -> int:
        """Count what stands in MLflow."""
        with psycopg.connect(self.rig.mlflow_database) as session:
            (count,) = session.execute(
                "SELECT count(*) FROM assessments WHERE experiment_id = %s", [int(self.experiment)]
            ).fetchone() or (0,)
        return int(count)

    @contextmanager
    def consumers(self, name: str = "feedback", **environment: str) -> Iterator["Process"]:
        """Run `feedback run`, and end it."""
        port = free_port()
        log = self.rig.folder / f"{self.settings.database_schema}-{port}.log"
        variables = to_environment(self.settings) | {
            "FEEDBACK_HTTP_PORT": str(port),
            "FEEDBACK_LOG_LEVEL": "WARNING",
        }
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "ops.cli", "run", name],
                env=os.environ | variables | environment,
                stdout=out,
                stderr=out,
            )
        try:
            running = Process(process, port, log)
            wait_for(running.is_ready, seconds=_READY_SECONDS, what=f"{name} is ready")
            yield running
        finally:
            process.terminate()
            process.wait(_END_SECONDS)


@dataclass(frozen=True, slots=True)
class Process:
    """One process of consumers."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def is_ready(self) -> bool:
        """Tell whether it works; fails when it has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(self.log.read_text()[-4000:])
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


@dataclass(frozen=True, slots=True)
class Rig:
    """Addresses of the running stack."""

    kafka: str
    postgres: str
    mlflow: str
    folder: Path

    @property
    def mlflow_database(self) -> str:
        """Give the address of MLflow's own database."""
        return urlunsplit(urlsplit(self.postgres)._replace(path=f"/{MLFLOW_DATABASE}"))

    def world(self, *, partitions: int = 6, **given: object) -> World:
        """Make topics, a schema and an experiment of one's own."""
        name = f"b{uuid4().hex[:8]}"
        answer = httpx.post(
            f"{self.mlflow}/api/2.0/mlflow/experiments/create", json={"name": name}, timeout=30
        )
        experiment = str(answer.raise_for_status().json()["experiment_id"])
        fields: dict[str, object] = {
            "kafka": KafkaSettings(bootstrap_servers=self.kafka),
            "topic_prefix": f"{name}-",
            "topic_partitions": partitions,
            "database_url": self.postgres,
            "database_schema": name,
            "mlflow_tracking_uri": self.mlflow,
            "mlflow_experiments": (experiment,),
        }
        settings = Settings(**(fields | given))  # type: ignore[arg-type]  # the fields by name
        variables = os.environ | to_environment(settings)
        subprocess.run(
            [sys.executable, "-m", "ops.cli", "topics", "create"],
            env=variables,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return World(self, settings, experiment, name)


@contextmanager
def the_rig(folder: Path) -> Iterator[Rig]:
    """Start the stack in a folder, and delete it at the end."""
    local_stack.down(folder, purge=True)
    addresses = local_stack.up(folder)
    try:
        yield Rig(addresses.kafka, addresses.postgres, addresses.mlflow, folder)
    finally:
        local_stack.down(folder, purge=True)


def wait_for(condition: Callable[[], bool], *, seconds: float, what: str) -> float:
    """Wait for a condition; gives the seconds that it took.

    Raises:
        TimeoutError: when it does not hold in time.

    """
    began = time.perf_counter()
    while not condition():
        if time.perf_counter() - began > seconds:
            msg = f"not within {seconds:g} s: {what}"
            raise TimeoutError(msg)
        time.sleep(_STEP_SECONDS)
    return time.perf_counter() - began


def rate(count: Callable[[], int], total: int, *, seconds: float) -> float:
    """Give how many a second there were, from the first that was seen until all were there.

    Counting takes as much of the machine as the work itself: it is done seldom, until nearly all must be
    there.
    """
    wait_for(lambda: count() > 0, seconds=seconds, what="the first")
    first, began = count(), time.perf_counter()
    done = first
    while done < total:
        passed = time.perf_counter() - began
        if passed > seconds:
            msg = f"not within {seconds:g} s: all {total}"
            raise TimeoutError(msg)
        left = (total - done) * passed / (done - first) if done > first else _SELDOM_SECONDS
        time.sleep(min(max(left / 2, _STEP_SECONDS), _SELDOM_SECONDS))
        done = count()
    return (total - first) / (time.perf_counter() - began)
