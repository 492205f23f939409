"""The real stack for a benchmark, filled fast: traces and chats by one statement, events by librdkafka."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import httpx
import psycopg
from confluent_kafka import Consumer, ConsumerGroupState, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from bench.apart import spread
from consumers.bootstrap import FEEDBACK_GROUP
from consumers.settings import Settings, to_environment
from contracts.identity import assessment_id, feedback_id
from contracts.kafka import KafkaSettings
from local import stack as local_stack
from local.home import Home
from local.lift import lift, lower
from local.mlflow_server import MlflowServer
from local.ports import free_port
from local.postgres import MLFLOW_DATABASE
from local.progress import Silent
from ops.topics import create_topics
from pipeline.adapters.postgres import apply_schema, make_pool

AT_MS: Final = 1_769_860_800_000
"""Milliseconds: 2026-01-31 12:00 UTC, when the chats took place."""

COMMENT: Final = "The answer was helpful but missed the second half of what I had asked about the invoice."

STRIDE: Final = 7919
"""A prime, so that feedback goes through all chats in no order that an index or a cache would like."""

RUN: Final = ("ops.cli", "run", "feedback")
"""The module of one process of consumers, and its arguments."""

_SCHEMA: Final = re.compile(r"b[0-9a-f]{8}")
_TOPIC: Final = re.compile(r"b[0-9a-f]{8}-")
_STEP_SECONDS: Final = 0.02
_SELDOM_SECONDS: Final = 3.0
_READY_SECONDS: Final = 120
_END_SECONDS: Final = 60
_DRAIN_SECONDS: Final = 600
_CALM_SECONDS: Final = 4
"""Longer than a heartbeat, after which the last member of a group hears of a new one."""

_TRACES: Final = b"""
INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms, status, client_request_id)
SELECT 'tr-' || %(prefix)s || lpad(n::text, 22, '0'), %(experiment)s, %(at)s + n, 1000, 'OK', %(prefix)s || n
FROM generate_series(0, %(last)s) AS n
"""

_CHATS: Final = """
INSERT INTO {schema}.chats (client_request_id, trace_id, completed_at, event_id, session_id, user_id,
                            environment, app_version, region)
SELECT %(prefix)s || n, 'tr-' || %(prefix)s || lpad(n::text, 22, '0'), '2026-01-31T12:00:00Z',
       gen_random_uuid(), 'session-' || n %% 1000, 'user-' || n %% 1000, 'production', '1.4.2', 'eu-west-1'
