"""What the tests see from outside: traces they write, and what MLflow and Kafka hold at the end."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import mlflow

from consumers.bootstrap import reads
from consumers.settings import Settings
from contracts.events import FeedbackLogged
from contracts.headers import DeadLetterHeaders, split_dead_letter
from ops.reading import lag, read_topic
from pipeline.records import Record
from support.waiting import wait_until

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace that a test wrote."""

    request_id: str
    trace_id: str


def request_id(settings: Settings, number: int) -> str:
    """Give a request id of the world: ids of assessments are made from it and must differ in the server."""
    return f"{settings.topic_prefix}{number}"


def write_traces(settings: Settings, count: int) -> list[Trace]:
    """Write real traces, each with a request id, session, user and region, and wait for their export."""
    mlflow.set_experiment(experiment_id=settings.mlflow_experiments[0])
    traces = [_write_trace(request_id(settings, number), number) for number in range(count)]
    mlflow.flush_trace_async_logging()
    return traces


def _write_trace(request_id: str, number: int) -> Trace:
    with mlflow.start_span("chat") as span:
        span.set_inputs({"question": number})
        mlflow.update_current_trace(
            client_request_id=request_id,
            metadata={
                "mlflow.trace.session": f"s-{number}",
                "mlflow.trace.user": f"asker-{number}",
                "region": f"region-{number % 3}",
            },
        )
        return Trace(request_id, span.trace_id)


def assessments(settings: Settings) -> list[dict[str, Any]]:
    """Ask MLflow's REST API for every assessment of the experiment, as the server gives them."""
    found: list[dict[str, Any]] = []
    token = None
    with httpx.Client(base_url=settings.mlflow_tracking_uri, timeout=60) as client:
        while True:
            location = {
                "type": "MLFLOW_EXPERIMENT",
                "mlflow_experiment": {"experiment_id": settings.mlflow_experiments[0]},
            }
            body = {"locations": [location], "max_results": _PAGE, "page_token": token}
            page = client.post("/api/3.0/mlflow/traces/search", json=body).raise_for_status().json()
            for trace in page.get("traces", []):
                found += trace.get("assessments", [])
            token = page.get("next_page_token")
            if not token:
                return found


def value_of(assessment: dict[str, Any]) -> Any:
    """Give the value of an assessment as MLflow's REST API gives it."""
    return assessment["feedback"]["value"] if "feedback" in assessment else assessment["expectation"]["value"]


async def wait_until_settled(settings: Settings, *, seconds: float) -> None:
    """Wait until all groups have committed all that there is."""

    async def is_settled() -> bool:
        behind = await asyncio.gather(
            *(lag(settings.kafka, read.group, read.topic) for read in reads(settings))
        )
        return not sum(behind)

    await wait_until(is_settled, seconds=seconds, what="everything is committed")


async def receipts(settings: Settings) -> list[FeedbackLogged]:
    """Read all receipts."""
    records = await read_topic(settings.kafka, settings.topics.feedback_logged)
    return [FeedbackLogged.model_validate_json(record.value or b"") for record in records]


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: the original headers, what was said of it, and the record in the dead-letter topic."""

    headers: list[tuple[str, bytes | None]]
    said: DeadLetterHeaders
    record: Record


async def dead_letters(settings: Settings) -> list[Letter]:
    """Read all dead letters."""
    records = await read_topic(settings.kafka, settings.topics.dead_letter)
    return [Letter(*_split(record), record) for record in records]


def _split(record: Record) -> tuple[list[tuple[str, bytes | None]], DeadLetterHeaders]:
    headers, said = split_dead_letter(record.headers)
    return headers, said


def outcomes(told: Sequence[FeedbackLogged]) -> Counter[str]:
    """Count outcomes, each receipt once however often it was told."""
    return Counter({receipt.receipt_id: receipt.outcome for receipt in told}.values())
