"""Arize Phoenix's batch endpoint on the same Postgres, in turns with the bulk path: `make bench-peers`."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Final

import httpx
import psycopg

from bench.bulk import bulk_per_s
from bench.raw_http import Post, post_all
from bench.rig import COMMENT, STRIDE, Rig, database, wait_for
from bench.size import Run, Samples, Size
from bench.trial import fastest
from local.ports import free_port

PYTHON: Final = Path(".bench/peers/bin/python")
ITEMS: Final = (100, 500, 1000)
AT_ONCE: Final = (1, 2, 4)
WORKERS: Final = 2
_DATABASE: Final = "phoenix"
_READY_SECONDS: Final = 180
_END_SECONDS: Final = 30

_TRACES: Final = b"""
INSERT INTO traces (project_rowid, trace_id, start_time, end_time)
SELECT (SELECT min(id) FROM projects), lpad(to_hex(n), 32, '0'), now(), now()
FROM generate_series(0, %(last)s) AS n
"""


@contextmanager
def peers(rig: Rig, size: Size) -> Iterator[Run]:
    """Find the best size and number of Phoenix's requests, then measure both in turns."""
    rig.clean()
    with _phoenix(rig) as url:
        items, at_once = fastest(
            "Phoenix",
            list(product(ITEMS, AT_ONCE)),
            lambda given: phoenix_per_s(rig, url, size.phoenix_trial, *given),
        )

        def run(_known: Samples) -> dict[str, float]:
            rig.clean()
            found = {"phoenix_sync_per_s": phoenix_per_s(rig, url, size.phoenix, items, at_once)}
            rig.clean()
            return found | {"bulk_beside_phoenix_per_s": bulk_per_s(rig, size.bulk, WORKERS)}

        yield run


def phoenix_version() -> str:
    """Give the version that is installed."""
    code = "from importlib.metadata import version; print(version('arize-phoenix'))"
    return subprocess.run(
        [str(PYTHON.absolute()), "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def phoenix_per_s(rig: Rig, url: str, count: int, items: int, at_once: int) -> float:
    """Send prepared requests of so many annotations; each is answered once it is in the database."""
    with psycopg.connect(database(rig.postgres, _DATABASE), autocommit=True) as session:
        session.execute("TRUNCATE traces CASCADE")
        session.execute(_TRACES, {"last": count - 1})
        session.execute("VACUUM ANALYZE traces")
        session.execute("CHECKPOINT")
    posts = []
    for start in range(0, count, items):
        some = [_annotation(number, count) for number in range(start, min(start + items, count))]
        posts.append(Post("/v1/trace_annotations?sync=true", json.dumps({"data": some}).encode()))
    posted = post_all(url, posts, at_once)
    if (there := sum(len(json.loads(answer)["data"]) for answer in posted.answers)) != count:
        msg = f"{there} of {count} annotations were inserted"
        raise RuntimeError(msg)
    return count / posted.seconds


def _annotation(number: int, count: int) -> dict[str, object]:
    """Give an annotation that says what our assessments say."""
    return {
        "trace_id": f"{number * STRIDE % count:032x}",
        "name": "helpful",
        "annotator_kind": "HUMAN",
        "identifier": f"user-{number}",
        "result": {"label": "yes", "score": float(number % 3 > 0), "explanation": COMMENT},
        "metadata": {
            "page": f"/invoices/{number}",
            "session_id": f"session-{number % 1000}",
            "user_id": f"user-{number % 1000}",
            "environment": "production",
            "app_version": "1.4.2",
            "region": "eu-west-1",
        },
    }


@contextmanager
def _phoenix(rig: Rig) -> Iterator[str]:
    """Run Phoenix over a database of its own."""
    with psycopg.connect(rig.postgres, autocommit=True) as session:
        session.execute(f'CREATE DATABASE "{_DATABASE}"'.encode())
    port, folder = free_port(), rig.folder / "data" / "phoenix"
    folder.mkdir(exist_ok=True)
    environment = {
        "PHOENIX_SQL_DATABASE_URL": database(rig.postgres, _DATABASE),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_DISABLE_AGENT_ASSISTANT": "true",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    log = folder / "phoenix.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(PYTHON.absolute()), "-m", "phoenix.server.main", "serve"],
            cwd=folder,
            env=os.environ | environment,
            stdout=out,
            stderr=out,
        )
    url = f"http://127.0.0.1:{port}"

    def is_ready() -> bool:
        if process.poll() is not None:
            raise RuntimeError(log.read_text()[-4000:])
        try:
            return httpx.get(f"{url}/healthz", timeout=5).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    try:
        wait_for(is_ready, seconds=_READY_SECONDS, what="Phoenix answers")
        yield url
    finally:
        process.terminate()
        process.wait(_END_SECONDS)
