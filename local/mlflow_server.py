"""The MLflow tracking server, in its own environment, with Postgres behind it."""

from __future__ import annotations

import http.client
import json
from typing import ClassVar

from local import ports
from local.home import Home
from local.mlflow_environment import FOREIGN, Environment
from local.part import Part, Unhealthy
from local.postgres import MLFLOW_DATABASE, USER
from local.processes import Launch
from local.progress import Progress

# Every worker imports MLflow for itself: 250 MB and 3 s of a core. Measured on 2 cores, log_feedback/s, 16
# at once, and seconds until healthy: 1 worker 153-192/s, 5-8 s; 2 workers 118-215/s, 5.5-9.5 s; 4 workers
# 162-203/s, 9-17 s.
_WORKERS = 1
_ANSWER_SECONDS = 5.0
_OK = 200
_SETTINGS = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "PYTHONUNBUFFERED": "1",
}


class MlflowServer(Part):
    """The server that keeps traces and assessments."""

    ready_seconds = 120
    needs: ClassVar[tuple[str, ...]] = ("postgres",)
    app_name: ClassVar[str] = "feedback-batch"

    def __init__(self, home: Home) -> None:
        super().__init__(home, "mlflow")
        self.environment = Environment(home.cache, home.log("mlflow-install"))

    def fetch(self, progress: Progress) -> None:
        """Install the server's environment, where it is not whole in the cache."""
        if not self.environment.ready:
            progress.step(self.name, "installing packages")
            self.environment.ensure(lambda done, total: progress.advance(self.name, done, total))

    def prepare(self, ports: dict[str, int]) -> None:
        """Make the folder for artifacts; MLflow itself makes and migrates its tables."""
        del ports
        (self.data / "artifacts").mkdir(parents=True, exist_ok=True)

    def launch(self, ports: dict[str, int]) -> Launch:
        """Run `mlflow server`."""
        options = {
            "--backend-store-uri": self.store(ports),
            "--artifacts-destination": str(self.data / "artifacts"),
            "--host": "127.0.0.1",
            "--port": str(ports[self.name]),
            "--workers": str(_WORKERS),
            "--app-name": self.app_name,
            "--uvicorn-opts": "--no-access-log",
        }
        words = [word for name, value in options.items() for word in (name, value)]
        argv = [str(self.environment.python), "-m", "mlflow", "server", "--serve-artifacts", *words]
        return Launch(argv, self.data, _SETTINGS, FOREIGN)

    def store(self, ports: dict[str, int]) -> str:
        """Give the address of its database."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{ports['postgres']}/{MLFLOW_DATABASE}"

    def address(self, port: int) -> str:
        """Give the tracking URI."""
        return f"http://{ports.HOST}:{port}"

    def check(self, address: str) -> None:
        """Ask for the server's health, then something that it must ask its database for."""
        host = address.removeprefix("http://")
        _ask(host, "GET", "/health")
        _ask(host, "POST", "/api/2.0/mlflow/experiments/search", {"max_results": 1})


def _ask(host: str, method: str, path: str, body: dict[str, int] | None = None) -> None:
    # http.client, because it takes no proxy from the environment: a proxy cannot reach our loopback.
    connection = http.client.HTTPConnection(host, timeout=_ANSWER_SECONDS)
    try:
        content = json.dumps(body) if body else None
        connection.request(method, path, content, {"Content-Type": "application/json"})
        status = connection.getresponse().status
    finally:
        connection.close()
    if status != _OK:
        raise Unhealthy("mlflow", f"{path} answered {status}")
