"""Where a sink's assessments stand, and what is read back there, in memory and in a real MLflow."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import uuid4

import httpx
import mlflow

from pipeline.memory import MemorySink
from pipeline.ports import Sink, Write


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One assessment as a reader sees it; an empty comment and blanked metadata are as good as none."""

    assessment_id: str
    kind: str
    name: str
    value: object
    rationale: str | None
    metadata: dict[str, str]
    source: tuple[str, str | None]
    span_id: str | None
    created_at: datetime


class Shelf(Protocol):
    """A sink and the traces that it writes to."""

    sink: Sink

    def new_trace(self) -> str:
        """Give a trace with nothing on it."""

    def seen(self, trace_id: str) -> list[Seen]:
        """Give all that stands on a trace."""


@dataclass
class MemoryShelf:
    """The twin's."""

    traces: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.memory = MemorySink(self.traces)
        self.sink: Sink = self.memory

    def new_trace(self) -> str:
        """Give a trace with nothing on it."""
        trace_id = f"tr-{uuid4().hex}"
        self.traces.add(trace_id)
        return trace_id

    def seen(self, trace_id: str) -> list[Seen]:
        """Give all that stands on a trace."""
        return [
            _of_write(write) for (trace, _), write in self.memory.assessments.items() if trace == trace_id
        ]


@dataclass
class RealShelf:
    """MLflow's, read over REST without the client."""

    uri: str
    sink: Sink
    make_trace: Callable[[], str]

    def new_trace(self) -> str:
        """Give a trace with nothing on it."""
        return self.make_trace()

    def seen(self, trace_id: str) -> list[Seen]:
        """Give all that stands on a trace."""
        response = httpx.get(f"{self.uri}/api/3.0/mlflow/traces/{trace_id}", timeout=30)
        info = response.raise_for_status().json()["trace"]["trace_info"]
        return [_of_json(assessment) for assessment in info.get("assessments", [])]


class TraceMaker:
    """Writes traces to one experiment as a chat service does, a few at a time."""

    def __init__(self, experiment_id: str, *, at_once: int = 40) -> None:
        self._experiment_id = experiment_id
        self._at_once = at_once
        self._ready: list[str] = []

    def __call__(self) -> str:
        """Give a trace with nothing on it."""
        if not self._ready:
            self._ready = [self.begin() for _ in range(self._at_once)]
            mlflow.flush_trace_async_logging()
        return self._ready.pop()

    def begin(
        self, request_id: str | None = None, *, fails: bool = False, metadata: dict[str, str] | None = None
    ) -> str:
        """Write one trace; it can be found after ``mlflow.flush_trace_async_logging()``."""
        mlflow.set_experiment(experiment_id=self._experiment_id)
        with mlflow.start_span("chat") as span:
            mlflow.update_current_trace(client_request_id=request_id, metadata=metadata)
            if fails:
                span.set_status("ERROR")
        trace_id: str = span.trace_id
        return trace_id


def _of_write(write: Write) -> Seen:
    version = write.version
    return Seen(
        assessment_id=version.assessment_id,
        kind=version.kind,
        name=version.name,
        value=version.value,
        rationale=version.rationale or None,
        metadata={key: value for key, value in write.metadata.items() if value},
        source=(version.source_type, version.source_id),
        span_id=version.span_id,
        created_at=version.submitted_at,
    )


def _of_json(assessment: dict[str, Any]) -> Seen:
    kind = "expectation" if "expectation" in assessment else "feedback"
    source = assessment["source"]
    return Seen(
        assessment_id=assessment["assessment_id"],
        kind=kind,
        name=assessment["assessment_name"],
        value=_value(assessment[kind]),
        rationale=assessment.get("rationale") or None,
        metadata={key: value for key, value in assessment.get("metadata", {}).items() if value},
        source=(source["source_type"], source.get("source_id")),
        span_id=assessment.get("span_id") or None,
        created_at=datetime.fromisoformat(assessment["create_time"]),
    )


def _value(held: dict[str, Any]) -> object:
    return json.loads(held["serialized_value"]["value"]) if "serialized_value" in held else held["value"]
