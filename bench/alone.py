"""The pipeline without MLflow: a backlog in Kafka, Postgres as ever, and a sink that discards."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

import psutil
from aiokafka import AIOKafkaConsumer

from bench.apart import apart
from bench.discard import NAME
from bench.rig import Process, Rig, Settled, World, steady_rate
from bench.size import Run, Samples, Size

WORKERS: Final = (1, 2, 4)
SINK_SECONDS: Final = 0.02
_SLOW_BATCH: Final = 100
"""Records of a batch where the sink is slow, so that many batches end while it is watched."""

_PUBLISHERS: Final = 2
_POLL_MS: Final = 1000
_STEP_SECONDS: Final = 0.25
_SLOW_SHARE: Final = 10
"""The slow sink needs a smaller backlog by so many times."""


@contextmanager
def discard(rig: Rig, size: Size) -> Iterator[Run]:
    """Measure raw reading, then one process and four, over the same backlog."""
    backlog = _backlog(rig, size.backlog, size.backlog_chats)

    def run(_known: Samples) -> dict[str, float]:
        found = {"getmany_per_s": getmany_per_s(backlog, size.backlog)}
        for count, name in ((1, "discard_per_s"), (4, "discard_4_per_s")):
            rig.clean(topics=False)
            world = backlog.again()
            world.make_chats(size.backlog_chats)
            with world.processes(count, [NAME]):
                found[name] = _steady_rate(world, size.backlog, size.steady_seconds)
        return found

    yield run


@contextmanager
def workers(rig: Rig, size: Size) -> Iterator[Run]:
    """Measure 1, 2 and 4 processes against a sink of 20 ms, over many partitions and over one."""
    one = _backlog(rig, size.backlog // _SLOW_SHARE, size.backlog_chats, partitions=1)
    backlogs = {"many": (_backlog(rig, size.backlog, size.backlog_chats), size.backlog)}
    backlogs["one"] = (one, size.backlog // _SLOW_SHARE)

    def run(_known: Samples) -> dict[str, float]:
        found = {}
        for (label, (backlog, total)), count in (
            (pair, count) for pair in backlogs.items() for count in WORKERS
        ):
            rig.clean(topics=False)
            world = backlog.again()
            world.make_chats(size.backlog_chats)
            module = [NAME, "--seconds", str(SINK_SECONDS)]
            with world.processes(count, module, FEEDBACK_BATCH_MAX_RECORDS=str(_SLOW_BATCH)):
                name = f"workers_{label}_{count}_per_s"
                found[name] = _steady_rate(world, total, size.steady_seconds)
        return found

    yield run


@contextmanager
def memory(rig: Rig, size: Size) -> Iterator[Run]:
    """Measure the memory of a consumer that finds a long backlog, and logs it in bulk."""
    backlog = _backlog(rig, size.backlog, size.backlog_chats)

    def run(_known: Samples) -> dict[str, float]:
        rig.clean(topics=False)
        world = backlog.again()
        world.make_traces(size.backlog_chats)
        world.make_chats(size.backlog_chats)
        with world.processes() as (process,):
            rss = _highest_rss(process, size.rss_seconds)
            settled = Settled(world)()
        return {"rss_backlog_mb": rss / 1e6, "rss_settled": settled}

    yield run


def _steady_rate(world: World, total: int, seconds: float) -> float:
    settled = Settled(world)
    settled.wait_until_shared()
    return steady_rate(settled, total, seconds=seconds)


@cache
def _backlog(rig: Rig, count: int, chats: int, partitions: int = 12) -> World:
    """Publish a backlog, once for all that read it; its chats are of the schema of each reader."""
    world = rig.world(partitions=partitions)
    world.publish(count, chats=chats, processes=_PUBLISHERS)
    return world


def _highest_rss(process: Process, seconds: float) -> int:
    """Give the most bytes that a process had in memory, with its children."""
    top = psutil.Process(process.process.pid)
    highest, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        family = [top, *top.children(recursive=True)]
        highest = max(highest, sum(member.memory_info().rss for member in family))
        time.sleep(_STEP_SECONDS)
    return highest


def getmany_per_s(world: World, count: int) -> float:
    """Read a backlog by aiokafka's ``getmany`` alone, in a process of its own."""
    return apart(_getmany, world.rig.kafka, world.settings.topics.feedback_submitted, count)


def _getmany(kafka: str, topic: str, count: int) -> float:
    return asyncio.run(_read(kafka, topic, count))


async def _read(kafka: str, topic: str, count: int) -> float:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        read, began = 0, time.perf_counter()
        while read < count:
            read += sum(map(len, (await consumer.getmany(timeout_ms=_POLL_MS)).values()))
        return read / (time.perf_counter() - began)
    finally:
        await consumer.stop()
