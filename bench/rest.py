"""One assessment a request: the best raw HTTP client, `log_feedback` in threads, the pipeline, in turns."""

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

from bench.apart import apart
from bench.raw_http import Post, post_all
from bench.rig import COMMENT, STRIDE, Rig, World
from bench.size import Run, Samples, Size
from bench.trial import fastest, in_turns, mean_rate

AT_ONCE: Final = (2, 4, 8, 16, 32)


@contextmanager
def rest(rig: Rig, size: Size) -> Iterator[Run]:
    """Find the best concurrency of each client, then measure them in turns."""
    rig.clean()
    raw_at_once = fastest(
        "raw requests", AT_ONCE, lambda at_once: raw_rest_per_s(rig, size.rest_trial, at_once)
    )
    client_at_once = fastest(
        "log_feedback", AT_ONCE, lambda threads: log_feedback_per_s(rig, size.rest_trial, threads)
    )

    our_at_once = fastest(
        "REST, end to end", AT_ONCE, lambda at_once: rest_per_s(rig, 3 * size.rest_trial, at_once)
    )

    def run(_known: Samples) -> dict[str, float]:
        # Half of the ceiling before and half of it after: the machine's own pace changes as much.
        measures = {
            "before": lambda: raw_rest_per_s(rig, size.rest // 2, raw_at_once),
            "rest_per_s": lambda: rest_per_s(rig, size.rest, our_at_once),
            "after": lambda: raw_rest_per_s(rig, size.rest // 2, raw_at_once),
            "log_feedback_per_s": lambda: log_feedback_per_s(rig, size.rest, client_at_once),
        }
        found = in_turns(rig.clean, measures)
        return {"raw_rest_per_s": mean_rate([found.pop("before"), found.pop("after")])} | found

    yield run


def raw_rest_per_s(rig: Rig, count: int, at_once: int) -> float:
    """Send prepared requests, each of which creates an assessment, to MLflow's own endpoint."""
    world = rig.world()
    world.make_traces(count)
    posts = [create(world, number, count) for number in range(count)]
    return count / post_all(rig.mlflow, posts, at_once).seconds


def create(world: World, number: int, chats: int) -> Post:
    """Give the request that MLflow's own client sends for such a feedback."""
    item = world.item(number, chats)
    assessment = {
        "assessment_id": item["assessment_id"],
        "assessment_name": item["name"],
        "trace_id": item["trace_id"],
        "source": {"source_type": item["source_type"], "source_id": item["source_id"]},
        "create_time": "2026-01-31T12:00:05.123Z",
        "last_update_time": "2026-01-31T12:00:05.123Z",
        "feedback": {"value": item["value"]},
        "rationale": item["rationale"],
        "metadata": item["metadata"],
    }
    body = json.dumps({"assessment": assessment}).encode()
    return Post(f"/api/3.0/mlflow/traces/{item['trace_id']}/assessments", body)


def log_feedback_per_s(rig: Rig, count: int, threads: int) -> float:
    """Call ``mlflow.log_feedback`` in so many threads of one process."""
    world = rig.world()
    world.make_traces(count)
    return apart(
        _log_feedback, rig.mlflow, [world.trace_id(n * STRIDE % count) for n in range(count)], threads
    )


def _log_feedback(url: str, traces: list[str], threads: int) -> float:
    log = logger(url, threads)
    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        list(pool.map(log, traces))
        return len(traces) / (time.perf_counter() - began)


def logger(url: str, threads: int) -> Callable[[str], None]:
    """Give what logs a feedback on a trace by MLflow's client; for a process of its own."""
    os.environ["MLFLOW_HTTP_POOL_MAXSIZE"] = str(threads)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import mlflow  # noqa: PLC0415 - it reads the environment, and takes a second
    from mlflow.entities import AssessmentSource  # noqa: PLC0415

    mlflow.set_tracking_uri(url)
    metadata = {
        "page": "/invoices/1",
        "session_id": "session-1",
        "user_id": "user-1",
        "environment": "production",
        "app_version": "1.4.2",
        "region": "eu-west-1",
    }

    def log(trace_id: str) -> None:
        mlflow.log_feedback(
            trace_id=trace_id,
            name="helpful",
            value=True,
            source=AssessmentSource(source_type="HUMAN", source_id=f"user-{uuid4().hex[:8]}"),
            rationale=COMMENT,
            metadata=metadata,
        )

    return log


def rest_per_s(rig: Rig, count: int, at_once: int) -> float:
    """Count the assessments of one consumer process that finds a backlog and may not log in bulk."""
    world = rig.world(mlflow_sink="rest", mlflow_concurrency=at_once)
    world.make_traces(count)
    world.make_chats(count)
    world.publish(count, chats=count)
    return world.drained_per_s(count)
