"""MLflow's server with our plugin and without it, as when one release is rolled out, or back."""

import threading
from dataclasses import replace
from pathlib import Path

import httpx

from local import runner, stack
from local.home import Home
from local.mlflow_server import MlflowServer
from local.processes import Launch
from local.progress import Silent

_PLUGIN = "/api/3.0/mlflow/feedback-batch"
_NAME = "--app-name"


class PlainMlflow(MlflowServer):
    """The same server on the same data, without ``--app-name``."""

    def launch(self, ports: dict[str, int]) -> Launch:
        """Run `mlflow server` as MLflow comes."""
        launch = super().launch(ports)
        at = launch.argv.index(_NAME)
        return replace(launch, argv=[*launch.argv[:at], *launch.argv[at + 2 :]])


def take_plugin_away(home: Path) -> None:
    """Replace the server by one without the plugin; blocks until that works."""
    stack.kill_part(home, "mlflow")
    runner.ensure(PlainMlflow(Home.at(home)), Silent(), threading.Event())


def give_plugin_back(home: Path) -> None:
    """Replace the server by one with the plugin; blocks until that works."""
    stack.kill_part(home, "mlflow")
    stack.start_part(home, "mlflow")


def has_plugin(mlflow: str) -> bool:
    """Ask the server itself."""
    return httpx.get(f"{mlflow}{_PLUGIN}", timeout=30).is_success
