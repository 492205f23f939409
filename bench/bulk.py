"""The bulk path: COPY into MLflow's table, raw bulk requests, and the whole pipeline, in the same run.

``python -m bench.bulk [--events N] [--runs N]``
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import psycopg

from bench.rig import AT_MS, COMMENT, Rig, World, rate, the_rig

PATH: Final = "/api/3.0/mlflow/feedback-batch/assessments"
ITEMS: Final = 1000
AT_ONCE: Final = 2


def item(world: World, number: int) -> dict[str, Any]:
    """Give an item as the pipeline sends it."""
    return {
        "op": "log",
        "assessment_id": f"a-{uuid4().hex}",
        "trace_id": world.trace_id(number),
        "name": "helpful",
        "kind": "feedback",
        "value": number % 3 > 0,
        "rationale": COMMENT,
        "source_type": "HUMAN",
        "source_id": f"user-{number}",
        "timestamp_ms": AT_MS,
        "metadata": {
            "page": f"/invoices/{number}",
            "session_id": f"session-{number % 1000}",
            "user_id": f"user-{number % 1000}",
            "environment": "production",
            "app_version": "1.4.2",
            "region": "eu-west-1",
            "feedback.event_id": str(uuid4()),
            "feedback.version": "2026-01-31T12:00:05.123000+00:00",
            "feedback.client_request_id": world.request_id(number),
        },
    }


def copy_per_s(rig: Rig, count: int) -> float:
    """COPY straight into the table: what the database can take, with MLflow's indexes and foreign key."""
    world = rig.world()
    world.make_traces(count)
    items = [item(world, number) for number in range(count)]
    rows = [
        (
            one["assessment_id"],
            one["trace_id"],
            one["name"],
            "feedback",
            json.dumps(one["value"]),
            AT_MS,
            AT_MS,
            int(world.experiment),
            AT_MS,
            1.0,
            False,
            "HUMAN",
            one["source_id"],
            one["rationale"],
            True,
            json.dumps(one["metadata"]),
        )
        for one in items
    ]
    began = time.perf_counter()
    with psycopg.connect(rig.mlflow_database) as session:
        for start in range(0, count, ITEMS):
            with session.cursor().copy(
                b"COPY assessments (assessment_id, trace_id, name, assessment_type, value, created_timestamp,"
                b" last_updated_timestamp, experiment_id, trace_timestamp_ms,"
                b" aggregate_value, is_numeric_value, source_type, source_id, rationale, valid,"
                b" assessment_metadata) FROM STDIN"
            ) as copy:
                for row in rows[start : start + ITEMS]:
                    copy.write_row(row)
            session.commit()
    return count / (time.perf_counter() - began)


def raw_bulk_per_s(rig: Rig, count: int) -> float:
    """Bulk requests whose bodies are ready, a few at once."""
    world = rig.world()
    world.make_traces(count)
    bodies = [
        json.dumps({"items": [item(world, number) for number in range(start, start + ITEMS)]}).encode()
        for start in range(0, count, ITEMS)
    ]
    with httpx.Client(timeout=120) as client:

        def send(body: bytes) -> None:
            answer = client.post(rig.mlflow + PATH, content=body).raise_for_status().json()
            if {outcome["status"] for outcome in answer["outcomes"]} != {"logged"}:
                raise RuntimeError(answer)

        began = time.perf_counter()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(send, bodies))
        return count / (time.perf_counter() - began)


def bulk_per_s(rig: Rig, count: int) -> float:
    """Events in Kafka to assessments in MLflow, by one consumer process that finds a backlog."""
    world = rig.world()
    world.make_traces(count)
    with world.consumers():
        world.make_chats(count)
    world.publish(count, chats=count)
    with world.consumers():
        return rate(world.assessments, count, seconds=600)


MEASURES: Final[dict[str, Callable[[Rig, int], float]]] = {
    "copy_per_s": copy_per_s,
    "raw_bulk_per_s": raw_bulk_per_s,
    "bulk_per_s": bulk_per_s,
}


def main() -> None:
    """Measure, and print medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=30_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    with the_rig(Path(".local/bench").absolute()) as rig:
        for name, measure in MEASURES.items():
            if given.only in name:
                runs = [measure(rig, given.events) for _ in range(given.runs)]
                print(name, round(statistics.median(runs)), [round(run) for run in runs], flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
