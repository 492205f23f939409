"""The chat service and `feedback run ingest` as processes, and what a client of theirs does."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import mlflow
from httpx_sse import EventSource

from apps.feedback_api.tokens import Grant, TokenKeys
from consumers.settings import Settings, to_environment
from local.ports import free_port
from support.waiting import wait_until
from support.world import assessments

KEYS: Final = {"new": "n" * 40, "old": "o" * 40}
SERVICE_KEY: Final = "s" * 40
SECRETS: Final = {
    "FEEDBACK_API_TOKEN_KEYS": ",".join(f"{name}:{secret}" for name, secret in KEYS.items()),
    "FEEDBACK_API_SERVICE_KEYS": f"judge:{SERVICE_KEY}",
}
NAMES: Final = ("user_feedback", "user_accuracy", "user_helpfulness", "user_relevance")
_READY_SECONDS: Final = 40
_END_SECONDS: Final = 60  # it exports its traces first


@asynccontextmanager
async def running(
    command: list[str], settings: Settings, folder: Path, *, ready: bool = True, **environment: str
) -> AsyncIterator[httpx.AsyncClient]:
    """Run one process until the end of the block; gives a client of its HTTP port."""
    port = free_port()
    log = folder / f"{command[-1]}-{port}.log"
    ports = {"FEEDBACK_HTTP_PORT": str(port), "FEEDBACK_CHAT_PORT": str(port)}
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: ASYNC220 - it is started, not awaited
            [sys.executable, "-m", *command],
            env=os.environ | to_environment(settings) | SECRETS | ports | environment,
            stdout=out,
            stderr=out,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=40) as client:

            async def is_ready() -> bool:
                assert process.poll() is None, log.read_text()[-4000:]
                try:
                    return (await client.get("/readyz" if ready else "/healthz")).is_success
                except httpx.TransportError:
                    return False

            await wait_until(is_ready, seconds=_READY_SECONDS, what=f"{command} is ready")
            yield client
            process.send_signal(signal.SIGTERM)
            assert process.wait(_END_SECONDS) == 0, log.read_text()[-4000:]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


CHAT: Final = ["apps.chat"]
INGEST: Final = ["ops.cli", "run", "ingest"]


def token(keys: dict[str, str] | None = None, *, seconds: float = 3600, **claims: Any) -> dict[str, str]:
    """Give the header with a token as the chat service would make it, or as somebody else would."""
    fields: dict[str, Any] = {
        "client_request_id": None,
        "trace_id": None,
        "user": None,
        "names": NAMES,
        "expires_at": datetime.now(UTC) + timedelta(seconds=seconds),
    }
    return {"X-Feedback-Token": TokenKeys(keys or KEYS).sign(Grant(**(fields | claims)))}


def logged(settings: Settings, trace_id: str) -> dict[str, dict[str, Any]]:
    """Ask MLflow for the assessments of a trace, by name."""
    found = [item for item in assessments(settings) if item["trace_id"] == trace_id]
    assert len({item["assessment_name"] for item in found}) == len(found), "one of each name"
    return {item["assessment_name"]: item for item in found}


async def ask(chat: httpx.AsyncClient, **headers: str) -> dict[str, Any]:
    """Have something answered."""
    response = await chat.post("/chat", json={"message": "What is a dead letter?"}, headers=headers)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def spoken(response: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    """Read a stream to its end; gives the ids and data of its events."""
    return [(event.id, event.json()) async for event in EventSource(response).aiter_sse()]


def as_service(name: str = SERVICE_KEY) -> dict[str, str]:
    """Give the header of a trusted service."""
    return {"Authorization": f"Bearer {name}"}


def is_whole(trace: Any) -> bool:
    """Tell whether all of a chat's trace is there: spans come as they end, the root last, then metadata."""
    if trace is None or not trace.info.client_request_id:
        return False
    return any(span.parent_id is None for span in trace.data.spans)


async def trace_of(settings: Settings, request_id: str) -> Any:
    """Wait until the trace of a request is exported with its spans, and give it."""
    found: list[Any] = []

    async def is_there() -> bool:
        found[:] = mlflow.search_traces(
            locations=list(settings.mlflow_experiments),
            filter_string=f"attributes.client_request_id = '{request_id}'",
            return_type="list",
        )
        return bool(found) and is_whole(found[0])

    await wait_until(is_there, seconds=30, what=f"the trace of {request_id} is there")
    return found[0]


def root_of(trace: Any) -> Any:
    """Give the span that has no other above it."""
    return next(span for span in trace.data.spans if span.parent_id is None)
