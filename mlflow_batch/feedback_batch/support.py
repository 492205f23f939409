"""On which MLflow versions this was tested; on any other it refuses to guess."""

from typing import Final

from mlflow.environment_variables import _MLFLOW_SGI_NAME
from mlflow.version import VERSION

from feedback_batch.errors import RequestError

SUPPORTED: Final = ("3.17.0", "3.17.1", "3.17.2")


def refusal() -> str | None:
    """Give why this MLflow is not written to, or None when it is one of those that the tests compare with."""
    if VERSION in SUPPORTED:
        return None
    return f"feedback-batch knows MLflow {', '.join(SUPPORTED)}; this is {VERSION}: use its own endpoints"


def check() -> None:
    """Refuse an MLflow that we do not know.

    Raises:
        RequestError: on any version that was not tested.

    """
    if said := refusal():
        raise RequestError.unsupported(said)


def check_server() -> None:
    """Refuse to start below a server that would fail to serve each of MLflow's own pages.

    Raises:
        TypeError: below gunicorn or waitress, which serve no FastAPI app.

    """
    if (name := _MLFLOW_SGI_NAME.get()) in {"gunicorn", "waitress"}:
        msg = f"feedback-batch needs uvicorn: start the server without --{name}-opts"
        raise TypeError(msg)
