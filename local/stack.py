"""The local stack: Kafka, Postgres and MLflow, brought up, looked at and ended as one.

`up()` starts what does not run and finds what does; `down()` keeps the data, and `purge=True` deletes it.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from local import kafka, runner
from local.errors import LocalStackError, failure
from local.home import Home
from local.lift import lift, lower
from local.mlflow_server import MlflowServer
from local.part import Part
from local.postgres import Postgres
from local.progress import Progress, Silent

__all__ = [
    "Addresses",
    "LocalStackError",
    "PartStatus",
    "down",
    "kill_part",
    "pids",
    "start_part",
    "status",
    "stop_part",
    "up",
]

_LOCK_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the parts are reached: Kafka as `host:port` (with commas between several), the others as URLs."""

    kafka: str
    mlflow: str
    postgres: str


@dataclass(frozen=True, slots=True)
class PartStatus:
    """What a part is doing; `pid`, `address` and `uptime_seconds` only while its process lives."""

    name: str
    state: Literal["running", "stopped", "unhealthy"]
    pid: int | None
    address: str | None
    log: Path
    uptime_seconds: float | None
    problem: str | None = None


def up(home: Path | None = None, *, progress: Progress | None = None, brokers: int = 1) -> Addresses:
    """Start whatever does not run, wait until all of it answers, and give the addresses.

    A second call finds what the first has started, also while the first is still at work. What a crashed run
    left behind is ended, and its data and ports are used again. Raises LocalStackError; then nothing that
    this call started is left running.
    """
    place = Home.at(home)
    place.make()
    with _alone(place):
        parts = _parts(place, kafka.make_cluster(place, brokers))
        reached = lift(parts, progress or Silent())
    brokers_reached = ",".join(reached[name] for name in reached if name.startswith("kafka"))
    return Addresses(kafka=brokers_reached, mlflow=reached["mlflow"], postgres=reached["postgres"])


def down(home: Path | None = None, *, purge: bool = False) -> list[str]:
    """End every process of the stack, keep its data unless `purge`, and give the names of those that ran."""
    place = Home.at(home)
    if not place.is_ours():
        # The folder may have been deleted under a running stack; its processes can be found all the same.
        return lower(_known_parts(place))
    with _alone(place):
        ended = lower(_known_parts(place))
        if purge:
            place.purge()
    return ended


def status(home: Path | None = None) -> list[PartStatus]:
    """Say of each part whether it runs and answers."""
    return [_status(part) for part in _known_parts(Home.at(home))]


def pids(home: Path | None, part: str) -> list[int]:
    """Give the ids of all living processes of a part, its first one first; empty where it does not run."""
    return [process.pid for process in runner.all_processes(_part(Home.at(home), part))]


def start_part(home: Path | None, name: str, *, progress: Progress | None = None) -> str:
    """Start one part of a stack that has been up before, unless it works; give its address."""
    place = Home.at(home)
    with _alone(place):
        part = _part(place, name)
        part.fetch(progress or Silent())
        return runner.ensure(part, progress or Silent(), threading.Event())


def stop_part(home: Path | None, name: str) -> bool:
    """End one part in good order; say whether it ran."""
    place = Home.at(home)
    with _alone(place):
        return runner.end(_part(place, name))


def kill_part(
    home: Path | None, name: str, number: int = signal.SIGKILL, *, first_only: bool = False
) -> list[int]:
    """Send a signal to all processes of a part, or to its first one only; give the ids that it was sent to.

    After SIGKILL the call returns when they are gone. SIGSTOP and SIGCONT freeze and thaw a part.
    """
    return runner.signal_part(_part(Home.at(home), name), number, first_only=first_only)


@contextmanager
def _alone(place: Home) -> Iterator[None]:
    try:
        with FileLock(place.lock, timeout=_LOCK_SECONDS):
            yield
    except Timeout:
        what = f"another `up` or `down` has held {place.lock} for {_LOCK_SECONDS} s"
        raise failure("stack", what, "end it, then try again") from None


def _parts(place: Home, cluster: kafka.Cluster) -> list[Part]:
    nodes = [kafka.KafkaNode(place, name, cluster) for name in cluster.names]
    return [*nodes, Postgres(place), MlflowServer(place)]


def _known_parts(place: Home) -> list[Part]:
    return _parts(place, kafka.known_cluster(place) or kafka.Cluster("", 1))


def _part(place: Home, name: str) -> Part:
    parts = {part.name: part for part in _known_parts(place)}
    if name not in parts:
        raise failure(name, f"there is no such part in {place.root}", f"choose one of {', '.join(parts)}")
    return parts[name]


def _status(part: Part) -> PartStatus:
    record = runner.alive(part)
    if record is None:
        return PartStatus(part.name, "stopped", None, None, part.log, None)
    wrong = runner.problem(part, record.address)
    state: Literal["running", "unhealthy"] = "unhealthy" if wrong else "running"
    uptime = time.time() - record.started
    return PartStatus(part.name, state, record.pid, record.address, part.log, uptime, wrong)