FROM generate_series(0, %(last)s) AS n
"""


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

    def make_traces(self, count: int) -> None:
        """Write traces into MLflow's table."""
        given = {
            "prefix": self.prefix,
            "experiment": int(self.experiment),
            "at": AT_MS,
            "last": count - 1,
        }
        with psycopg.connect(self.rig.mlflow_database, autocommit=True) as session:
            session.execute(_TRACES, given)
            session.execute("VACUUM ANALYZE trace_info")

    def make_chats(self, count: int) -> None:
        """Write the join index, as the chats consumer would have."""
        schema = self.settings.database_schema
        with psycopg.connect(self.rig.postgres, autocommit=True) as session:
            session.execute(_CHATS.format(schema=schema).encode(), {"prefix": self.prefix, "last": count - 1})
            session.execute(f"VACUUM ANALYZE {schema}.chats".encode())

    def event(self, number: int, chats: int, oldest: int = 0) -> tuple[bytes, bytes]:
        """Give key and value of a feedback event on one of so many chats, from the oldest on."""
        key = self.request_id(oldest + number * STRIDE % chats)
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

    def assessment_id(self, number: int, chats: int) -> str:
        """Give the id of the assessment that the event will be."""
        key = self.request_id(number * STRIDE % chats)
        who = f"user-{number}"
        found = feedback_id(
            reference=key, span_id=None, kind="feedback", name="helpful", source_type="HUMAN", who=who
        )
        return assessment_id(found)

    def item(self, number: int, chats: int) -> dict[str, Any]:
        """Give what the pipeline sends to the plugin for such an event, as another one's."""
        chat = number * STRIDE % chats
        return {
            "op": "log",
            "assessment_id": f"a-{uuid4().hex}",
            "trace_id": self.trace_id(chat),
            "name": "helpful",
            "kind": "feedback",
            "value": number % 3 > 0,
            "rationale": COMMENT,
            "source_type": "HUMAN",
            "source_id": f"user-{number}",
            "timestamp_ms": AT_MS,
            "metadata": {
                "page": f"/invoices/{number}",
                "session_id": f"session-{chat % 1000}",
                "user_id": f"user-{chat % 1000}",
                "environment": "production",
                "app_version": "1.4.2",
                "region": "eu-west-1",
                "feedback.event_id": str(uuid4()),
                "feedback.version": "2026-01-31T12:00:05.123000+00:00",
                "feedback.client_request_id": self.request_id(chat),
            },
        }

    def producer(self, linger_ms: int = 20) -> Producer:
        """Give a producer as fast as there is one."""
        return Producer(
            _client(self.rig.kafka)
            | {
                "linger.ms": linger_ms,
                "batch.num.messages": 10_000,
                "queue.buffering.max.messages": 500_000,
            }
        )

    def publish(self, count: int, *, chats: int, oldest: int = 0, first: int = 0, processes: int = 1) -> None:
        """Publish feedback events and wait until all are acknowledged."""
        if processes > 1:
            part = count // processes
            starts = [first + number * part for number in range(processes)]
            counts = [*[part] * (processes - 1), count - part * (processes - 1)]
            parts = zip(counts, starts, strict=True)
            spread(_publish, [(self, some, chats, oldest, start) for some, start in parts])
            return
        producer = self.producer()
        topic = self.settings.topics.feedback_submitted
        for number in range(first, first + count):
            key, value = self.event(number, chats, oldest)
            _produce(producer, topic, key, value)
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

    def traces(self) -> int:
        """Count the traces whose root span is in MLflow."""
        with psycopg.connect(self.rig.mlflow_database) as session:
            (count,) = session.execute(
                "SELECT count(*) FROM spans WHERE experiment_id = %s AND parent_span_id IS NULL",
                [int(self.experiment)],
            ).fetchone() or (0,)
        return int(count)

    def again(self) -> "World":
        """Give the same topics, unread, with a schema of their own."""
        _forget_group(self.rig.kafka, self.settings.group(FEEDBACK_GROUP))
        settings = self.settings.model_copy(update={"database_schema": _new_name()})
        asyncio.run(_make_schema(settings))
        return replace(self, settings=settings)

    def drained_per_s(self, count: int, *options: str, before: int = 0) -> float:
        """Have `feedback run feedback` log a backlog of so many; gives how many a second it does.

        Its start is not counted, its first batches are: from the first assessment that is seen.
        """
        with self._started(1, (*RUN, *options), {}) as (process,):

            def done() -> int:
                process.check()
                return self.assessments() - before

            return rate(done, count, seconds=_DRAIN_SECONDS)

    @contextmanager
    def processes(
        self, count: int = 1, module: Sequence[str] = RUN, **environment: str
    ) -> Iterator[list["Process"]]:
        """Run so many processes of a module, wait until all are ready, and end them."""
        with self._started(count, module, environment) as running:
            for process in running:
                wait_for(process.is_ready, seconds=_READY_SECONDS, what=f"{' '.join(module)} is ready")
            yield running

    @contextmanager
    def _started(
        self, count: int, module: Sequence[str], environment: Mapping[str, str]
    ) -> Iterator[list["Process"]]:
        running = [self._start(module, environment) for _ in range(count)]
        try:
            yield running
        finally:
            for process in running:
                process.process.terminate()
            for process in running:
                process.process.wait(_END_SECONDS)

    def _start(self, module: Sequence[str], environment: Mapping[str, str]) -> "Process":
        port = free_port()
        log = self.rig.folder / "logs" / f"{self.settings.database_schema}-{port}.log"
        variables = to_environment(self.settings) | {
            "FEEDBACK_HTTP_PORT": str(port),
            "FEEDBACK_CHAT_PORT": str(port),
            "FEEDBACK_LOG_LEVEL": "WARNING",
        }
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", *module],
                env={**os.environ, **variables, **environment},
                stdout=out,
                stderr=out,
            )
        return Process(process, port, log)


@dataclass(frozen=True, slots=True)
class Process:
    """One process of consumers."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def check(self) -> None:
        """Fail when it has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(self.log.read_text()[-4000:])

    def is_ready(self) -> bool:
        """Tell whether it works; fails when it has ended."""
        self.check()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


class Settled:
    """How many records of a world's events are settled, as their offsets are committed."""

    def __init__(self, world: World) -> None:
        settings = world.settings
        self._group = settings.group(FEEDBACK_GROUP)
        self._client = _client(world.rig.kafka)
        self._consumer = Consumer(self._client | {"group.id": self._group})
        topic = settings.topics.feedback_submitted
        self._partitions = [TopicPartition(topic, number) for number in range(settings.topic_partitions)]

    def __call__(self) -> int:
        """Count."""
        found = self._consumer.committed(self._partitions, timeout=30)
        return sum(max(partition.offset, 0) for partition in found)

    def wait_until_shared(self) -> None:
        """Wait until the group has shared out its partitions, and nobody comes any more."""
        admin = AdminClient(self._client)
        seen, since = (None, 0), time.monotonic()

        def is_calm() -> bool:
            nonlocal seen, since
            group = admin.describe_consumer_groups([self._group])[self._group].result()
            if seen != (now := (group.state, len(group.members))):
                seen, since = now, time.monotonic()
            return group.state is ConsumerGroupState.STABLE and time.monotonic() - since > _CALM_SECONDS

        wait_for(is_calm, seconds=_READY_SECONDS, what=f"the group {self._group} is stable")


