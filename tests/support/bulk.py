"""The bulk endpoints as a caller in any language sees them, and what they leave in the database."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import httpx
import psycopg

from local.home import Home
from local.mlflow_server import MlflowServer
from local.postgres import MLFLOW_DATABASE

PATH = "/api/3.0/mlflow/feedback-batch"
AT = 1_769_860_800_000
"""Milliseconds: 2026-01-31 12:00 UTC."""


class SqliteMlflow(MlflowServer):
    """The server with a file as its database."""

    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self.file = self.data / "mlflow.db"

    def store(self, ports: dict[str, int]) -> str:
        """Give the file."""
        del ports
        return f"sqlite:///{self.file}"


@dataclass(frozen=True, slots=True)
class Bulk:
    """One server."""

    url: str
    database: str | Path
    auth: tuple[str, str] | None = None

    def ask(self, path: str = "", **given: Any) -> httpx.Response:
        """Send a request; a GET where nothing is sent."""
        method = "POST" if given.keys() & {"json", "content"} else "GET"
        return httpx.request(method, f"{self.url}{PATH}{path}", auth=self.auth, timeout=60, **given)

    def outcomes(self, *items: object) -> list[dict[str, str]]:
        """Write items; what is told of each."""
        answer = self.ask("/assessments", json={"items": items}).raise_for_status().json()
        outcomes: list[dict[str, str]] = answer["outcomes"]
        return outcomes

    def write(self, *items: object) -> list[tuple[str, str]]:
        """Write items; status and reason of each."""
        return [(outcome["status"], outcome.get("reason", "")) for outcome in self.outcomes(*items)]

    def statuses(self, *items: object) -> list[str]:
        """Write items; the status of each."""
        return [status for status, _ in self.write(*items)]

    def query(self, statement: str, *params: object) -> list[dict[str, Any]]:
        """Ask the database itself; ``?`` stands for a parameter."""
        if isinstance(self.database, Path):
            connection = sqlite3.connect(self.database)
            try:
                cursor = connection.execute(statement, params)
                names = [column[0] for column in cursor.description]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            finally:
                connection.close()
        with psycopg.connect(self.database, row_factory=psycopg.rows.dict_row) as session:
            return session.execute(statement.replace("?", "%s").encode(), params).fetchall()

    def row(self, assessment_id: str) -> dict[str, Any] | None:
        """Give the stored row, metadata and nested values as objects, as their keys have no order."""
        found = self.query("SELECT * FROM assessments WHERE assessment_id = ?", assessment_id)
        if not found:
            return None
        (row,) = found
        said = {"assessment_metadata": json.loads(row["assessment_metadata"] or "null")}
        nested = {"value": json.loads(row["value"])} if row["value"].startswith("{") else {}
        flags = {name: bool(row[name]) for name in ("valid", "is_numeric_value")}
        return row | said | nested | flags


def mlflow_database(postgres: str) -> str:
    """Give the address of MLflow's own database beside ours."""
    return urlunsplit(urlsplit(postgres)._replace(path=f"/{MLFLOW_DATABASE}"))


def marks(seconds: float = 0, event: int | None = None) -> dict[str, str]:
    """Give the metadata of a version so many seconds after noon."""
    whole, micros = divmod(round(seconds * 1_000_000), 1_000_000)
    text = f"2026-01-31T{12 + whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
    text += f".{micros:06}+00:00" if micros else "+00:00"
    return {
        "feedback.version": text,
        "feedback.event_id": str(uuid4()) if event is None else f"00000000-0000-4000-8000-{event:012}",
    }


def new_id() -> str:
    """Give an id for an assessment."""
    return f"a-{uuid4().hex}"


def an_item(trace_id: str, seconds: float = 0, **fields: Any) -> dict[str, Any]:
    """Give an item that is logged."""
    metadata: Mapping[str, str] = fields.pop("metadata", {})
    event = fields.pop("event", None)
    return {
        "op": "log",
        "assessment_id": new_id(),
        "trace_id": trace_id,
        "name": "helpful",
        "kind": "feedback",
        "value": True,
        "source_type": "HUMAN",
        "source_id": "anna",
        "timestamp_ms": AT,
        "metadata": {**metadata, **marks(seconds, event)},
    } | fields


def a_withdrawal(item: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Give the withdrawal of an item."""
    where = {name: item[name] for name in ("assessment_id", "trace_id")}
    return {"op": "withdraw", **where, "metadata": marks(seconds)}


class TraceOf:
    """Makes traces in one experiment."""

    def __init__(self, bulk: Bulk) -> None:
        self._bulk = bulk
        url = f"{bulk.url}/api/2.0/mlflow/experiments"
        answer = httpx.post(f"{url}/create", json={"name": f"bulk-{uuid4().hex}"}, auth=bulk.auth, timeout=30)
        self.experiment_id = str(answer.raise_for_status().json()["experiment_id"])

    def __call__(
        self,
        request_id: str | None = None,
        *,
        state: str = "OK",
        at: int = AT,
        said: Mapping[str, str] | None = None,
        trace_id: str | None = None,
    ) -> str:
        """Make one; ``said`` is its metadata."""
        trace_id = trace_id or f"tr-{new_id()[2:]}"
        info = {
            "trace_id": trace_id,
            "client_request_id": request_id,
            "trace_location": {
                "type": "MLFLOW_EXPERIMENT",
                "mlflow_experiment": {"experiment_id": self.experiment_id},
            },
            "request_time": datetime.fromtimestamp(at / 1000, UTC).isoformat().replace("+00:00", "Z"),
            "execution_duration": "1s",
            "state": state,
            "trace_metadata": said or {},
        }
        body = {"trace": {"trace_info": info}}
        answer = httpx.post(
            f"{self._bulk.url}/api/3.0/mlflow/traces", json=body, auth=self._bulk.auth, timeout=30
        )
        answer.raise_for_status()
        return trace_id
