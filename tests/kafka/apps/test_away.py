"""What the HTTP door says and does while Kafka or MLflow is away, and after they have come back."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from support.apps import CHAT, as_service, ask, logged, running, trace_of
from support.http_front import Asked, Decision, http_front
from support.stack import Stack
from support.waiting import wait_until
from support.world import request_id, write_traces

from consumers.settings import Settings, to_environment
from local.ports import free_port

THUMB = {
    "source": {"type": "HUMAN", "id": "eve"},
    "assessments": [{"name": "helpful", "value": True}],
}


async def is_ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/readyz")).status_code == 200


async def test_while_kafka_says_nothing_nothing_is_pretended_and_afterwards_all_is_well(
    settings: Settings, tmp_path: Path, signal_kafka: Callable[[int], object]
) -> None:
    write_traces(settings, 1)
    about = THUMB | {"client_request_id": request_id(settings, 0)}
    environment: dict[str, Any] = {"FEEDBACK_API_PUBLISH_SECONDS": "2"}
    async with running(["ops.cli", "run", "ingest"], settings, tmp_path, **environment) as api:
        first = await api.post("/v1/feedback", json=about, headers=as_service())
        assert first.status_code == 202

        signal_kafka(signal.SIGSTOP)
        refused = await api.post("/v1/feedback", json=about, headers=as_service())
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["retry-after"]) > 0
        ready = await api.get("/readyz")
        assert ready.status_code == 503
        assert "kafka" in ready.json()["away"]
        assert (await api.get("/healthz")).status_code == 200

        signal_kafka(signal.SIGCONT)
        # Without anything being published: who is not ready is sent nothing.
        await wait_until(lambda: is_ready(api), seconds=20, what="ready again")
        other = about | {"assessments": [{"name": "helpful", "value": False}]}
        again = await api.post("/v1/feedback?wait=20", json=other, headers=as_service())
        assert again.status_code == 200, again.text
        (item,) = again.json()["feedback"]
        assert item["status"] == "logged"
        found = logged(settings, item["trace_id"])["helpful"]
        assert found["feedback"] == {"value": False}


class RefusingFirst:
    """Answers 503 to so many requests, and lets the rest pass."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self, _asked: Asked) -> Decision:
        self.left -= 1
        return 503 if self.left >= 0 else None


async def test_a_chat_that_waits_for_mlflow_can_be_ended(
    settings: Settings, stack: Stack, tmp_path: Path
) -> None:
    with http_front(stack.mlflow) as front, (tmp_path / "log").open("wb") as log:
        front.decide = lambda _asked: 503
        variables = to_environment(settings) | {"MLFLOW_TRACKING_URI": front.url, "FEEDBACK_API_OPEN": "true"}
        variables["FEEDBACK_CHAT_PORT"] = str(free_port())
        process = subprocess.Popen(  # noqa: ASYNC220 - it is started, not awaited
            [sys.executable, "-m", *CHAT], env=os.environ | variables, stdout=log, stderr=log
        )
        try:
            await wait_until(lambda: bool(front.asked), seconds=30, what="it asks for MLflow")
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()
    assert "told to end before MLflow has answered" in (tmp_path / "log").read_text()


async def test_a_chat_that_starts_before_mlflow_waits_for_it_and_its_traces_survive_an_outage(
    settings: Settings, stack: Stack, tmp_path: Path
) -> None:
    with http_front(stack.mlflow) as front:
        front.decide = starting = RefusingFirst(2)
        through = settings.model_copy(update={"mlflow_tracking_uri": front.url})
        async with running(CHAT, through, tmp_path, FEEDBACK_API_OPEN="true") as chat:
            assert starting.left < 0
            front.decide = exporting = RefusingFirst(2)
            answer = await ask(chat)
            trace = await trace_of(settings, answer["client_request_id"])
            assert trace.info.trace_id == answer["trace_id"]
            assert exporting.left < 0