@dataclass(frozen=True, slots=True)
class Rig:
    """Addresses of the running stack."""

    kafka: str
    postgres: str
    mlflow: str
    folder: Path
    mlflow_name: str = MLFLOW_DATABASE

    @property
    def mlflow_database(self) -> str:
        """Give the address of MLflow's own database."""
        return database(self.postgres, self.mlflow_name)

    def clean(self, *, topics: bool = True) -> None:
        """Empty MLflow of traces and drop all worlds' schemas and topics, so that each run finds the same.

        A checkpoint as well: after one, Postgres writes each page whole the first time that it changes.
        """
        if topics:
            _delete_topics(self.kafka)
        with psycopg.connect(self.mlflow_database, autocommit=True) as session:
            session.execute("TRUNCATE trace_info CASCADE")
        with psycopg.connect(self.postgres, autocommit=True) as session:
            for (name,) in session.execute("SELECT nspname FROM pg_namespace").fetchall():
                if _SCHEMA.fullmatch(name):
                    session.execute(f"DROP SCHEMA {name} CASCADE".encode())
            session.execute("CHECKPOINT")

    def world(self, *, partitions: int = 12, **given: object) -> World:
        """Make topics, a schema and an experiment of one's own."""
        name = _new_name()
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
        asyncio.run(create_topics(settings))
        asyncio.run(_make_schema(settings))
        return World(self, settings, experiment, name)

    @contextmanager
    def another_mlflow(self, name: str) -> Iterator["Rig"]:
        """Run one more MLflow beside, with a database of its own in the same Postgres."""
        with psycopg.connect(self.postgres, autocommit=True) as session:
            session.execute(f'CREATE DATABASE "{name}"'.encode())
        home = Home(self.folder.with_name(f"{self.folder.name}-{name}"), Home.at(self.folder).cache)
        home.make()
        server = _OtherMlflow(home, database(self.postgres, name))
        try:
            yield replace(self, mlflow=lift([server], Silent())[server.name], mlflow_name=name)
        finally:
            lower([server])
            home.purge()


class _OtherMlflow(MlflowServer):
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, home: Home, url: str) -> None:
        super().__init__(home)
        self._url = url

    def store(self, ports: dict[str, int]) -> str:
        del ports
        return self._url.replace("postgresql://", "postgresql+psycopg://")


@contextmanager
def the_rig(folder: Path) -> Iterator[Rig]:
    """Start the stack in a folder, and delete it at the end."""
    local_stack.down(folder, purge=True)
    addresses = local_stack.up(folder)
    try:
        yield Rig(addresses.kafka, addresses.postgres, addresses.mlflow, folder)
    finally:
        local_stack.down(folder, purge=True)


def database(url: str, name: str) -> str:
    """Give the address of another database of the same Postgres."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


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


def steady_rate(count: Callable[[], int], total: int, *, seconds: float) -> float:
    """Give how many a second there are in the midst of a backlog, over so many seconds.

    Raises:
        RuntimeError: when the backlog ends meanwhile.

    """
    first, began = count(), time.perf_counter()
    time.sleep(seconds)
    last, ended = count(), time.perf_counter()
    if last >= total:
        msg = f"all {total} records were settled before the time was over: publish more"
        raise RuntimeError(msg)
    return (last - first) / (ended - began)


def _client(kafka: str) -> dict[str, Any]:
    """Give the options of librdkafka's clients, which would tell of each that ends."""
    return {"bootstrap.servers": kafka, "log_level": 3}


def _new_name() -> str:
    return f"b{uuid4().hex[:8]}"


async def _make_schema(settings: Settings) -> None:
    pool = make_pool(settings.database_url.get_secret_value(), settings.database_schema, size=1)
    try:
        await pool.open()
        await apply_schema(pool, settings.database_schema)
    finally:
        await pool.close()


def _publish(world: World, count: int, chats: int, oldest: int, first: int) -> None:
    world.publish(count, chats=chats, oldest=oldest, first=first)


def _produce(producer: Producer, topic: str, key: bytes, value: bytes) -> None:
    while True:
        try:
            producer.produce(topic, value, key)
        except BufferError:
            producer.poll(0.1)
        else:
            return


def _delete_topics(kafka: str) -> None:
    """Delete the topics of all worlds: a few hundred are more than the broker's memory has room for."""
    admin = AdminClient(_client(kafka))
    names = [name for name in admin.list_topics(timeout=30).topics if _TOPIC.match(name)]
    for future in admin.delete_topics(names).values() if names else ():
        future.result(30)


def _forget_group(kafka: str, group: str) -> None:
    """Delete a group with its offsets, once its last member has left."""
    admin = AdminClient(_client(kafka))

    def is_gone() -> bool:
        try:
            admin.delete_consumer_groups([group])[group].result()
        except KafkaException as error:
            return str(error.args[0].name()) == "GROUP_ID_NOT_FOUND"
        return True

    wait_for(is_gone, seconds=_END_SECONDS, what=f"the group {group} is empty")
