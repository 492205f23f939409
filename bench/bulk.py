"""In bulk: COPY into MLflow's table, raw bulk requests, and the whole pipeline, in turns."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any, Final

import psycopg

from bench.raw_http import Post, post_all
from bench.rig import AT_MS, Rig
from bench.size import Run, Samples, Size
from bench.trial import fastest, in_turns, mean_rate

PATH: Final = "/api/3.0/mlflow/feedback-batch/assessments"
COPIED: Final = 1000
"""Rows of a transaction, as many as the pipeline has in a batch."""

ITEMS: Final = (500, 1000, 2500, 5000)
AT_ONCE: Final = (2, 4)

_COPY: Final = b"""
COPY assessments (assessment_id, trace_id, name, assessment_type, value, created_timestamp,
last_updated_timestamp, experiment_id, trace_timestamp_ms, aggregate_value, is_numeric_value, source_type,
source_id, rationale, valid, assessment_metadata) FROM STDIN
"""


@contextmanager
def bulk(rig: Rig, size: Size) -> Iterator[Run]:
    """Find the best size and number of requests, then measure all in turns; one worker a core."""
    workers = os.cpu_count() or 1
    rig.clean()
    items = fastest(
        "raw bulk requests, one after another",
        ITEMS,
        lambda items: raw_bulk_per_s(rig, size.bulk_trial, items, 1),
    )
    together = fastest(
        "raw bulk requests, several at once",
        list(product(ITEMS, AT_ONCE)),
        lambda given: raw_bulk_per_s(rig, size.bulk_trial, *given),
    )

    def run(_known: Samples) -> dict[str, float]:
        # Half of the ceiling before and half of it after, as for one assessment a request.
        measures = {
            "copy_per_s": lambda: copy_per_s(rig, size.bulk),
            "before": lambda: raw_bulk_per_s(rig, size.bulk // 2, items, 1),
            "bulk_per_s": lambda: bulk_per_s(rig, size.bulk, workers),
            "after": lambda: raw_bulk_per_s(rig, size.bulk // 2, items, 1),
            "raw_bulk_at_once_per_s": lambda: raw_bulk_per_s(rig, size.bulk, *together),
        }
        found = in_turns(rig.clean, measures)
        return {"raw_bulk_per_s": mean_rate([found.pop("before"), found.pop("after")])} | found

    yield run


def copy_per_s(rig: Rig, count: int) -> float:
    """COPY straight into the table: what the database can take, with MLflow's indexes and foreign key."""
    world = rig.world()
    world.make_traces(count)
    rows = [_row(world.item(number, count), int(world.experiment)) for number in range(count)]
    with psycopg.connect(rig.mlflow_database) as session:
        began = time.perf_counter()
        for start in range(0, count, COPIED):
            with session.cursor().copy(_COPY) as copy:
                for row in rows[start : start + COPIED]:
                    copy.write_row(row)
            session.commit()
        return count / (time.perf_counter() - began)


def _row(item: dict[str, Any], experiment: int) -> tuple[object, ...]:
    return (
        item["assessment_id"],
        item["trace_id"],
        item["name"],
        item["kind"],
        json.dumps(item["value"]),
        AT_MS,
        AT_MS,
        experiment,
        AT_MS,
        float(item["value"]),
        False,
        item["source_type"],
        item["source_id"],
        item["rationale"],
        True,
        json.dumps(item["metadata"]),
    )


def raw_bulk_per_s(rig: Rig, count: int, items: int, at_once: int) -> float:
    """Send bulk requests whose bytes are ready, a few at once."""
    world = rig.world()
    world.make_traces(count)
    posts = []
    for start in range(0, count, items):
        some = [world.item(number, count) for number in range(start, min(start + items, count))]
        posts.append(Post(PATH, json.dumps({"items": some}).encode()))
    posted = post_all(rig.mlflow, posts, at_once)
    told = [outcome["status"] for answer in posted.answers for outcome in json.loads(answer)["outcomes"]]
    if told != ["logged"] * count:
        msg = f"not all of {count} were logged: {sorted(set(told))}"
        raise RuntimeError(msg)
    return count / posted.seconds


def bulk_per_s(rig: Rig, count: int, workers: int) -> float:
    """Count the assessments of a consumer of so many processes that finds a backlog."""
    world = rig.world()
    world.make_traces(count)
    world.make_chats(count)
    world.publish(count, chats=count)
    return world.drained_per_s(count, "--workers", str(workers))
