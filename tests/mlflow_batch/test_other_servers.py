"""Servers set up otherwise: an MLflow that we do not know, workspaces, roll-ups, a path prefix."""

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import httpx
import mlflow
import pytest
from mlflow.tracking._tracking_service.utils import _use_tracking_uri
from support.bulk import AT, PATH, Bulk, SqliteMlflow, TraceOf, an_item, marks

from local.home import Home
from local.lift import lift, lower
from local.processes import Launch
from local.progress import Silent

_RUN = """
import uvicorn
from feedback_batch.plain import create_app
uvicorn.run(create_app, factory=True, port={port})
"""


class OtherMlflow(SqliteMlflow):
    """The app without MLflow's own command, so that anything can be done before it starts."""

    before: ClassVar[str] = ""
    variables: ClassVar[dict[str, str]] = {}
    prefix: ClassVar[str] = ""

    def launch(self, ports: dict[str, int]) -> Launch:
        """Run the app."""
        launch = super().launch(ports)
        code = f"{self.before}{_RUN.format(port=ports[self.name])}"
        store = self.store(ports)
        variables = {
            "_MLFLOW_SERVER_FILE_STORE": store,
            "_MLFLOW_SERVER_REGISTRY_STORE": store,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": str(self.data / "artifacts"),
            "_MLFLOW_SGI_NAME": "uvicorn",
            **self.variables,
        }
        return replace(launch, argv=[launch.argv[0], "-c", code], environment=launch.environment | variables)

    def check(self, address: str) -> None:
        """Ask for its health."""
        httpx.get(f"{address}{self.prefix}/health", timeout=5, trust_env=False).raise_for_status()


@contextmanager
def running(server: type[OtherMlflow], folder: Path) -> Iterator[tuple[Bulk, Path]]:
    home = Home.at(folder / "stack")
    home.make()
    part = server(home)
    address = lift([part], Silent())[part.name]
    try:
        yield Bulk(address + part.prefix, part.file), part.log
    finally:
        lower([part])


class TomorrowsMlflow(OtherMlflow):
    before = "import mlflow.version; mlflow.version.VERSION = '9.9.9'"


def test_an_mlflow_that_we_do_not_know_is_not_written_to(tmp_path: Path) -> None:
    with running(TomorrowsMlflow, tmp_path) as (bulk, log):
        trace_id = TraceOf(bulk)()
        for answer in (bulk.ask(), bulk.ask("/assessments", json={"items": [an_item(trace_id)]})):
            assert answer.status_code == 501
            said = answer.json()
            assert said["error_code"] == "NOT_IMPLEMENTED"
            assert "this is 9.9.9" in said["message"]
            assert "3.17.2" in said["message"]
        assert bulk.query("SELECT * FROM assessments") == []
        assert httpx.get(f"{bulk.url}/health").text == "OK"
        assert "this is 9.9.9" in log.read_text()


class WithWorkspaces(OtherMlflow):
    variables: ClassVar[dict[str, str]] = {"MLFLOW_ENABLE_WORKSPACES": "true"}


def test_a_trace_of_another_workspace_is_not_there(tmp_path: Path) -> None:
    with running(WithWorkspaces, tmp_path) as (bulk, _):
        made = httpx.post(f"{bulk.url}/api/3.0/mlflow/workspaces", json={"name": "team-b"}, timeout=30)
        assert made.is_success, made.text
        traces = TraceOf(bulk)
        item = an_item(traces("req-1"))
        asked = {"client_request_ids": ["req-1"], "experiment_ids": [traces.experiment_id]}
        for workspace, status, found in (("team-b", "no_such_trace", 0), ("default", "logged", 1)):
            headers = {"X-MLFLOW-WORKSPACE": workspace}
            answer = bulk.ask("/assessments", json={"items": [item]}, headers=headers).json()
            assert answer == {"outcomes": [{"status": status}]}
            assert len(bulk.ask("/resolve", json=asked, headers=headers).json()["traces"]) == found


class WithRollups(OtherMlflow):
    variables: ClassVar[dict[str, str]] = {"MLFLOW_SQL_TRACE_ROLLUPS_ENABLED": "true"}


QUEUE = """
SELECT rollup_day FROM sql_trace_rollup_rebuild_queue
WHERE experiment_id = ? AND rollup_family = 'assessment' ORDER BY rollup_day
"""


def test_what_is_counted_a_day_is_counted_again(tmp_path: Path) -> None:
    with running(WithRollups, tmp_path) as (bulk, _):
        ours, theirs = TraceOf(bulk), TraceOf(bulk)
        items = [an_item(ours(at=AT + hours * 3_600_000)) for hours in (0, 1, 24)]
        twins = [theirs(at=AT + hours * 3_600_000) for hours in (0, 1, 24)]
        with closing(sqlite3.connect(bulk.database)) as database, database:
            database.execute("DELETE FROM sql_trace_rollup_rebuild_queue")
        assert bulk.statuses(*items) == ["logged"] * 3
        with _use_tracking_uri(bulk.url):
            for trace_id in twins:
                mlflow.log_feedback(trace_id=trace_id, name="helpful", value=True)
        queued = bulk.query(QUEUE, int(ours.experiment_id))
        assert len(queued) == 2
        assert queued == bulk.query(QUEUE, int(theirs.experiment_id))
        assert bulk.statuses(items[0] | {"value": 3, "metadata": marks(1)}) == ["logged"]


class UnderAPrefix(OtherMlflow):
    prefix = "/ml"
    variables: ClassVar[dict[str, str]] = {"_MLFLOW_STATIC_PREFIX": "/ml"}


def test_it_stands_below_the_server_s_own_prefix(tmp_path: Path) -> None:
    with running(UnderAPrefix, tmp_path) as (bulk, _):
        assert bulk.url.endswith("/ml")
        assert bulk.ask().is_success
        assert httpx.get(bulk.url.removesuffix("/ml") + PATH, timeout=30).status_code == 404


@pytest.mark.parametrize("entry", ["plain", "basic_auth"])
def test_below_another_server_it_ends_and_says_why(tmp_path: Path, entry: str) -> None:
    """Which would answer 500 to everything, MLflow's own pages too."""
    home = Home.at(tmp_path / "stack")
    home.make()
    server = SqliteMlflow(home)
    server.fetch(Silent())
    given = {
        "_MLFLOW_SGI_NAME": "gunicorn",
        "_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED": "true",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "key",
    }
    code = f"from feedback_batch.{entry} import create_app; create_app()"
    ended = subprocess.run(
        [server.environment.python, "-c", code],
        env=given, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode
    assert "feedback-batch needs uvicorn: start the server without --gunicorn-opts" in ended.stderr
