"""What a feedback costs in a small and a large MLflow: the straightforward endpoint beside the pipeline."""

import os
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Final

import psycopg

from bench.apart import apart
from bench.rest import logger
from bench.rig import Rig, World
from bench.size import Run, Samples, Size
from bench.trial import fastest

LABELS: Final = ("1k", "100k", "1m")
"""Of the sizes, whatever they are in a quick run."""

RECENT: Final = 1_000
"""How many of the newest chats get the feedback, so that nothing but the number of traces differs."""

AT_ONCE: Final = (4, 16)


@contextmanager
def traces(rig: Rig, size: Size) -> Iterator[Run]:
    """Fill an MLflow of its own for each number of traces, all in one Postgres; measure them in turns."""
    rig.clean()
    with ExitStack() as stack:
        worlds = {}
        for label, count in zip(LABELS, size.traces, strict=True):
            world = stack.enter_context(rig.another_mlflow(f"traces_{label}")).world()
            world.make_traces(count)
            world.make_chats(count)
            worlds[label] = world, count
        threads = {label: _best(*world, size.naive_seconds) for label, world in worlds.items()}
        firsts = dict.fromkeys(LABELS, 0)
        order = deque(LABELS)  # another one is the first each time: what one leaves to do may slow the next

        def pipeline_per_s(label: str, recent: int) -> float:
            world, count = worlds[label]
            first, firsts[label] = firsts[label], firsts[label] + size.bulk
            return _pipeline_per_s(world, count, recent, first, size.bulk)

        def run(_known: Samples) -> dict[str, float]:
            found = {}
            for label, (world, count) in worlds.items():
                _forget_assessments(world)
                name = "naive_per_s" if label == LABELS[-1] else f"naive_{label}_per_s"
                found[name] = naive_per_s(world, count, threads[label], size.naive_seconds)
            for label in order:
                found[f"pipeline_{label}_per_s"] = pipeline_per_s(label, RECENT)
            found["pipeline_spread_per_s"] = pipeline_per_s(LABELS[-1], worlds[LABELS[-1]][1])
            order.rotate()
            return found

        yield run


def _best(world: World, chats: int, seconds: float) -> int:
    """Give the number of threads that is the fastest."""
    return fastest(
        f"search and log_feedback at {chats:,} traces",
        AT_ONCE,
        lambda threads: naive_per_s(world, chats, threads, seconds),
    )


def naive_per_s(world: World, chats: int, threads: int, seconds: float) -> float:
    """Do what an endpoint does that has no queue: search the trace by its request, then `log_feedback`."""
    return apart(_naive, world.rig.mlflow, world.experiment, world.prefix, chats, threads, seconds)


def _naive(  # noqa: PLR0913, PLR0917 - of another process
    url: str, experiment: str, prefix: str, chats: int, threads: int, seconds: float
) -> float:
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "60"
    log = logger(url, threads)
    import mlflow  # noqa: PLC0415 - it reads the environment

    def endpoint() -> None:
        request_id = f"{prefix}{random.randrange(max(chats - RECENT, 0), chats)}"  # noqa: S311 - sample data
        (trace,) = mlflow.search_traces(
            locations=[experiment],
            filter_string=f"attributes.client_request_id = '{request_id}'",
            max_results=1,
            include_spans=False,
            return_type="list",
        )
        log(trace.info.trace_id)

    began = time.perf_counter()
    until = began + seconds
    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(_repeat, [endpoint] * threads, [until] * threads))
    return done / (time.perf_counter() - began)


def _repeat(work: Callable[[], None], until: float) -> int:
    done = 0
    while time.perf_counter() < until:
        work()
        done += 1
    return done


def _pipeline_per_s(world: World, chats: int, recent: int, first: int, count: int) -> float:
    """Count what is logged of feedback on the newest so many chats."""
    recent = min(recent, chats)
    _forget_assessments(world)
    world.publish(count, chats=recent, oldest=chats - recent, first=first)
    with psycopg.connect(world.rig.postgres, autocommit=True) as session:
        session.execute("CHECKPOINT")
    return world.drained_per_s(count)


def _forget_assessments(world: World) -> None:
    """Empty the table: MLflow reads all assessments of each trace that it finds."""
    with psycopg.connect(world.rig.mlflow_database, autocommit=True) as session:
        session.execute("TRUNCATE assessments")
