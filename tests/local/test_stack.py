"""The stack as its users meet it: found again, whole again after each kind of death, gone after down."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from support.watching import processes_in, wait_until

from local import stack
from local.home import Home

PARTS = ["kafka", "postgres", "mlflow"]
CLI = [sys.executable, "-c", "from local.cli import app; app()"]


def all_pids(home: Path) -> dict[str, list[int]]:
    return {part: stack.pids(home, part) for part in PARTS}


def ask_mlflow(address: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - our own loopback
        f"{address}/api/2.0/mlflow/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return dict(json.load(answer))


def experiments(address: str) -> set[str]:
    found = ask_mlflow(address, "experiments/search", {"max_results": 100})["experiments"]
    return {experiment["name"] for experiment in found}


async def write(bootstrap: str, topic: str, value: bytes) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", max_request_size=3_000_000
    ) as producer:
        await producer.send_and_wait(topic, value)


async def read(bootstrap: str, topic: str) -> bytes | None:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=f"{topic}-readers", auto_offset_reset="earliest"
    )
    async with consumer:
        record = await consumer.getone()
        return record.value


def test_a_second_up_finds_the_first(home: Path, running: stack.Addresses) -> None:
    before = all_pids(home)
    assert stack.up(home) == running
    assert all_pids(home) == before


def test_status_names_every_part(home: Path, running: stack.Addresses) -> None:
    by_name = {part.name: part for part in stack.status(home)}
    assert list(by_name) == PARTS
    for name, part in by_name.items():
        assert part.state == "running", part
        assert part.address == getattr(running, name)
        assert part.pid == stack.pids(home, name)[0]
        assert part.log.exists()
        assert part.uptime_seconds is not None
        assert part.uptime_seconds > 0


async def test_kafka_takes_two_mebibytes_and_makes_no_topic_unasked(running: stack.Addresses) -> None:
    await write(running.kafka, "large", b"x" * 2 * 1024 * 1024)
    assert await read(running.kafka, "large") == b"x" * 2 * 1024 * 1024
    producer = AIOKafkaProducer(bootstrap_servers=running.kafka, request_timeout_ms=1000)
    await producer.start()
    with pytest.raises(Exception, match=r"(?i)topic|timeout"):
        await producer.send_and_wait("never-made", b"")
    await producer.stop()


async def test_kafka_killed_keeps_records_and_address(home: Path, running: stack.Addresses) -> None:
    await write(running.kafka, "kept", b"before the kill")
    stack.kill_part(home, "kafka")
    assert [part.state for part in stack.status(home)] == ["stopped", "running", "running"]
    assert stack.up(home) == running
    assert await read(running.kafka, "kept") == b"before the kill"


def test_postgres_killed_while_busy_keeps_rows(home: Path, running: stack.Addresses) -> None:
    with psycopg.connect(running.postgres, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
    backend = keep_busy(running.postgres)
    stack.kill_part(home, "postgres", first_only=True)
    assert psutil.pid_exists(backend), "the case to be shown is a backend that outlives its postmaster"
    assert stack.up(home) == running
    with psycopg.connect(running.postgres) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (1,)
    assert backend not in stack.pids(home, "postgres")
    assert ask_mlflow(running.mlflow, "experiments/search", {"max_results": 1})["experiments"]


def keep_busy(address: str) -> int:
    """Have a backend run a query for minutes, in which it does not look whether its postmaster lives."""
    connection = psycopg.connect(address, autocommit=True)

    def work() -> None:
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT count(*) FROM generate_series(1, 100000000000)")
        connection.close()

    threading.Thread(target=work, daemon=True).start()
    backend = psutil.Process(connection.info.backend_pid)
    wait_until(lambda: "SELECT" in " ".join(backend.cmdline()))
    return connection.info.backend_pid


def test_mlflow_killed_leaves_no_children_and_keeps_experiments(home: Path, running: stack.Addresses) -> None:
    ask_mlflow(running.mlflow, "experiments/create", {"name": "kept"})
    first, *children = stack.pids(home, "mlflow")
    assert stack.kill_part(home, "mlflow", first_only=True) == [first]
    assert children
    assert stack.pids(home, "mlflow") == children, (
        "the case to be shown is children that outlive their parent"
    )
    assert stack.up(home) == running
    assert "kept" in experiments(running.mlflow)
    assert not set(children) & set(stack.pids(home, "mlflow"))


def test_a_restarted_machine_whose_ids_went_to_others(home: Path, running: stack.Addresses) -> None:
    """All processes are gone, and the numbers in every pid file belong to somebody else by now."""
    for part in PARTS:
        stack.kill_part(home, part)
    with subprocess.Popen([shutil.which("sleep") or "sleep", "600"]) as bystander:
        place = Home.at(home)
        for part in PARTS:
            record = json.loads(place.record(part).read_text())
            place.record(part).write_text(json.dumps(record | {"pid": bystander.pid}))
        lock = place.data("postgres") / "postmaster.pid"
        lock.write_text("\n".join([str(bystander.pid), *lock.read_text().splitlines()[1:], ""]))
        try:
            assert stack.up(home) == running
            stack.down(home)
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_two_ups_at_once_start_one_stack_that_outlives_both(home: Path) -> None:
    stack.down(home)
    command = [*CLI, "up", "--json", "--dir", str(home)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in "12"
    ]
    printed = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert printed[0] == printed[1]
    assert printed[0].count("\n") == 1
    assert set(json.loads(printed[0])) == {"kafka", "mlflow", "postgres"}
    assert [part.state for part in stack.status(home)] == ["running"] * 3
    assert len(stack.pids(home, "kafka")) == 1


def test_down_ends_also_what_has_lost_its_parent(home: Path, running: stack.Addresses) -> None:
    del running
    keep_busy(stack.up(home).postgres)
    for part in ("mlflow", "postgres"):
        stack.kill_part(home, part, first_only=True)
        assert stack.pids(home, part)
    assert sorted(stack.down(home)) == sorted(PARTS)
    assert processes_in(home) == []
    assert stack.down(home) == []
    assert [part.state for part in stack.status(home)] == ["stopped"] * 3


def test_a_frozen_part_is_replaced(place: Home) -> None:
    place.make()
    address = stack.start_part(place.root, "postgres")
    (first, *_) = stack.pids(place.root, "postgres")
    stack.kill_part(place.root, "postgres", signal.SIGSTOP)
    assert [part.state for part in stack.status(place.root) if part.name == "postgres"] == ["unhealthy"]
    assert stack.start_part(place.root, "postgres") == address
    assert first not in stack.pids(place.root, "postgres")
