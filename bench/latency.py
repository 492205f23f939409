"""From publish to visible in MLflow: one event at a time, and amid half of the load that can be taken.

Visible is what MLflow's database shows to another session: it is what MLflow's API would answer from, and
asking for it takes next to nothing of the machine.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Final

import psycopg
from confluent_kafka import Producer

from bench.apart import beside
from bench.figures import percentile
from bench.rig import Rig, World
from bench.size import Run, Samples, Size

STEP_SECONDS: Final = 0.002
PROBE_SECONDS: Final = 0.05
_PAUSE_SECONDS: Final = (0.02, 0.08)
_CHATS: Final = 20_000
_WARM_EVENTS: Final = 20
_WARM_SECONDS: Final = 4
_LOADED: Final = 10_000_000
"""Where the numbers of the load begin, far from those of the probes."""

_PUBLISH_SECONDS: Final = 0.02
_GIVE_UP_SECONDS: Final = 30
_VISIBLE: Final = "SELECT assessment_id FROM assessments WHERE assessment_id = ANY(%s)"


@contextmanager
def latency(rig: Rig, size: Size) -> Iterator[Run]:
    """Measure both with a consumer process a core; half of what `bench.bulk` has found is the load."""

    def run(known: Samples) -> dict[str, float]:
        rig.clean()
        world = rig.world()
        world.make_traces(_CHATS)
        world.make_chats(_CHATS)
        load = median(known["bulk_per_s"]) / 2
        with world.processes(os.cpu_count() or 1):
            quiet = _quiet(world, size.quiet_events)
            busy = _half_load(world, load, size.half_load_seconds)
        return {
            "latency_quiet_p50_ms": percentile(quiet, 50),
            "latency_quiet_p99_ms": percentile(quiet, 99),
            "latency_half_load_p50_ms": percentile(busy, 50),
            "latency_half_load_p99_ms": percentile(busy, 99),
            "half_load_per_s": load,
        }

    yield run


class _Probes:
    """Events of which it is watched when they come to be seen."""

    def __init__(self, world: World, session: psycopg.Connection) -> None:
        self._world = world
        self._session = session
        self._producer: Producer = world.producer(linger_ms=0)
        self._waiting: dict[str, float] = {}
        self.milliseconds: list[float] = []

    def send(self, number: int) -> None:
        """Publish one."""
        key, value = self._world.event(number, _CHATS)
        self._waiting[self._world.assessment_id(number, _CHATS)] = time.perf_counter()
        self._producer.produce(self._world.settings.topics.feedback_submitted, value, key)
        self._producer.poll(0)

    def close(self) -> None:
        """Hear of the last acknowledgements."""
        self._producer.flush(_GIVE_UP_SECONDS)

    def look(self) -> bool:
        """See which have come; tells whether some have not."""
        found = self._session.execute(_VISIBLE, [list(self._waiting)]).fetchall() if self._waiting else []
        now = time.perf_counter()
        self.milliseconds += [(now - self._waiting.pop(name)) * 1000 for (name,) in found]
        if any(now - sent > _GIVE_UP_SECONDS for sent in self._waiting.values()):
            msg = f"an event was not seen within {_GIVE_UP_SECONDS} s"
            raise TimeoutError(msg)
        return bool(self._waiting)


@contextmanager
def _probes(world: World) -> Iterator[_Probes]:
    database, options = world.rig.mlflow_database, "-c plan_cache_mode=force_custom_plan"
    with psycopg.connect(database, autocommit=True, options=options) as session:
        probes = _Probes(world, session)
        yield probes
        probes.close()


def _quiet(world: World, count: int) -> list[float]:
    with _probes(world) as probes:
        for number in range(_WARM_EVENTS + count):
            probes.send(number)
            while probes.look():
                time.sleep(STEP_SECONDS)
            time.sleep(random.uniform(*_PAUSE_SECONDS))  # noqa: S311 - so that no rhythm meets another
        return probes.milliseconds[_WARM_EVENTS:]


def _half_load(world: World, per_second: float, seconds: float) -> list[float]:
    first = _LOADED // 2
    with beside(_load, world, per_second, _WARM_SECONDS + seconds + 1), _probes(world) as probes:
        began = time.perf_counter()
        sent = warm = 0
        while time.perf_counter() - began < _WARM_SECONDS + seconds or probes.look():
            passed = time.perf_counter() - began
            if passed < _WARM_SECONDS + seconds and passed >= sent * PROBE_SECONDS:
                warm += passed < _WARM_SECONDS
                probes.send(first + sent)
                sent += 1
            probes.look()
            time.sleep(STEP_SECONDS)
        return probes.milliseconds[warm:]


def _load(world: World, per_second: float, seconds: float) -> None:
    producer = world.producer()
    topic = world.settings.topics.feedback_submitted
    began, sent = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        due = int(passed * per_second)
        for number in range(_LOADED + sent, _LOADED + due):
            key, value = world.event(number, _CHATS)
            producer.produce(topic, value, key)
        sent = due
        producer.poll(0)
        time.sleep(_PUBLISH_SECONDS)
    producer.flush(60)
